//! `scheduler/scheduler_config.json`.

use serde::{Deserialize, Serialize};

use super::betas::{BetaSchedule, alphas_cumprod, rescale_zero_terminal_snr};
use super::ddim::DDIMScheduler;
use super::ddpm::DDPMScheduler;
use super::dpm_solver_multistep::{DPMSolverMultistepScheduler, SolverType};
use super::euler::EulerDiscreteScheduler;
use super::euler_ancestral::EulerAncestralDiscreteScheduler;
use super::forward_process::ForwardProcess;
use super::lcm::LCMScheduler;
use super::{PredictionType, Scheduler, SchedulerKind, TimestepSpacing};
use crate::error::{Error, Result};
use crate::json;

/// What is taken for no signal at all where noise over signal has to be a number: 2^-24, diffusers'
/// choice.
const LAST_SIGNAL: f32 = 1.0 / 16_777_216.0;

/// The keys of a `scheduler_config.json` that the samplers read, with diffusers' defaults for those
/// the file leaves out: a default of the class that wrote the file does not count. Where samplers
/// have different defaults, `None` stands for the sampler's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
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
    /// Whether training left nothing of the signal at the last timestep. Default false.
    pub rescale_betas_zero_snr: bool,
    /// What the model predicts. Default `epsilon`.
    pub prediction_type: PredictionType,
    /// Which timesteps are visited. Default `linspace` for Euler and `leading` for DDIM and DDPM;
    /// the others have their own way.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to the timesteps of `leading`. Default 0.
    pub steps_offset: usize,
    /// Euler: sigmas between timesteps. Default, and the only one here, `linear`.
    pub interpolation_type: String,
    /// Sigmas as Karras et al. space them. Default false for Euler, which has no other here, and
    /// true for DPM-Solver++, as in the original.
    pub use_karras_sigmas: Option<bool>,
    /// DDIM: whether nothing of the noise is left at the end. Default true.
    pub set_alpha_to_one: bool,
    /// DDIM, DDPM, LCM: limiting predicted pictures to [-1, 1], which latents are not: only false
    /// works here. Default false, unlike diffusers, whose default suits pictures.
    pub clip_sample: bool,
    /// Limiting predicted pictures by their own range: only false works here. Default false.
    pub thresholding: bool,
    /// DDPM: how strong fresh noise is. Default `fixed_small`.
    pub variance_type: Option<VarianceType>,
    /// DPM-Solver++: its order, 1 or 2. Default 2.
    pub solver_order: usize,
    /// DPM-Solver++: default, and the only one here, `dpmsolver++`.
    pub algorithm_type: String,
    /// DPM-Solver++: how the second-order term is weighed. Default `midpoint`.
    pub solver_type: SolverType,
    /// DPM-Solver++: whether few steps end with one of first order. Default true.
    pub lower_order_final: bool,
    /// LCM: steps that the model was distilled with. Default 50.
    pub original_inference_steps: usize,
    /// LCM: factor of timesteps in the boundary condition. Default 10.
    pub timestep_scaling: f64,
}

/// How strong the fresh noise of DDPM is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceType {
    /// As much as is right for a clean picture.
    #[default]
    FixedSmall,
    /// The same, by way of its logarithm.
    FixedSmallLog,
    /// As much as is right for pure noise.
    FixedLarge,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::default(),
            trained_betas: None,
            rescale_betas_zero_snr: false,
            prediction_type: PredictionType::default(),
            timestep_spacing: None,
            steps_offset: 0,
            interpolation_type: "linear".to_owned(),
            use_karras_sigmas: None,
            set_alpha_to_one: true,
            clip_sample: false,
            thresholding: false,
            variance_type: None,
            solver_order: 2,
            algorithm_type: "dpmsolver++".to_owned(),
            solver_type: SolverType::default(),
            lower_order_final: true,
            original_inference_steps: 50,
            timestep_scaling: 10.0,
        }
    }
}

