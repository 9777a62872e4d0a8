//! softmax(Q·Kᵀ/√d)·V along the frames of every pixel.

use rayon::prelude::*;

use super::dispatch::vectorized;
use super::math::{exp, max, sum};
use super::shared::Shared;

/// Sizes of `[clips, frames, pixels, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) clips: usize,
    pub(super) frames: usize,
    pub(super) pixels: usize,
    pub(super) channels: usize,
    pub(super) heads: usize,
}

/// Pixels of a task.
pub(super) const PIXELS: usize = 32;

/// Attends from queries to keys and values, `inputs`, and adds to `out`, all of one shape.
pub(super) fn temporal_attention(inputs: [&[f32]; 3], sizes: Sizes, out: &mut [f32]) {
    let Sizes { clips, pixels, .. } = sizes;
    let out = Shared::new(out);
    let tasks = pixels.div_ceil(PIXELS);
    (0..clips * tasks).into_par_iter().for_each(|task| {
        let (clip, first) = (task / tasks, task % tasks * PIXELS);
        vectorized(
            #[inline(always)]
            || {
                let mut scores = vec![0.0; sizes.frames];
                for pixel in first..pixels.min(first + PIXELS) {
                    one_pixel(inputs, sizes, (clip, pixel), &mut scores, &out);
                }
            },
        );
    });
}

#[inline(always)]
fn one_pixel(
    [q, k, v]: [&[f32]; 3],
    sizes: Sizes,
    (clip, pixel): (usize, usize),
    scores: &mut [f32],
    out: &Shared,
) {
    let Sizes { frames, pixels, channels, heads, .. } = sizes;
    let width = channels / heads;
    let scale = 1.0 / (width as f32).sqrt();
    for head in 0..heads {
        let start =
            |frame: usize| ((clip * frames + frame) * pixels + pixel) * channels + head * width;
        for query in 0..frames {
            let row = &q[start(query)..][..width];
            for (other, score) in scores.iter_mut().enumerate() {
                *score = dot(row, &k[start(other)..][..width]);
            }
            let most = max(scores);
            scores.iter_mut().for_each(|x| *x = exp((*x - most) * scale));
            let norm = 1.0 / sum(scores, |x| x);
            // SAFETY: this task owns this pixel.
            let out = unsafe { out.slice(start(query), width) };
            for (other, weight) in scores.iter().enumerate() {
                let weight = weight * norm;
                for (out, v) in out.iter_mut().zip(&v[start(other)..][..width]) {
                    *out += weight * v;
                }
            }
        }
    }
}

/// Σ a·b, in eight partial sums: head widths are multiples of eight.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut partial = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in partial.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    partial.iter().sum::<f32>() + rest
}
