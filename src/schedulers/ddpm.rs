//! Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239, equation 7).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::{LinearUpdate, Scheduler, SchedulerConfig, Step, TimestepSpacing, VarianceType};

/// The least variance of fresh noise.
const LEAST_VARIANCE: f64 = 1e-20;

/// The DDPM sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct DDPMScheduler {
    process: ForwardProcess,
    variance_type: VarianceType,
    timesteps: Vec<f64>,
    /// Training timesteps between two steps.
    stride: usize,
}

impl DDPMScheduler {
    pub(super) fn new(config: &SchedulerConfig, process: ForwardProcess, steps: usize) -> Self {
        let spacing = config.spacing_or(TimestepSpacing::Leading);
        Self {
            variance_type: config.variance_type.unwrap_or_default(),
            timesteps: config.whole_timesteps(spacing, steps),
            stride: process.timesteps() / steps,
            process,
        }
    }

    fn timestep(&self, index: usize) -> usize {
        self.timesteps[index] as usize
    }
}

impl Scheduler for DDPMScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&self, index: usize) -> Step {
        let timestep = self.timestep(index);
        let alpha = self.process.alpha_cumprod(timestep);
        let before = match timestep.checked_sub(self.stride) {
            Some(before) => self.process.alpha_cumprod(before),
            None => 1.0,
        };
        // Of this step alone.
        let step_alpha = alpha / before;
        let step_beta = 1.0 - step_alpha;
        let original = before.sqrt() * step_beta / (1.0 - alpha);
        let sample = step_alpha.sqrt() * (1.0 - before) / (1.0 - alpha);
        let variance = match self.variance_type {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => {
                ((1.0 - before) / (1.0 - alpha) * step_beta).max(LEAST_VARIANCE)
            }
            VarianceType::FixedLarge => step_beta,
        };
        Step {
            linear: self.process.original(timestep) * original + LinearUpdate::SAMPLE * sample,
            noise: if timestep > 0 { variance.sqrt() } else { 0.0 },
            kept: 0.0,
        }
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.process.add_noise(original, noise, self.timestep(index))
    }
}
