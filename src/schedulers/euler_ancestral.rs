//! Euler's method to below the next noise level, and fresh noise up to it (Karras et al. 2022,
//! arXiv:2206.00364, with the noise of k-diffusion's ancestral samplers).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::sigmas;
use super::{LinearUpdate, PredictionType, Scheduler, SchedulerConfig, Step, TimestepSpacing};

/// The ancestral Euler sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct EulerAncestralDiscreteScheduler {
    prediction_type: PredictionType,
    timesteps: Vec<f64>,
    /// One more than the timesteps: the last is 0.
    sigmas: Vec<f64>,
}

impl EulerAncestralDiscreteScheduler {
    /// Timesteps are spaced as by `linspace` whatever the configuration says, as in the original.
    pub(super) fn new(config: &SchedulerConfig, process: &ForwardProcess, steps: usize) -> Self {
        let timesteps = config.timesteps(TimestepSpacing::Linspace, steps);
        let sigmas = sigmas::at(&timesteps, &sigmas::train_sigmas(process));
        Self { prediction_type: config.prediction_type, timesteps, sigmas }
    }
}

impl Scheduler for EulerAncestralDiscreteScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.sigmas.iter().copied().fold(0.0, f64::max)
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
        let [from, to] = [self.sigmas[index].powi(2), self.sigmas[index + 1].powi(2)];
        let up = to * (from - to) / from;
        let down = (to - up).sqrt();
        Step {
            linear: sigmas::euler_step(self.prediction_type, self.sigmas[index], down),
            noise: up.sqrt(),
            noise_mean: self.sigmas[index + 1] - down,
            kept: 0.0,
        }
    }

    /// Always: at the last step its factor is 0.
    fn draws_noise(&self, _index: usize) -> bool {
        true
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        original + noise * self.sigmas[index]
    }
}
