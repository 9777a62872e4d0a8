//! The end of a denoising step in one pass: average over windows, guidance, scheduler update.

use burn::tensor::Tensor;

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
    reference(latents, sum, counter, step)
}

pub(crate) fn reference(
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
