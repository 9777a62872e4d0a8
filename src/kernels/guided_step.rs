//! The end of a denoising step in one pass: average over windows, guidance, scheduler update.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;

use super::bridge::{Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised_like};
use super::source::Shader;

/// Coefficients of one [`guided_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuidedStep {
    /// Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598); `None` when the prediction
    /// has no unconditional half.
    pub guidance_scale: Option<f64>,
    /// Factor of the current latents in the scheduler's update.
    pub sample_coefficient: f64,
    /// Factor of the guided model output in the scheduler's update.
    pub output_coefficient: f64,
}

/// `a·latents + b·guided(sum / counter)`, where `guided(u, c) = u + g·(c - u)`.
///
/// # Shapes
/// - `latents`, output: `[b, c, t, h, w]`
/// - `sum`: `[2b, c, t, h, w]` with guidance, unconditional half first; otherwise `[b, c, t, h, w]`
/// - `counter`: `[t]`, nowhere 0
pub fn guided_step(
    latents: Tensor<5>,
    sum: Tensor<5>,
    counter: Tensor<1>,
    step: GuidedStep,
) -> Tensor<5> {
    if shader_serves(&latents) {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::guided_step(
            latents.into_dispatch(),
            sum.into_dispatch(),
            counter.into_dispatch(),
            step,
        ));
    }
    reference(latents, sum, counter, step)
}

pub(super) fn launch(
    latents: CubeTensor,
    sum: CubeTensor,
    counter: CubeTensor,
    step: GuidedStep,
) -> CubeTensor {
    const WORKGROUP: usize = 256;
    let [latents, sum, counter] = contiguous([latents, sum, counter]);
    let [_, _, t, h, w] = latents.shape().dims();
    let elements = latents.shape().num_elements();
    let out = uninitialised_like(&latents);
    let [x, y] = fold(elements.div_ceil(WORKGROUP));
    let factor = |value: f64| (value as f32).to_bits();
    Launch {
        shader: Shader::new("guided_step", latents.dtype, &[("WORKGROUP", WORKGROUP)]),
        buffers: [&latents, &sum, &counter, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &[
            elements as u32,
            t as u32,
            (h * w) as u32,
            u32::from(step.guidance_scale.is_some()),
            factor(step.guidance_scale.unwrap_or(1.0)),
            factor(step.sample_coefficient),
            factor(step.output_coefficient),
        ],
        grid: [x, y, 1],
    }
    .run(&latents);
    out
}

/// The twin in plain tensor operations.
pub fn reference(
    latents: Tensor<5>,
    sum: Tensor<5>,
    counter: Tensor<1>,
    step: GuidedStep,
) -> Tensor<5> {
    let [b, _, t, _, _] = latents.dims();
    let mean = sum / counter.reshape([1, 1, t, 1, 1]);
    let output = match step.guidance_scale {
        Some(scale) => {
            let unconditional = mean.clone().narrow(0, 0, b);
            let conditional = mean.narrow(0, b, b);
            unconditional.clone() + (conditional - unconditional) * scale
        }
        None => mean,
    };
    latents * step.sample_coefficient + output * step.output_coefficient
}
