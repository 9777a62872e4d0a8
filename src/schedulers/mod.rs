//! Noise schedules and samplers, as diffusers computes them.
//!
//! A sampler here is a table made once for a number of steps: it keeps no state and sees no model.
//! Every sampler of this field that musev needs is linear in the current sample and the model
//! output, so a step is given by its coefficients, and the loop can apply them in the same pass as
//! window averaging and guidance.

mod betas;
mod euler;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use betas::BetaSchedule;
pub use euler::{EulerDiscreteScheduler, EulerDiscreteSchedulerConfig};

/// What the model predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    #[default]
    Epsilon,
    /// The velocity (Salimans & Ho 2022, arXiv:2202.00512).
    VPrediction,
}

/// Which of the training timesteps are visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// From the last to the first, evenly; timesteps may be fractions.
    #[default]
    Linspace,
    /// Whole steps counted from the first one.
    Leading,
    /// Whole steps counted from the last one.
    Trailing,
}

/// One denoising step: `sample · x + output · model_output` is the next x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearUpdate {
    /// Factor of the current sample.
    pub sample: f64,
    /// Factor of the model output.
    pub output: f64,
}

/// A sampler set up for a number of steps. `index` counts the steps from 0.
pub trait Scheduler {
    /// The timestep of every step, as the model is given it.
    fn timesteps(&self) -> &[f64];

    /// Standard deviation of the noise that denoising starts from.
    fn init_noise_sigma(&self) -> f64;

    /// Factor of the sample before it enters the model.
    fn input_scale(&self, index: usize) -> f64;

    /// The coefficients of step `index`.
    fn update(&self, index: usize) -> LinearUpdate;

    /// Whether step `index` of the original draws noise of the sample's shape. Where the update has
    /// no use for it, the draw still has to be made: it advances the random generator.
    fn draws_noise(&self, index: usize) -> bool;

    /// `original` with noise as strong as at the beginning of step `index`.
    ///
    /// # Shapes
    /// - `original`, `noise`, output: `[b, c, t, h, w]`
    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5>;
}
