//! The samplers by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerKind {
    /// Euler's method, the original's choice.
    #[default]
    Euler,
    /// Euler's method with fresh noise at every step.
    EulerAncestral,
    /// Song et al. 2020, arXiv:2010.02502.
    Ddim,
    /// Ho et al. 2020, arXiv:2006.11239.
    Ddpm,
    /// DPM-Solver++ (2M) of Lu et al. 2022, arXiv:2211.01095.
    DpmsolverMultistep,
    /// Latent consistency models, Luo et al. 2023, arXiv:2310.04378.
    Lcm,
}

impl SchedulerKind {
    /// Every sampler, in the order options list them.
    pub const ALL: [Self; 6] = [
        Self::Euler,
        Self::EulerAncestral,
        Self::Ddim,
        Self::Ddpm,
        Self::DpmsolverMultistep,
        Self::Lcm,
    ];

    /// The name of diffusers' class, as `_class_name` of a `scheduler_config.json` has it.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Euler => "EulerDiscreteScheduler",
            Self::EulerAncestral => "EulerAncestralDiscreteScheduler",
            Self::Ddim => "DDIMScheduler",
            Self::Ddpm => "DDPMScheduler",
            Self::DpmsolverMultistep => "DPMSolverMultistepScheduler",
            Self::Lcm => "LCMScheduler",
        }
    }

    /// The sampler of that class.
    pub fn of_class(class_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.class_name() == class_name)
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Euler => "euler",
            Self::EulerAncestral => "euler_ancestral",
            Self::Ddim => "ddim",
            Self::Ddpm => "ddpm",
            Self::DpmsolverMultistep => "dpmsolver_multistep",
            Self::Lcm => "lcm",
        })
    }
}

impl FromStr for SchedulerKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|kind| kind.to_string() == name).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            Error::request("scheduler", format!("`{text}` is unknown; use {}", names.join(", ")))
        })
    }
}
