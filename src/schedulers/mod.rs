//! Noise schedules and samplers, as diffusers and MuseV compute them.
//!
//! A sampler here is a table made once for a number of steps: it keeps no state and sees no model.
//! Every sampler of this field that musev needs is linear in the current sample, the model output,
//! fresh noise and at most one tensor kept from the step before, so a step is given by its
//! coefficients, and the loop can apply them in the same pass as window averaging and guidance.

mod betas;
mod config;
mod ddim;
mod ddpm;
mod dpm_solver_multistep;
mod euler;
mod euler_ancestral;
mod forward_process;
mod kind;
mod late_start;
mod lcm;
mod sigmas;
mod strides;

use std::fmt::Debug;
use std::ops::{Add, Mul};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use betas::BetaSchedule;
pub use config::{SchedulerConfig, VarianceType};
pub use dpm_solver_multistep::SolverType;
#[cfg(feature = "train")]
pub(crate) use forward_process::ForwardProcess;
pub use kind::SchedulerKind;
pub use late_start::LateStart;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// From the last to the first, evenly; timesteps may be fractions.
    Linspace,
    /// Whole steps counted from the first one.
    Leading,
    /// Whole steps counted from the last one.
    Trailing,
}

/// `sample · x + output · model_output`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinearUpdate {
    /// Factor of the current sample.
    pub sample: f64,
    /// Factor of the model output.
    pub output: f64,
}

impl LinearUpdate {
    /// The current sample as it is.
    pub const SAMPLE: Self = Self { sample: 1.0, output: 0.0 };
}

impl Add for LinearUpdate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sample: self.sample + other.sample, output: self.output + other.output }
    }
}

impl Mul<f64> for LinearUpdate {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self { sample: self.sample * factor, output: self.output * factor }
    }
}

/// One denoising step: `linear + noise · z + kept · k` is the next x, with z drawn from the normal
/// distribution and k what [`Scheduler::keeps`] of the step before was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Of the current sample and the model output.
    pub linear: LinearUpdate,
    /// Factor of fresh noise.
    pub noise: f64,
    /// Factor of the noise's mean in what is added with fresh noise, if noise has a mean: what `linear`
    /// leaves of it is that much less than the next step expects.
    pub noise_mean: f64,
    /// Factor of what the step before kept.
    pub kept: f64,
}

impl From<LinearUpdate> for Step {
    fn from(linear: LinearUpdate) -> Self {
        Self { linear, ..Self::default() }
    }
}

/// A sampler set up for a number of steps. `index` counts the steps from 0.
pub trait Scheduler: Debug {
    /// The timestep of every step, as the model is given it.
    fn timesteps(&self) -> &[f64];

    /// Standard deviation of the noise that denoising starts from.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// Noise over signal at the beginning of each step, and 0 at the end; empty for a sampler that
    /// keeps the variance.
    fn sigmas(&self) -> &[f64] {
        &[]
    }

    /// Factor of the sample before it enters the model.
    fn input_scale(&self, _index: usize) -> f64 {
        1.0
    }

    /// The clean sample that a prediction in step `index` tells, by the sample as the model is given
    /// it.
    fn original(&self, index: usize) -> LinearUpdate;

    /// The coefficients of step `index`.
    fn step(&self, index: usize) -> Step;

    /// The coefficients of step `index` where denoising begins with it, so that no step before kept
    /// anything.
    fn first_step(&self, index: usize) -> Step {
        self.step(index)
    }

    /// What step `index` leaves to the next one: none for samplers of one step.
    fn keeps(&self, _index: usize) -> Option<LinearUpdate> {
        None
    }

    /// Whether step `index` of the original draws noise of the sample's shape. Where the step has
    /// no use for it, the draw still has to be made: it advances the random generator.
    fn draws_noise(&self, index: usize) -> bool {
        self.step(index).noise != 0.0
    }

    /// `original` with noise as strong as at the beginning of step `index`.
    ///
    /// # Shapes
    /// - `original`, `noise`, output: `[b, c, t, h, w]`
    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5>;
}
