//! Gradient of GEGLU.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use crate::kernels::flex::dispatch::vectorized;
use crate::kernels::flex::math::{exp, gelu, normal_distribution};
use crate::kernels::flex::norm::TASK;
use crate::kernels::flex::ops::{CpuOps, filled, scalars};

/// See [`crate::kernels::geglu`].
#[derive(Clone, Debug)]
pub(super) struct Geglu;

impl Operation<1> for Geglu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> FlexTensor {
        Flex::geglu(x)
    }

    fn gradients(
        &self,
        [x]: [FlexTensor; 1],
        gradient: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let shape = x.layout().shape().clone();
        let c = shape[shape.num_dims() - 1] / 2;
        let rows = (TASK / c).max(1);
        let out = filled(shape, |out| {
            let operands = scalars(&x).par_chunks(rows * 2 * c);
            let operands = operands.zip(scalars(&gradient).par_chunks(rows * c));
            out.par_chunks_mut(rows * 2 * c).zip(operands).for_each(|(out, (x, gradient))| {
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact(2 * c).zip(gradient.chunks_exact(c));
                        for (out, (x, gradient)) in out.chunks_exact_mut(2 * c).zip(rows) {
                            one_row(x, gradient, out);
                        }
                    },
                );
            });
        });
        [Some(out)]
    }
}

#[inline(always)]
fn one_row(x: &[f32], gradient: &[f32], out: &mut [f32]) {
    let c = gradient.len();
    let (value, gate) = x.split_at(c);
    let (for_value, for_gate) = out.split_at_mut(c);
    for ((out, gradient), gate) in for_value.iter_mut().zip(gradient).zip(gate) {
        *out = gradient * gelu(*gate);
    }
    for ((out, gradient), (value, gate)) in
        for_gate.iter_mut().zip(gradient).zip(value.iter().zip(gate))
    {
        *out = gradient * value * gelu_slope(*gate);
    }
}

/// The derivative of x · Φ(x): Φ(x) + x·φ(x).
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    /// 1 / √(2π)
    const PEAK: f32 = 0.398_942_3;
    normal_distribution(x) + x * PEAK * exp(-0.5 * x * x)
}
