//! Gradients of attention along the frames of every pixel; the formula is that of attention.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use super::sums::dot;
use crate::kernels::flex::dispatch::vectorized;
use crate::kernels::flex::math::{exp, max, sum};
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};
use crate::kernels::flex::shared::Shared;
use crate::kernels::flex::temporal_attention::{PIXELS, Sizes};

/// See [`crate::kernels::temporal_attention`]; operands are queries, keys and values.
#[derive(Clone, Debug)]
pub(super) struct TemporalAttention {
    pub(super) heads: usize,
}

impl Operation<3> for TemporalAttention {
    fn forward(&self, [q, k, v]: [FlexTensor; 3]) -> FlexTensor {
        Flex::temporal_attention(q, k, v, self.heads)
    }

    fn gradients(
        &self,
        operands: [FlexTensor; 3],
        gradient: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let operands = operands.map(|x| x.to_contiguous());
        let gradient = gradient.to_contiguous();
        let shape = gradient.layout().shape().clone();
        let [clips, frames, pixels, channels] = shape.dims();
        let sizes = Sizes { clips, frames, pixels, channels, heads: self.heads };
        let [q, k, v] = operands.each_ref().map(scalars);
        let inputs = [q, k, v, scalars(&gradient)];
        let mut out = [(); 3].map(|()| vec![0.0; shape.num_elements()]);
        let shared = out.each_mut().map(|values| Shared::new(values));
        let tasks = pixels.div_ceil(PIXELS);
        (0..clips * tasks).into_par_iter().for_each(|task| {
            let (clip, first) = (task / tasks, task % tasks * PIXELS);
            vectorized(
                #[inline(always)]
                || {
                    let mut scores = [(); 2].map(|()| vec![0.0; frames]);
                    for pixel in first..pixels.min(first + PIXELS) {
                        one_pixel(inputs, sizes, (clip, pixel), &mut scores, &shared);
                    }
                },
            );
        });
        out.map(|values| Some(tensor(values, shape.clone())))
    }
}

#[inline(always)]
fn one_pixel(
    [q, k, v, gradient]: [&[f32]; 4],
    sizes: Sizes,
    (clip, pixel): (usize, usize),
    [weights, slopes]: &mut [Vec<f32>; 2],
    [for_q, for_k, for_v]: &[Shared; 3],
) {
    let Sizes { frames, pixels, channels, heads, .. } = sizes;
    let width = channels / heads;
    let scale = 1.0 / (width as f32).sqrt();
    for head in 0..heads {
        let start =
            |frame: usize| ((clip * frames + frame) * pixels + pixel) * channels + head * width;
        for query in 0..frames {
            let (row, upstream) = (&q[start(query)..][..width], &gradient[start(query)..][..width]);
            for (other, (weight, slope)) in weights.iter_mut().zip(slopes.iter_mut()).enumerate() {
                *weight = dot(row, &k[start(other)..][..width]);
                *slope = dot(upstream, &v[start(other)..][..width]);
            }
            let most = max(weights);
            weights.iter_mut().for_each(|x| *x = exp((*x - most) * scale));
            let norm = 1.0 / sum(weights, |x| x);
            weights.iter_mut().for_each(|x| *x *= norm);
            let mean = dot(weights, slopes);
            // SAFETY: this task owns this pixel.
            let for_row = unsafe { for_q.slice(start(query), width) };
            for (other, (weight, slope)) in weights.iter().zip(slopes.iter()).enumerate() {
                let slope = weight * (slope - mean) * scale;
                add(for_row, slope, &k[start(other)..][..width]);
                // SAFETY: as above, and these are slices of other outputs.
                unsafe {
                    add(for_k.slice(start(other), width), slope, row);
                    add(for_v.slice(start(other), width), *weight, upstream);
                }
            }
        }
    }
}

/// Adds a multiple of `x` to `to`.
#[inline(always)]
fn add(to: &mut [f32], factor: f32, x: &[f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}
