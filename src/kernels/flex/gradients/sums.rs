//! Sums over positions, and the two ways in which weights are turned around.

use rayon::prelude::*;

use crate::kernels::flex::dispatch::vectorized;
use crate::kernels::flex::math::{in_pairs, sum};
use crate::kernels::flex::norm::{SHORT_SUM, TASK};

/// Σ a·b, in sixteen partial sums.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut partial = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in partial.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    in_pairs(partial, |a, b| a + b) + rest
}

/// The sum of each channel of `[n, channels, positions]`.
pub(super) fn channel_sums(x: &[f32], channels: usize, positions: usize) -> Vec<f32> {
    (0..channels)
        .into_par_iter()
        .map(|channel| {
            vectorized(
                #[inline(always)]
                || {
                    let planes = x.chunks_exact(channels * positions);
                    let planes = planes.map(|x| &x[channel * positions..][..positions]);
                    let parts = planes.flat_map(|plane| plane.chunks(SHORT_SUM));
                    parts.map(|part| f64::from(sum(part, |x| x))).sum::<f64>() as f32
                },
            )
        })
        .collect()
}

/// The sum of each channel of `[positions, channels]`.
pub(super) fn token_sums(x: &[f32], channels: usize) -> Vec<f32> {
    let rows = (TASK / channels).clamp(1, SHORT_SUM);
    let parts = x.par_chunks(rows * channels).map(|rows| {
        let mut sums = vec![0.0; channels];
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact(channels) {
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
            },
        );
        sums
    });
    total(parts.collect(), channels)
}

/// The sum of vectors of `length` values.
pub(super) fn total(parts: Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let mut totals = vec![0.0f64; length];
    for part in parts {
        totals.iter_mut().zip(part).for_each(|(total, value)| *total += f64::from(value));
    }
    totals.into_iter().map(|total| total as f32).collect()
}

/// `[rows, width]` as `[width, rows]`.
pub(super) fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    // A cache line of every row at a time.
    const STRIP: usize = 16;
    let rows = values.len() / width;
    let mut out = vec![0.0; values.len()];
    out.par_chunks_mut(STRIP * rows).enumerate().for_each(|(strip, out)| {
        for (r, row) in values.chunks_exact(width).enumerate() {
            for (to, value) in out.iter_mut().skip(r).step_by(rows).zip(&row[strip * STRIP..]) {
                *to = *value;
            }
        }
    });
    out
}

/// The weights `[channels_out, channels_in, taps]` of a convolution as those of its gradient:
/// `[channels_in, channels_out, taps]`, the taps in reverse.
pub(super) fn reversed(weight: &[f32], channels_in: usize, taps: usize) -> Vec<f32> {
    let channels_out = weight.len() / (channels_in * taps);
    let mut out = vec![0.0; weight.len()];
    out.par_chunks_mut(channels_out * taps).enumerate().for_each(|(channel, out)| {
        for (number, to) in out.chunks_exact_mut(taps).enumerate() {
            let from = &weight[(number * channels_in + channel) * taps..][..taps];
            to.iter_mut().zip(from.iter().rev()).for_each(|(to, value)| *to = *value);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_covers_odd_sizes() {
        let (rows, width) = (5, 37);
        let values: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
        let out = transposed(&values, width);
        for r in 0..rows {
            for c in 0..width {
                assert_eq!(out[c * rows + r], values[r * width + c]);
            }
        }
    }
}
