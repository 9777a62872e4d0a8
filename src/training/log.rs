//! The record of a run: a table and a picture of its curves.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::media::{self, Frame, write_file};

/// Size of the picture of one curve.
const WIDTH: usize = 960;
const HEIGHT: usize = 320;

/// One line of the table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Updates done.
    pub step: usize,
    /// Loss of this update's batch.
    pub loss: f64,
    /// Norm of all gradients together before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Time of the update.
    pub seconds: f64,
}

/// `log.csv` of a run, held in memory too.
pub(super) struct Log {
    path: PathBuf,
    records: Vec<Record>,
}

impl Log {
    /// Takes up the table at `path`, without lines after `step`: those updates are done again.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is no such table.
    pub(super) fn open(path: &Path, step: usize) -> Result<Self> {
        let mut records = Vec::new();
        if path.is_file() {
            let mut reader = csv::Reader::from_path(path).map_err(|e| damaged(path, &e))?;
            for record in reader.deserialize() {
                let record: Record = record.map_err(|e| damaged(path, &e))?;
                if record.step <= step {
                    records.push(record);
                }
            }
        }
        let log = Self { path: path.to_owned(), records };
        let mut writer = csv::Writer::from_path(path).map_err(|e| damaged(path, &e))?;
        for record in &log.records {
            writer.serialize(record).map_err(|e| damaged(path, &e))?;
        }
        writer.flush().map_err(|e| Error::io("write", path, e))?;
        Ok(log)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn push(&mut self, record: Record) -> Result<()> {
        let mut line =
            csv::WriterBuilder::new().has_headers(self.records.is_empty()).from_writer(Vec::new());
        line.serialize(record).map_err(|e| damaged(&self.path, &e))?;
        let bytes = line.into_inner().map_err(|e| damaged(&self.path, &e.into_error().into()))?;
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(|e| Error::io("write", &self.path, e))?;
        self.records.push(record);
        Ok(())
    }

    /// Draws loss and gradient norm over the updates, both on a logarithmic scale.
    ///
    /// # Errors
    /// When the picture cannot be written.
    pub(super) fn draw(&self, path: &Path) -> Result<()> {
        let values = |of: fn(&Record) -> f64| self.records.iter().map(of).collect::<Vec<_>>();
        let panels = [
            plot(&values(|record| record.loss), [200, 60, 40]),
            plot(&values(|record| record.gradient_norm), [40, 90, 180]),
        ];
        let mut picture = Frame::filled(WIDTH, 2 * HEIGHT, [255; 3]);
        for (index, panel) in panels.iter().enumerate() {
            picture.paste(panel, 0, index * HEIGHT);
        }
        write_file(path, &media::png::encode(&picture)?)
    }
}

fn damaged(path: &Path, error: &csv::Error) -> Error {
    let reason = format!("{error}; remove the file, or name another output folder");
    Error::config(path.display().to_string(), reason)
}

/// A curve over its running mean's range, grey lines at powers of ten.
fn plot(values: &[f64], colour: [u8; 3]) -> Frame {
    let mut picture = Frame::filled(WIDTH, HEIGHT, [255; 3]);
    let smooth: Vec<f64> = smoothed(values).into_iter().map(|v| v.max(1e-12).log10()).collect();
    let low = smooth.iter().copied().fold(f64::INFINITY, f64::min) - 0.05;
    let high = smooth.iter().copied().fold(f64::NEG_INFINITY, f64::max) + 0.05;
    if smooth.is_empty() || !(high - low).is_finite() {
        return picture;
    }
    let row = |value: f64| {
        let share = ((high - value) / (high - low)).clamp(0.0, 1.0);
        (share * (HEIGHT - 1) as f64).round() as usize
    };
    let mut dot = |x: usize, y: usize, colour: [u8; 3]| {
        picture.data[3 * (y * WIDTH + x)..][..3].copy_from_slice(&colour);
    };
    for tenth in (10.0 * low).ceil() as i64..=(10.0 * high).floor() as i64 {
        let grey = if tenth % 10 == 0 { 120 } else { 225 };
        (0..WIDTH).for_each(|x| dot(x, row(tenth as f64 / 10.0), [grey; 3]));
    }
    let mut last = row(smooth[0]);
    for x in 0..WIDTH {
        let at = row(smooth[x * smooth.len() / WIDTH]);
        (last.min(at)..=last.max(at)).for_each(|y| dot(x, y, colour));
        last = at;
    }
    picture
}

/// A running mean over a hundredth of the run.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let decay = 1.0 - 1.0 / (values.len() as f64 / 100.0).max(1.0);
    let mut mean = None;
    values
        .iter()
        .map(|&value| {
            let next = mean.map_or(value, |mean: f64| mean * decay + value * (1.0 - decay));
            mean = Some(next);
            next
        })
        .collect()
}
