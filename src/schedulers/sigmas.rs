//! Noise levels as noise over signal, for the samplers that let the variance grow.

use super::forward_process::ForwardProcess;
use super::{LinearUpdate, PredictionType};

/// Noise over signal at each training timestep.
pub(super) fn train_sigmas(process: &ForwardProcess) -> Vec<f32> {
    (0..process.timesteps())
        .map(|timestep| {
            let alpha = process.alpha_cumprod(timestep) as f32;
            ((1.0 - alpha) / alpha).sqrt()
        })
        .collect()
}

/// The sigmas at `timesteps`, between whole ones linearly, and 0 at the end.
pub(super) fn at(timesteps: &[f64], train_sigmas: &[f32]) -> Vec<f64> {
    let sigma = |&timestep: &f64| f64::from(interpolate(train_sigmas, timestep) as f32);
    timesteps.iter().map(sigma).chain([0.0]).collect()
}

/// numpy's `interp` over the indices of `values`: constant outside.
fn interpolate(values: &[f32], position: f64) -> f64 {
    let last = values.len() - 1;
    let position = position.clamp(0.0, last as f64);
    let below = position.floor() as usize;
    let (low, high) = (f64::from(values[below]), f64::from(values[(below + 1).min(last)]));
    low + (high - low) * (position - below as f64)
}

/// Factor of a sample of noise level `sigma` before it enters the model.
pub(super) fn input_scale(sigma: f64) -> f64 {
    1.0 / (sigma * sigma + 1.0).sqrt()
}

/// The clean sample that a prediction tells, by a sample of noise level `sigma` that
/// [`input_scale`] has scaled.
pub(super) fn original(prediction_type: PredictionType, sigma: f64) -> LinearUpdate {
    let scale = input_scale(sigma);
    match prediction_type {
        PredictionType::Epsilon => LinearUpdate { sample: scale.recip(), output: -sigma },
        PredictionType::VPrediction => LinearUpdate { sample: scale, output: -sigma * scale },
    }
}

/// One step of Euler's method from `sigma` to `next`.
pub(super) fn euler_step(prediction_type: PredictionType, sigma: f64, next: f64) -> LinearUpdate {
    let change = next - sigma;
    match prediction_type {
        PredictionType::Epsilon => LinearUpdate { sample: 1.0, output: change },
        PredictionType::VPrediction => {
            let variance = sigma * sigma + 1.0;
            LinearUpdate {
                sample: 1.0 + change * sigma / variance,
                output: change / variance.sqrt(),
            }
        }
    }
}
