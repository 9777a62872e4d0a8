//! Multistep sampling of latent consistency models (Luo et al. 2023, arXiv:2310.04378, algorithm 3).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::{LinearUpdate, Scheduler, SchedulerConfig, Step};

/// Standard deviation that the model takes pictures to have.
const SIGMA_DATA: f64 = 0.5;

/// The LCM sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct LCMScheduler {
    process: ForwardProcess,
    timestep_scaling: f64,
    timesteps: Vec<f64>,
}

impl LCMScheduler {
    /// The steps are taken evenly from those that the model was distilled with, at most
    /// `original_inference_steps`.
    pub(super) fn new(config: &SchedulerConfig, process: ForwardProcess, steps: usize) -> Self {
        let original = config.original_inference_steps;
        let stride = process.timesteps() / original;
        let timestep = |i: usize| ((original - i * original / steps) * stride - 1) as f64;
        Self {
            process,
            timestep_scaling: config.timestep_scaling,
            timesteps: (0..steps).map(timestep).collect(),
        }
    }

    fn timestep(&self, index: usize) -> usize {
        self.timesteps[index] as usize
    }
}

impl Scheduler for LCMScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn original(&self, index: usize) -> LinearUpdate {
        self.process.original(self.timestep(index))
    }

    fn step(&self, index: usize) -> Step {
        let scaled = self.timesteps[index] * self.timestep_scaling;
        let norm = scaled.mul_add(scaled, SIGMA_DATA * SIGMA_DATA);
        let skip = SIGMA_DATA * SIGMA_DATA / norm;
        let denoised = self.original(index) * (scaled / norm.sqrt()) + LinearUpdate::SAMPLE * skip;
        match self.timesteps.get(index + 1) {
            Some(&next) => {
                let [signal, noise] = self.process.shares(next as usize);
                let left = signal * skip * self.process.shares(self.timestep(index))[1];
                Step { linear: denoised * signal, noise, noise_mean: noise - left, kept: 0.0 }
            }
            None => denoised.into(),
        }
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.process.add_noise(original, noise, self.timestep(index))
    }
}
