//! Gradients of LayerNorm; the formula is that of GroupNorm.

use burn::backend::Flex;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use super::sums::{dot, total};
use crate::kernels::flex::dispatch::vectorized;
use crate::kernels::flex::math::sum;
use crate::kernels::flex::norm::{TASK, moments};
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};

/// See [`crate::kernels::layer_norm`]; operands are input, weight and bias.
#[derive(Clone, Debug)]
pub(super) struct LayerNorm {
    pub(super) eps: f64,
}

impl Operation<3> for LayerNorm {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
        Flex::layer_norm(x, weight, bias, self.eps)
    }

    fn gradients(
        &self,
        [x, weight, _]: [FlexTensor; 3],
        gradient: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let gradient = gradient.to_contiguous();
        let shape = x.layout().shape().clone();
        let c = weight.layout().num_elements();
        let mut out = vec![0.0; shape.num_elements()];
        let step = (TASK / c).max(1) * c;
        let (x, weight, gradient) = (scalars(&x), scalars(&weight), scalars(&gradient));
        let parts: (Vec<_>, Vec<_>) = out
            .par_chunks_mut(step)
            .zip(x.par_chunks(step).zip(gradient.par_chunks(step)))
            .map(|(out, (x, gradient))| {
                let mut sums = (vec![0.0; c], vec![0.0; c]);
                vectorized(
                    #[inline(always)]
                    || self.rows([x, gradient, weight], out, &mut sums),
                );
                sums
            })
            .unzip();
        let parameter = |parts| Some(tensor(total(parts, c), Shape::new([c])));
        [Some(tensor(out, shape)), parameter(parts.0), parameter(parts.1)]
    }
}

impl LayerNorm {
    /// Writes the gradients of rows, and adds to those of weight and bias.
    #[inline(always)]
    fn rows(
        &self,
        [x, gradient, weight]: [&[f32]; 3],
        out: &mut [f32],
        (for_weight, for_bias): &mut (Vec<f32>, Vec<f32>),
    ) {
        let c = weight.len();
        let mut normed = vec![0.0; c];
        let rows = x.chunks_exact(c).zip(gradient.chunks_exact(c));
        for (out, (x, gradient)) in out.chunks_exact_mut(c).zip(rows) {
            let (mean, deviation) = moments(std::iter::once(x), x[0], self.eps);
            let scale = 1.0 / deviation;
            normed.iter_mut().zip(x).for_each(|(normed, x)| *normed = (x - mean) * scale);
            out.iter_mut().zip(gradient.iter().zip(weight)).for_each(|(out, (g, w))| *out = g * w);
            let offset = sum(out, |g| g) / c as f32;
            let slope = dot(out, &normed) / c as f32;
            for (out, normed) in out.iter_mut().zip(&normed) {
                *out = (*out - offset - normed * slope) * scale;
            }
            for (sum, (g, normed)) in for_weight.iter_mut().zip(gradient.iter().zip(&normed)) {
                *sum += g * normed;
            }
            for_bias.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
    }
}