impl SchedulerConfig {
    /// The values that `scheduler/scheduler_config.json` of Stable Diffusion 1.5 writes.
    pub fn stable_diffusion() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            steps_offset: 1,
            set_alpha_to_one: false,
            ..Self::default()
        }
    }

    /// The original's schedule with zero terminal SNR (Lin et al. 2023, arXiv:2305.08891), for models
    /// that predict velocity; it is for DDIM.
    pub fn zero_snr() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::Linear,
            steps_offset: 1,
            prediction_type: PredictionType::VPrediction,
            rescale_betas_zero_snr: true,
            timestep_spacing: Some(TimestepSpacing::Trailing),
            ..Self::default()
        }
    }

    /// Reads the text of a `scheduler_config.json`; `origin` names the file in errors. Keys that no
    /// sampler here knows are ignored.
    ///
    /// # Errors
    /// When the text is not JSON or asks for something that no sampler can do.
    pub fn from_json(origin: &str, text: &str) -> Result<Self> {
        let config: Self =
            json::from_python(text).map_err(|e| Error::config(origin, e.to_string()))?;
        config.validate().map_err(|reason| Error::config(origin, reason))?;
        Ok(config)
    }

    /// The sampler `kind` for `steps` steps. `eta` is DDIM's share of fresh noise, 0 for none.
    ///
    /// # Errors
    /// When the configuration is contradictory or not for this sampler, or `steps` is 0 or more
    /// than there are.
    pub fn init(&self, kind: SchedulerKind, steps: usize, eta: f64) -> Result<Box<dyn Scheduler>> {
        self.validate()
            .and_then(|()| self.validate_for(kind))
            .map_err(|reason| Error::config("scheduler_config.json", reason))?;
        let most = match kind {
            SchedulerKind::Lcm => self.original_inference_steps,
            _ => self.num_train_timesteps,
        };
        if steps == 0 || steps > most {
            return Err(Error::request("steps", format!("{steps} is not in 1..={most}")));
        }
        if !(0.0..=1.0).contains(&eta) {
            return Err(Error::request("eta", format!("{eta} is not between 0 and 1")));
        }
        if eta != 0.0 && kind != SchedulerKind::Ddim {
            return Err(Error::request("eta", format!("only the sampler ddim has it, not {kind}")));
        }
        let mut alphas = self.alphas_cumprod();
        let by_sigma = matches!(
            kind,
            SchedulerKind::Euler
                | SchedulerKind::EulerAncestral
                | SchedulerKind::DpmsolverMultistep
        );
        if let Some(last) = alphas.last_mut().filter(|_| by_sigma) {
            *last = last.max(LAST_SIGNAL);
        }
        let process = ForwardProcess::new(alphas, self.prediction_type);
        Ok(match kind {
            SchedulerKind::Euler => Box::new(EulerDiscreteScheduler::new(self, &process, steps)),
            SchedulerKind::EulerAncestral => {
                Box::new(EulerAncestralDiscreteScheduler::new(self, &process, steps))
            }
            SchedulerKind::Ddim => Box::new(DDIMScheduler::new(self, process, (steps, eta))),
            SchedulerKind::Ddpm => Box::new(DDPMScheduler::new(self, process, steps)),
            SchedulerKind::DpmsolverMultistep => {
                Box::new(DPMSolverMultistepScheduler::new(self, process, steps))
            }
            SchedulerKind::Lcm => Box::new(LCMScheduler::new(self, process, steps)),
        })
    }

    /// How training turned pictures into noise.
    #[cfg(feature = "train")]
    pub(crate) fn forward_process(&self) -> ForwardProcess {
        ForwardProcess::new(self.alphas_cumprod(), self.prediction_type)
    }

    fn validate(&self) -> Result<(), String> {
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
        if self.rescale_betas_zero_snr && self.prediction_type == PredictionType::Epsilon {
            return Err("rescale_betas_zero_snr leaves nothing to predict the noise from; set \
                        prediction_type to v_prediction"
                .to_owned());
        }
        if self.thresholding {
            return Err("thresholding is for pictures, not for latents; set it to false".to_owned());
        }
        Ok(())
    }

    /// Checks the keys that only some samplers read.
    fn validate_for(&self, kind: SchedulerKind) -> Result<(), String> {
        match kind {
            SchedulerKind::Euler if self.use_karras_sigmas == Some(true) => {
                Err("use_karras_sigmas is not supported by the Euler sampler; set it to false, \
                     remove it, or use the sampler dpmsolver_multistep"
                    .to_owned())
            }
            SchedulerKind::Euler if self.interpolation_type != "linear" => {
                Err(format!("interpolation_type `{}`: use linear", self.interpolation_type))
            }
            SchedulerKind::Ddim | SchedulerKind::Ddpm | SchedulerKind::Lcm if self.clip_sample => {
                Err("clip_sample is for pictures, not for latents; set it to false".to_owned())
            }
            SchedulerKind::DpmsolverMultistep if !matches!(self.solver_order, 1 | 2) => {
                Err(format!("solver_order {}: use 1 or 2", self.solver_order))
            }
            SchedulerKind::DpmsolverMultistep if self.algorithm_type != "dpmsolver++" => {
                Err(format!("algorithm_type `{}`: use dpmsolver++", self.algorithm_type))
            }
            SchedulerKind::Lcm
                if !(1..=self.num_train_timesteps).contains(&self.original_inference_steps) =>
            {
                Err(format!(
                    "original_inference_steps {} is not between 1 and num_train_timesteps {}",
                    self.original_inference_steps, self.num_train_timesteps
                ))
            }
            _ => Ok(()),
        }
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
    fn alphas_cumprod(&self) -> Vec<f32> {
        let betas = self.betas();
        if self.rescale_betas_zero_snr {
            alphas_cumprod(&rescale_zero_terminal_snr(&betas))
        } else {
            alphas_cumprod(&betas)
        }
    }

    /// The spacing that the file asks for, or the sampler's own.
    pub(super) fn spacing_or(&self, own: TimestepSpacing) -> TimestepSpacing {
        self.timestep_spacing.unwrap_or(own)
    }

    /// Descending; float32 values, as the model is given them.
    pub(super) fn timesteps(&self, spacing: TimestepSpacing, steps: usize) -> Vec<f64> {
        let train = self.num_train_timesteps;
        let last = (train - 1) as f64;
        let step = |i: usize| match spacing {
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

    /// The same rounded to training timesteps, for samplers that look them up.
    pub(super) fn whole_timesteps(&self, spacing: TimestepSpacing, steps: usize) -> Vec<f64> {
        let last = (self.num_train_timesteps - 1) as f64;
        let whole = |timestep: f64| timestep.round_ties_even().min(last);
        self.timesteps(spacing, steps).into_iter().map(whole).collect()
    }
}
