//! Gradients of GroupNorm with or without SiLU.
//!
//! With x̂ the normalised values and g the gradient of w·x̂ + b, the gradient of the input is
//! (w·g − mean(w·g) − x̂·mean(w·g·x̂)) / deviation, with means over the group.

use burn::backend::Flex;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use crate::kernels::flex::dispatch::vectorized;
use crate::kernels::flex::math::{exp, in_pairs, sum};
use crate::kernels::flex::norm::{SHORT_SUM, moments};
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};
use crate::kernels::flex::shared::Shared;
use crate::kernels::group_norm::GroupNormOptions;

/// See [`crate::kernels::group_norm`]; operands are input, weight and bias.
#[derive(Clone, Debug)]
pub(super) struct GroupNorm(pub(super) GroupNormOptions);

impl Operation<3> for GroupNorm {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
        Flex::group_norm(x, weight, bias, self.0)
    }

    fn gradients(
        &self,
        operands: [FlexTensor; 3],
        gradient: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight, bias] = operands.map(|x| x.to_contiguous());
        let gradient = gradient.to_contiguous();
        let shape = x.layout().shape().clone();
        let (n, channels) = (shape[0], shape[1]);
        let backward = Groups {
            x: scalars(&x),
            gradient: scalars(&gradient),
            weight: scalars(&weight),
            bias: scalars(&bias),
            channels,
            positions: shape.num_elements() / (n * channels).max(1),
            options: self.0,
        };
        let mut out = vec![0.0; shape.num_elements()];
        let sums = backward.run(&mut out);
        let column = |index: usize| {
            let total = |channel: usize| {
                let rows = sums.chunks_exact(2 * channels);
                rows.map(|row| f64::from(row[2 * channel + index])).sum::<f64>() as f32
            };
            Some(tensor((0..channels).map(total).collect(), Shape::new([channels])))
        };
        [Some(tensor(out, shape)), column(1), column(0)]
    }
}

struct Groups<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    channels: usize,
    positions: usize,
    options: GroupNormOptions,
}

impl Groups<'_> {
    /// Writes the gradient of the input. Returns Σ g and Σ g·x̂ of every channel of every image,
    /// `[n, channels, 2]`.
    fn run(&self, out: &mut [f32]) -> Vec<f32> {
        let GroupNormOptions { num_groups, frames, .. } = self.options;
        let images = self.x.len() / (self.channels * self.positions).max(1);
        let mut sums = vec![0.0; images * self.channels * 2];
        let (out, shared_sums) = (Shared::new(out), Shared::new(&mut sums));
        (0..images / frames * num_groups).into_par_iter().for_each(|index| {
            let (clip, group) = (index / num_groups, index % num_groups);
            vectorized(
                #[inline(always)]
                || self.one_group(clip, group, &out, &shared_sums),
            );
        });
        sums
    }

    #[inline(always)]
    fn one_group(&self, clip: usize, group: usize, out: &Shared, sums: &Shared) {
        let GroupNormOptions { num_groups, eps, frames, silu } = self.options;
        let positions = self.positions;
        let per_group = self.channels / num_groups;
        // Number of the first channel of this group in each image, all images counted through.
        let first = |frame: usize| (clip * frames + frame) * self.channels + group * per_group;
        let rows = (0..frames).flat_map(|frame| {
            self.x[first(frame) * positions..][..per_group * positions].chunks(SHORT_SUM)
        });
        let (mean, deviation) = moments(rows, self.x[first(0) * positions], eps);
        let scale = 1.0 / deviation;

        let (mut total, mut total_normed) = (0.0f64, 0.0f64);
        for row in (0..frames).flat_map(|frame| first(frame)..first(frame) + per_group) {
            let channel = row % self.channels;
            let (weight, bias) = (self.weight[channel], self.bias[channel]);
            // SAFETY: this task owns the rows of its group.
            let out = unsafe { out.slice(row * positions, positions) };
            let (mut sum_g, mut sum_normed) = (0.0f64, 0.0f64);
            for (chunk, out) in out.chunks_mut(SHORT_SUM).enumerate() {
                let at = row * positions + chunk * SHORT_SUM;
                let (x, gradient) = (&self.x[at..][..out.len()], &self.gradient[at..][..out.len()]);
                if silu {
                    for ((out, x), gradient) in out.iter_mut().zip(x).zip(gradient) {
                        *out = gradient * silu_slope((x - mean) * (scale * weight) + bias);
                    }
                } else {
                    out.copy_from_slice(gradient);
                }
                let centred = dot_centred(out, x, mean);
                sum_g += f64::from(sum(out, |g| g));
                sum_normed += f64::from(centred * scale);
            }
            // SAFETY: as above.
            let sums = unsafe { sums.slice(row * 2, 2) };
            sums.copy_from_slice(&[sum_g as f32, sum_normed as f32]);
            total += f64::from(weight) * sum_g;
            total_normed += f64::from(weight) * sum_normed;
        }

        let count = (frames * per_group * positions) as f64;
        let offset = (total / count) as f32 * scale;
        let slope = (total_normed / count) as f32 * scale * scale;
        for row in (0..frames).flat_map(|frame| first(frame)..first(frame) + per_group) {
            let factor = self.weight[row % self.channels] * scale;
            let x = &self.x[row * positions..][..positions];
            // SAFETY: as above.
            let out = unsafe { out.slice(row * positions, positions) };
            for (g, x) in out.iter_mut().zip(x) {
                *g = *g * factor - offset - (x - mean) * slope;
            }
        }
    }
}

/// Σ g·(x − mean).
#[inline(always)]
fn dot_centred(g: &[f32], x: &[f32], mean: f32) -> f32 {
    let ((g, g_rest), (x, x_rest)) = (g.as_chunks::<16>(), x.as_chunks::<16>());
    let mut partial = [0.0; 16];
    for (g, x) in g.iter().zip(x) {
        for (sum, (g, x)) in partial.iter_mut().zip(g.iter().zip(x)) {
            *sum += g * (x - mean);
        }
    }
    let rest: f32 = g_rest.iter().zip(x_rest).map(|(g, x)| g * (x - mean)).sum();
    in_pairs(partial, |a, b| a + b) + rest
}

/// The derivative of x · sigmoid(x).
#[inline(always)]
fn silu_slope(x: f32) -> f32 {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}
