//! Windows: the slices of a clip that are denoised side by side and averaged where they overlap.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a clip is cut into windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSchedule {
    /// Windows from the first frame to the last; the last one may be shorter.
    #[default]
    UniformV2,
    /// A closed loop: the last window runs on at the first frame. Further passes look at every
    /// 2nd, 4th, 8th frame.
    Uniform,
}

impl WindowSchedule {
    /// Every schedule, in the order options list them.
    pub const ALL: [Self; 2] = [Self::UniformV2, Self::Uniform];
}

impl fmt::Display for WindowSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UniformV2 => "uniform_v2",
            Self::Uniform => "uniform",
        })
    }
}

impl FromStr for WindowSchedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|schedule| schedule.to_string() == name).ok_or_else(|| {
            let reason = format!("`{text}` is unknown; use uniform_v2 or uniform");
            Error::request("context-schedule", reason)
        })
    }
}

/// The windows of a clip. Option and YAML names have the prefix `context_`, as in MuseV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// How the clip is cut. Default `uniform_v2`.
    pub schedule: WindowSchedule,
    /// Frames of a window. Default 12.
    pub frames: usize,
    /// Frames shared by neighbouring windows. Default 4.
    pub overlap: usize,
    /// Passes of the `uniform` schedule over a clip longer than a window. Default 1.
    pub stride: usize,
    /// Windows that go through the network together. Default 1.
    pub batch_size: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            schedule: WindowSchedule::default(),
            frames: 12,
            overlap: 4,
            stride: 1,
            batch_size: 1,
        }
    }
}

impl Window {
    /// The frame indices of every window of a clip of `total` frames; none for an empty clip.
    ///
    /// Every frame is in at least one window. With a stride above 1 the sparse windows of
    /// `uniform` may name a frame twice; [`last_positions`] says which prediction counts.
    ///
    /// # Errors
    /// When a setting is 0 or the overlap is not smaller than the window.
    pub fn windows(&self, total: usize) -> Result<Vec<Vec<usize>>> {
        self.validate()?;
        Ok(match self.schedule {
            WindowSchedule::UniformV2 => self.uniform_v2(total),
            WindowSchedule::Uniform if total == 0 => Vec::new(),
            WindowSchedule::Uniform if total <= self.frames => vec![(0..total).collect()],
            WindowSchedule::Uniform => self.uniform(total),
        })
    }

    fn validate(&self) -> Result<()> {
        let positive = [
            ("context-frames", self.frames),
            ("context-stride", self.stride),
            ("context-batch-size", self.batch_size),
        ];
        for (option, value) in positive {
            if value == 0 {
                return Err(Error::request(option, "is 0; it has to be at least 1"));
            }
        }
        if self.overlap >= self.frames {
            let reason = format!(
                "{} leaves no new frame in a window of {} (context-frames); use at most {}",
                self.overlap,
                self.frames,
                self.frames - 1
            );
            return Err(Error::request("context-overlap", reason));
        }
        Ok(())
    }

    fn uniform_v2(&self, total: usize) -> Vec<Vec<usize>> {
        let mut windows: Vec<Vec<usize>> = (0..total)
            .step_by(self.frames - self.overlap)
            .map(|start| (start..start.saturating_add(self.frames).min(total)).collect())
            .collect();
        // Only one window is dropped, even if a large overlap leaves more of them at the end: so
        // does MuseV, and it weighs the last frames.
        if let [.., before, last] = windows.as_slice()
            && before.last() == last.last()
        {
            windows.pop();
        }
        windows
    }

    /// For a clip longer than a window.
    fn uniform(&self, total: usize) -> Vec<Vec<usize>> {
        let ratio = total as f64 / self.frames as f64;
        let passes = self.stride.min(ratio.log2().ceil() as usize + 1);
        (0..passes)
            .map(|pass| 1 << pass)
            .flat_map(|dilation: usize| {
                let span = self.frames * dilation;
                (0..total).step_by(span - self.overlap).map(move |start| {
                    (start..start + span).step_by(dilation).map(|frame| frame % total).collect()
                })
            })
            .collect()
    }
}

/// The positions in `window` of the last mention of each of its frames, ascending.
///
/// MuseV adds a window's prediction by an indexed assignment, where of several values for one
/// frame the last wins and the frame counts once.
pub fn last_positions(window: &[usize]) -> Vec<usize> {
    (0..window.len()).filter(|&i| !window[i + 1..].contains(&window[i])).collect()
}
