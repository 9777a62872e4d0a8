//! Resampling of 8-bit pictures, equal to Pillow's to the bit.
//!
//! Pillow filters rows, rounds to 8 bits, then filters columns, both with 22-bit fixed-point
//! weights. On sharp pictures another order or rounding moves values by many levels, since each
//! pass clips what overshoots.

use super::Frame;

/// How new pixels are computed from old ones; both are antialiased as Pillow's filters of that
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Windowed sinc over three pixels on either side: condition and reference pictures.
    Lanczos,
    /// Cubic with a = -0.5: what CLIP's image processor uses.
    Bicubic,
}

/// Fractional bits of the weights: 8 bits are the pixel's, 2 keep sums from overflowing.
const PRECISION: u32 = 32 - 8 - 2;

impl Filter {
    /// How far the filter reaches, in pixels of the coarser picture.
    fn support(self) -> f64 {
        match self {
            Filter::Lanczos => 3.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// Which input positions make an output position: the first and a weight for each.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The whole picture at another size.
///
/// # Panics
/// When a side of the picture or of the target is 0.
pub fn resize(frame: &Frame, width: usize, height: usize, filter: Filter) -> Frame {
    assert!(frame.width * frame.height * width * height > 0, "no side may be 0");
    let rows_done = if width == frame.width {
        frame.data.clone()
    } else {
        rows(frame, &taps(frame.width, width, filter))
    };
    let data = if height == frame.height {
        rows_done
    } else {
        columns(&rows_done, 3 * width, &taps(frame.height, height, filter))
    };
    Frame { width, height, data }
}

fn taps(length: usize, target: usize, filter: Filter) -> Vec<Taps> {
    let scale = length as f64 / target as f64;
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let make = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(length);
        // Multiplied, not divided, as Pillow does: the last bit of a weight depends on it.
        let step = 1.0 / filter_scale;
        let weights: Vec<f64> =
            (first..end).map(|at| filter.weight((at as f64 - centre + 0.5) * step)).collect();
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| fixed(weight / sum)).collect() }
    };
    (0..target).map(make).collect()
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (scaled + 0.5_f64.copysign(weight)) as i32
}

fn rows(frame: &Frame, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * taps.len() * frame.height);
    for row in frame.data.chunks_exact(3 * frame.width) {
        for tap in taps {
            let mut sums = [1 << (PRECISION - 1); 3];
            for (pixel, weight) in row[3 * tap.first..].chunks_exact(3).zip(&tap.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(level));
        }
    }
    out
}

fn columns(data: &[u8], stride: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stride * taps.len());
    for tap in taps {
        let mut sums = vec![1 << (PRECISION - 1); stride];
        for (row, weight) in data[stride * tap.first..].chunks_exact(stride).zip(&tap.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.into_iter().map(level));
    }
    out
}

fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
