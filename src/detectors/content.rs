//! The colours of a picture in other places: a smooth random flow moves every pixel (ControlNet 1.1
//! Shuffle).

use super::resize::{cubic, round_level};
use super::{Resolutions, at_resolutions};
use crate::media::Frame;

/// Pixels between two random values of the flow.
const GRID: usize = 256;

/// A picture moved by a random flow.
///
/// The original draws another flow for every frame, from a generator that nothing seeds. Here the
/// seed alone decides it: frames of one size are moved alike, and a run can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentShuffle {
    /// Decides the flow.
    pub seed: u64,
    /// The sizes it works at.
    pub resolutions: Resolutions,
}

impl ContentShuffle {
    /// `frame` moved, at the detector's resolutions.
    pub(super) fn detect(&self, frame: &Frame) -> Frame {
        at_resolutions(frame, self.resolutions, |seen| {
            let (width, height) = (seen.width, seen.height);
            let mut numbers = Uniform(self.seed);
            let [columns, rows] = [width, height].map(|side| {
                let noise = noise_grid(width, height).map(|_| numbers.next()).collect();
                smooth_noise(noise, width, height).into_iter().map(move |v| v * (side - 1) as f64)
            });
            moved(seen, columns.zip(rows))
        })
    }
}

/// The places of the random values of a flow for `width x height`.
fn noise_grid(width: usize, height: usize) -> std::ops::Range<usize> {
    0..(width / GRID + 2) * (height / GRID + 2)
}

/// Random values blown up by cubic interpolation, cut to `width x height` and stretched to [0, 1].
fn smooth_noise(noise: Vec<f64>, width: usize, height: usize) -> Vec<f64> {
    let (columns, rows) = (width / GRID + 2, height / GRID + 2);
    let across = cubic(columns, width + 2 * GRID);
    let down = cubic(rows, height + 2 * GRID);
    let wide: Vec<f64> = noise
        .chunks_exact(columns)
        .flat_map(|row| {
            across[GRID..GRID + width]
                .iter()
                .map(|taps| taps.iter().map(|&(at, weight)| row[at] * weight).sum::<f64>())
        })
        .collect();
    let mut values = Vec::with_capacity(width * height);
    for taps in &down[GRID..GRID + height] {
        values.extend(
            (0..width).map(|x| {
                taps.iter().map(|&(at, weight)| wide[at * width + x] * weight).sum::<f64>()
            }),
        );
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if most > least { most - least } else { 1.0 };
    values.into_iter().map(|value| (value - least) / range).collect()
}

/// The picture whose pixels are those of `frame` at `places` (column, row), between pixels
/// interpolated.
fn moved(frame: &Frame, places: impl Iterator<Item = (f64, f64)>) -> Frame {
    let mut data = Vec::with_capacity(frame.data.len());
    for (x, y) in places {
        let (x, y) = (x as f32, y as f32);
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (x - left, y - top);
        let (left, top) = (left as usize, top as usize);
        let (right, bottom) = ((left + 1).min(frame.width - 1), (top + 1).min(frame.height - 1));
        let corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
            .map(|(x, y)| frame.pixel(x, y).map(f32::from));
        data.extend((0..3).map(|c| {
            let [a, b, d, e] = corners.map(|pixel| pixel[c]);
            let (upper, lower) = (a + (b - a) * across, d + (e - d) * across);
            round_level(upper + (lower - upper) * down)
        }));
    }
    Frame { width: frame.width, height: frame.height, data }
}

/// Numbers from 0 to 1 (SplitMix64; Steele, Lea and Flood 2014).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
