//! Euler's method on the probability-flow equation (Karras et al. 2022, arXiv:2206.00364,
//! algorithm 2 without churn).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::betas::{BetaSchedule, alphas_cumprod, rescale_zero_terminal_snr};
use super::{LinearUpdate, PredictionType, Scheduler, TimestepSpacing};
use crate::error::{Error, Result};

/// What is taken for no signal at all, so that noise over signal stays a number: 2^-24, diffusers'
/// choice.
const LAST_SIGNAL: f32 = 1.0 / 16_777_216.0;

/// The keys of a `scheduler_config.json` that this sampler reads, with diffusers' defaults for
/// those the file leaves out: a default of the class that wrote the file does not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EulerDiscreteSchedulerConfig {
    /// Timesteps of training. Default 1000.
    pub num_train_timesteps: usize,
    /// Variance of the first training step. Default 0.0001.
    pub beta_start: f64,
    /// Variance of the last training step. Default 0.02.
    pub beta_end: f64,
    /// The way between them. Default `linear`.
    pub beta_schedule: BetaSchedule,
    /// All variances, instead of the three values above. Default none.
    pub trained_betas: Option<Vec<f32>>,
    /// What the model predicts. Default `epsilon`.
    pub prediction_type: PredictionType,
    /// Which timesteps are visited. Default `linspace`.
    pub timestep_spacing: TimestepSpacing,
    /// Added to the timesteps of `leading`. Default 0.
    pub steps_offset: usize,
    /// Sigmas between timesteps. Default, and the only one here, `linear`.
    pub interpolation_type: String,
    /// Sigmas as Karras et al. space them: not supported. Default false.
    pub use_karras_sigmas: bool,
    /// Whether training left nothing of the signal at the last timestep. Default false.
    pub rescale_betas_zero_snr: bool,
}

impl Default for EulerDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::default(),
            trained_betas: None,
            prediction_type: PredictionType::default(),
            timestep_spacing: TimestepSpacing::default(),
            steps_offset: 0,
            interpolation_type: "linear".to_owned(),
            use_karras_sigmas: false,
            rescale_betas_zero_snr: false,
        }
    }
}

