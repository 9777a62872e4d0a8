//! Denoising diffusion implicit models (Song et al. 2020, arXiv:2010.02502, equation 12).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::strides::Strides;
use super::{LinearUpdate, Scheduler, SchedulerConfig, Step};

/// The DDIM sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct DDIMScheduler {
    strides: Strides,
    /// ā after the last step.
    final_alpha_cumprod: f64,
    eta: f64,
}

impl DDIMScheduler {
    /// `eta` is the share of fresh noise: 0 is deterministic, 1 as much as DDPM.
    pub(super) fn new(
        config: &SchedulerConfig,
        process: ForwardProcess,
        (steps, eta): (usize, f64),
    ) -> Self {
        let final_alpha_cumprod =
            if config.set_alpha_to_one { 1.0 } else { process.alpha_cumprod(0) };
        Self { strides: Strides::new(config, process, steps), final_alpha_cumprod, eta }
    }
}

impl Scheduler for DDIMScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.strides.timesteps
    }

    fn original(&self, index: usize) -> LinearUpdate {
        self.strides.original(index)
    }

    fn step(&self, index: usize) -> Step {
        let Strides { process, .. } = &self.strides;
        let alpha = self.strides.alpha(index);
        let before = self.strides.next_alpha(index).unwrap_or(self.final_alpha_cumprod);
        let variance = (1.0 - before) / (1.0 - alpha) * (1.0 - alpha / before);
        let deviation = self.eta * variance.max(0.0).sqrt();
        let direction = (1.0 - before - deviation * deviation).max(0.0).sqrt();
        Step {
            linear: self.original(index) * before.sqrt()
                + process.epsilon(self.strides.timestep(index)) * direction,
            noise: deviation,
            noise_mean: (1.0 - before).sqrt() - direction,
            kept: 0.0,
        }
    }

    fn draws_noise(&self, _index: usize) -> bool {
        self.eta > 0.0
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.strides.process.add_noise(original, noise, self.strides.timestep(index))
    }
}
