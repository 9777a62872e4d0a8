//! Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239, equation 7).

use burn::tensor::Tensor;

use super::forward_process::ForwardProcess;
use super::strides::Strides;
use super::{LinearUpdate, Scheduler, SchedulerConfig, Step, VarianceType};

/// The least variance of fresh noise.
const LEAST_VARIANCE: f64 = 1e-20;

/// The DDPM sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct DDPMScheduler {
    strides: Strides,
    variance_type: VarianceType,
}

impl DDPMScheduler {
    pub(super) fn new(config: &SchedulerConfig, process: ForwardProcess, steps: usize) -> Self {
        let variance_type = config.variance_type.unwrap_or_default();
        Self { strides: Strides::new(config, process, steps), variance_type }
    }
}

impl Scheduler for DDPMScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.strides.timesteps
    }

    fn original(&self, index: usize) -> LinearUpdate {
        self.strides.original(index)
    }

    fn step(&self, index: usize) -> Step {
        let timestep = self.strides.timestep(index);
        let alpha = self.strides.alpha(index);
        let before = self.strides.next_alpha(index).unwrap_or(1.0);
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
            linear: self.original(index) * original + LinearUpdate::SAMPLE * sample,
            noise: if timestep > 0 { variance.sqrt() } else { 0.0 },
            noise_mean: (1.0 - before).sqrt() - sample * (1.0 - alpha).sqrt(),
            kept: 0.0,
        }
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.strides.process.add_noise(original, noise, self.strides.timestep(index))
    }
}