impl EulerDiscreteSchedulerConfig {
    /// The values that `scheduler/scheduler_config.json` of Stable Diffusion 1.5 writes.
    pub fn stable_diffusion() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            steps_offset: 1,
            ..Self::default()
        }
    }

    /// Reads the text of a `scheduler_config.json`; `origin` names the file in errors. Keys of
    /// other samplers are ignored.
    ///
    /// # Errors
    /// When the text is not JSON or asks for something this sampler cannot do.
    pub fn from_json(origin: &str, text: &str) -> Result<Self> {
        let config: Self =
            serde_json::from_str(text).map_err(|e| Error::config(origin, e.to_string()))?;
        config.validate().map_err(|reason| Error::config(origin, reason))?;
        Ok(config)
    }

    /// The sampler for `steps` steps.
    ///
    /// # Errors
    /// When the configuration is contradictory, or `steps` is 0 or more than the timesteps of
    /// training.
    pub fn init(&self, steps: usize) -> Result<EulerDiscreteScheduler> {
        self.validate().map_err(|reason| Error::config("scheduler_config.json", reason))?;
        if steps == 0 || steps > self.num_train_timesteps {
            let reason = format!("{steps} is not in 1..={}", self.num_train_timesteps);
            return Err(Error::request("steps", reason));
        }
        let timesteps = self.timesteps(steps);
        let train_sigmas = self.train_sigmas();
        let mut sigmas: Vec<f64> =
            timesteps.iter().map(|&t| f64::from(interpolate(&train_sigmas, t) as f32)).collect();
        sigmas.push(0.0);
        Ok(EulerDiscreteScheduler { config: self.clone(), timesteps, sigmas })
    }

    fn validate(&self) -> Result<(), String> {
        if self.use_karras_sigmas {
            return Err(
                "use_karras_sigmas is not supported by the Euler sampler; set it to false \
                        or remove it"
                    .to_owned(),
            );
        }
        if self.rescale_betas_zero_snr && self.prediction_type == PredictionType::Epsilon {
            return Err("rescale_betas_zero_snr leaves nothing to predict the noise from; set \
                        prediction_type to v_prediction"
                .to_owned());
        }
        if self.interpolation_type != "linear" {
            return Err(format!("interpolation_type `{}`: use linear", self.interpolation_type));
        }
        let count = self.num_train_timesteps;
        if count == 0 {
            return Err("num_train_timesteps is 0; Stable Diffusion has 1000".to_owned());
        }
        if let Some(betas) = &self.trained_betas
            && betas.len() != count
        {
            return Err(format!(
                "trained_betas has {} values for {count} num_train_timesteps",
                betas.len()
            ));
        }
        if !self.betas().iter().all(|beta| *beta > 0.0 && *beta < 1.0) {
            return Err(
                "beta_start, beta_end and trained_betas have to lie between 0 and 1, both \
                        excluded"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn betas(&self) -> Vec<f32> {
        match &self.trained_betas {
            Some(betas) => betas.clone(),
            None => {
                self.beta_schedule.betas(self.beta_start, self.beta_end, self.num_train_timesteps)
            }
        }
    }

    /// The share of the signal in the variance at each training timestep.
    pub(crate) fn alphas_cumprod(&self) -> Vec<f32> {
        if !self.rescale_betas_zero_snr {
            return alphas_cumprod(&self.betas());
        }
        let mut alphas = alphas_cumprod(&rescale_zero_terminal_snr(&self.betas()));
        if let Some(last) = alphas.last_mut() {
            *last = LAST_SIGNAL;
        }
        alphas
    }

    /// Noise over signal at each training timestep.
    fn train_sigmas(&self) -> Vec<f32> {
        self.alphas_cumprod().into_iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
    }

    /// Descending; float32 values, as the model is given them.
    fn timesteps(&self, steps: usize) -> Vec<f64> {
        let train = self.num_train_timesteps;
        let last = (train - 1) as f64;
        let step = |i: usize| match self.timestep_spacing {
            TimestepSpacing::Linspace if i + 1 == steps && steps > 1 => last,
            TimestepSpacing::Linspace => i as f64 * (last / (steps.max(2) - 1) as f64),
            TimestepSpacing::Leading => (i * (train / steps) + self.steps_offset) as f64,
            TimestepSpacing::Trailing => {
                let back = (steps - 1 - i) as f64;
                (train as f64 - back * (train as f64 / steps as f64)).round_ties_even() - 1.0
            }
        };
        (0..steps).rev().map(|i| f64::from(step(i) as f32)).collect()
    }
}

/// numpy's `interp` over the indices of `values`: constant outside.
fn interpolate(values: &[f32], position: f64) -> f64 {
    let last = values.len() - 1;
    let position = position.clamp(0.0, last as f64);
    let below = position.floor() as usize;
    let (low, high) = (f64::from(values[below]), f64::from(values[(below + 1).min(last)]));
    low + (high - low) * (position - below as f64)
}

/// The Euler sampler for a number of steps.
#[derive(Clone, Debug)]
pub struct EulerDiscreteScheduler {
    config: EulerDiscreteSchedulerConfig,
    timesteps: Vec<f64>,
    /// One more than the timesteps: the last is 0.
    sigmas: Vec<f64>,
}

impl EulerDiscreteScheduler {
    /// Noise over signal at the beginning of each step, and 0 at the end.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }
}

impl Scheduler for EulerDiscreteScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        let largest = self.sigmas.iter().copied().fold(0.0, f64::max);
        match self.config.timestep_spacing {
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
        }
    }

    fn input_scale(&self, index: usize) -> f64 {
        let sigma = self.sigmas[index];
        1.0 / (sigma * sigma + 1.0).sqrt()
    }

    fn update(&self, index: usize) -> LinearUpdate {
        let sigma = self.sigmas[index];
        let change = self.sigmas[index + 1] - sigma;
        match self.config.prediction_type {
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

    /// Always: the original draws the noise of its churn, of which there is none.
    fn draws_noise(&self, _index: usize) -> bool {
        true
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        original + noise * self.sigmas[index]
    }
}
