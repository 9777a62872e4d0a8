//! Euler's method on the probability-flow equation (Karras et al. 2022, arXiv:2206.00364,
//! algorithm 2 without churn).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::sigmas;
use super::{LinearUpdate, PredictionType, Scheduler, SchedulerConfig, Step, TimestepSpacing};

/// The Euler sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct EulerDiscreteScheduler {
    prediction_type: PredictionType,
    init_noise_sigma: f64,
    timesteps: Vec<f64>,
    /// One more than the timesteps: the last is 0.
    sigmas: Vec<f64>,
}

impl EulerDiscreteScheduler {
    pub(super) fn new(config: &SchedulerConfig, process: &ForwardProcess, steps: usize) -> Self {
        let spacing = config.spacing_or(TimestepSpacing::Linspace);
        let timesteps = config.timesteps(spacing, steps);
        let sigmas = sigmas::at(&timesteps, &sigmas::train_sigmas(process));
        let largest = sigmas.iter().copied().fold(0.0, f64::max);
        let init_noise_sigma = match spacing {
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
        };
        Self { prediction_type: config.prediction_type, init_noise_sigma, timesteps, sigmas }
    }
}

impl Scheduler for EulerDiscreteScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn input_scale(&self, index: usize) -> f64 {
        sigmas::input_scale(self.sigmas[index])
    }

    fn original(&self, index: usize) -> LinearUpdate {
        sigmas::original(self.prediction_type, self.sigmas[index])
    }

    fn step(&self, index: usize) -> Step {
        sigmas::euler_step(self.prediction_type, self.sigmas[index], self.sigmas[index + 1]).into()
    }

    /// Always: the original draws the noise of its churn, of which there is none.
    fn draws_noise(&self, _index: usize) -> bool {
        true
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        original + noise * self.sigmas[index]
    }
}
