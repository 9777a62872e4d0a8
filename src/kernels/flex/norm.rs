//! GroupNorm with SiLU, LayerNorm and GEGLU: one pass over what fits a cache.

use rayon::prelude::*;

use super::dispatch::vectorized;
use super::math::{gelu, silu, sum};
use crate::kernels::group_norm::GroupNormOptions;

/// Values that a task works on: enough to be worth a task, little enough to stay in a cache.
pub(super) const TASK: usize = 1 << 14;

/// Longest sum in f32; longer ones go on in f64.
pub(super) const SHORT_SUM: usize = 1024;

/// Mean and standard deviation, from a first guess of the mean.
///
/// Sums of differences make a constant input's variance exactly zero. The smallest normal f32
/// guards its root.
#[inline(always)]
pub(super) fn moments<'a>(
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    guess: f32,
    eps: f64,
) -> (f32, f32) {
    let (mut total, mut count) = (0.0, 0);
    for row in rows.clone() {
        total += f64::from(sum(row, |x| x - guess));
        count += row.len();
    }
    let mean = (f64::from(guess) + total / count as f64) as f32;
    let squares: f64 = rows.map(|row| f64::from(sum(row, |x| (x - mean) * (x - mean)))).sum();
    (mean, ((squares / count as f64 + eps) as f32).max(1e-37).sqrt())
}

/// Normalises `[n, c, positions]` in place.
pub(super) fn group_norm(
    x: &mut [f32],
    [n, c, positions]: [usize; 3],
    weight: &[f32],
    bias: &[f32],
    options: GroupNormOptions,
) {
    let GroupNormOptions { num_groups, eps, frames, silu: activate } = options;
    let group = c / num_groups * positions;
    let data = &*x;
    // [clips, groups]
    let moments: Vec<_> = (0..n / frames * num_groups)
        .into_par_iter()
        .map(|index| {
            let first = index / num_groups * frames * num_groups + index % num_groups;
            let start = |frame: usize| (first + frame * num_groups) * group;
            let rows =
                (0..frames).flat_map(|frame| data[start(frame)..][..group].chunks(SHORT_SUM));
            vectorized(
                #[inline(always)]
                || moments(rows.clone(), data[start(0)], eps),
            )
        })
        .collect();
    x.par_chunks_mut(group).enumerate().for_each(|(index, x)| {
        let (image, number) = (index / num_groups, index % num_groups);
        let (mean, deviation) = moments[image / frames * num_groups + number];
        let channels = number * (c / num_groups)..;
        vectorized(
            #[inline(always)]
            || {
                for (channel, row) in channels.clone().zip(x.chunks_mut(positions)) {
                    let scale = weight[channel] / deviation;
                    let offset = bias[channel];
                    if activate {
                        row.iter_mut().for_each(|x| *x = silu((*x - mean) * scale + offset));
                    } else {
                        row.iter_mut().for_each(|x| *x = (*x - mean) * scale + offset);
                    }
                }
            },
        );
    });
}

/// Normalises rows as long as `weight` in place.
pub(super) fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f64) {
    let c = weight.len();
    x.par_chunks_mut((TASK / c).max(1) * c).for_each(|rows| {
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_mut(c) {
                    let (mean, deviation) = moments(std::iter::once(&*row), row[0], eps);
                    let scale = 1.0 / deviation;
                    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
                        *x = (*x - mean) * scale * weight + bias;
                    }
                }
            },
        );
    });
}

/// `value · gelu(gate)` of rows `[value, gate]`, each `c` long.
pub(super) fn geglu(x: &[f32], c: usize, out: &mut [f32]) {
    let rows = (TASK / c).max(1);
    out.par_chunks_mut(rows * c).zip(x.par_chunks(rows * 2 * c)).for_each(|(out, x)| {
        vectorized(
            #[inline(always)]
            || {
                for (out, x) in out.chunks_mut(c).zip(x.chunks(2 * c)) {
                    let (value, gate) = x.split_at(c);
                    for ((out, value), gate) in out.iter_mut().zip(value).zip(gate) {
                        *out = value * gelu(*gate);
                    }
                }
            },
        );
    });
}
