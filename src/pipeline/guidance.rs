//! Guidance by the prompts (Ho & Salimans 2022, arXiv:2207.12598), by the picture (after Brooks et al.
//! 2023, arXiv:2211.09800), and away from the clip that stands still.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::ModelSettings;
use crate::error::{Error, Result};

/// How the scale goes from its first to its last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuidanceMethod {
    /// Evenly, both ends included.
    #[default]
    Linear,
    /// The first half of the steps at the first value.
    TwoStage,
    /// Thirds: the first value, the mean of both, the last value.
    ThreeStage,
    /// Three steps at the first value.
    FixTwoStage,
}

impl GuidanceMethod {
    /// Every method, in the order options list them.
    pub const ALL: [Self; 4] = [Self::Linear, Self::TwoStage, Self::ThreeStage, Self::FixTwoStage];
}

impl fmt::Display for GuidanceMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::TwoStage => "two_stage",
            Self::ThreeStage => "three_stage",
            Self::FixTwoStage => "fix_two_stage",
        })
    }
}

impl FromStr for GuidanceMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|method| method.to_string() == name).ok_or_else(|| {
            let known = Self::ALL.map(|method| method.to_string()).join(", ");
            let reason = format!("`{text}` is unknown; use one of {known}");
            Error::request("video-guidance-scale-method", reason)
        })
    }
}

/// Strength of guidance over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guidance {
    /// Scale of the first step; up to 1 there is no guidance at all. Default 3.5.
    pub scale: f64,
    /// Scale of the last step, `None` for the same at every step. Default `None`.
    pub end: Option<f64>,
    /// The way between them. Default `linear`.
    pub method: GuidanceMethod,
    /// How strongly the first step follows the picture: it goes this many times as far from what the
    /// network predicts with the condition frames out of sight of its spatial self attentions, in the way
    /// that all frames of a window have in common; 0 or more.
    /// Default 1, as the original: as far as the network itself. Any other lets it predict once more.
    pub image_scale: f64,
    /// The same of the last step, with all between evenly; `None` for the same at every step. Default
    /// `None`.
    pub image_end: Option<f64>,
    /// How strongly clips move: every step goes this many times as far from the clip that stands still,
    /// the mean of the predicted frames, while noise is strong (at timesteps of 600 and above), where motion
    /// is decided; 0 or more. Default 1, as the original: as far as the network itself.
    pub motion_scale: f64,
}

impl Default for Guidance {
    fn default() -> Self {
        Self {
            scale: 3.5,
            end: None,
            method: GuidanceMethod::default(),
            image_scale: 1.0,
            image_end: None,
            motion_scale: 1.0,
        }
    }
}

impl Guidance {
    /// What suits a model.
    pub fn of(settings: &ModelSettings) -> Self {
        Self {
            scale: settings.video_guidance_scale,
            image_scale: settings.image_guidance_scale,
            image_end: settings.image_guidance_scale_end,
            motion_scale: settings.motion_guidance_scale,
            ..Self::default()
        }
    }

    /// Whether the network also predicts for the negative prompt. As in MuseV the first scale alone
    /// decides.
    pub fn is_on(&self) -> bool {
        self.scale > 1.0
    }

    /// Checks every scale.
    ///
    /// # Errors
    /// When one is not finite, or one that is not of the prompts negative.
    pub fn validate(&self) -> Result<()> {
        let scales = [
            ("video-guidance-scale", self.scale, f64::MIN),
            ("video-guidance-scale-end", self.end.unwrap_or(self.scale), f64::MIN),
            ("image-guidance-scale", self.image_scale, 0.0),
            ("image-guidance-scale-end", self.image_end.unwrap_or(self.image_scale), 0.0),
            ("motion-guidance-scale", self.motion_scale, 0.0),
        ];
        for (option, value, least) in scales {
            if !value.is_finite() {
                return Err(Error::request(option, format!("{value} is not a finite number")));
            }
            if value < least {
                return Err(Error::request(option, format!("{value} is not 0 or more")));
            }
        }
        Ok(())
    }

    /// The scale of the picture in each of `steps` steps.
    pub fn image_scales(&self, steps: usize) -> Vec<f64> {
        linspace(self.image_scale, self.image_end.unwrap_or(self.image_scale), steps)
    }

    /// The scale of the prompts in each of `steps` steps.
    pub fn scales(&self, steps: usize) -> Vec<f64> {
        let start = self.scale;
        let stop = self.end.unwrap_or(start);
        if start == stop {
            return vec![start; steps];
        }
        match self.method {
            GuidanceMethod::Linear => linspace(start, stop, steps),
            GuidanceMethod::TwoStage => {
                (0..steps).map(|i| if i < steps / 2 { start } else { stop }).collect()
            }
            GuidanceMethod::ThreeStage => {
                let third = steps / 3;
                // MuseV divides with Python's `//`: the mean is rounded down to a whole number.
                let middle = ((start + stop) / 2.0).floor();
                (0..steps)
                    .map(|i| match i {
                        i if i < third => start,
                        i if i < 2 * third => middle,
                        _ => stop,
                    })
                    .collect()
            }
            GuidanceMethod::FixTwoStage => {
                (0..steps).map(|i| if i < 3 { start } else { stop }).collect()
            }
        }
    }
}

/// numpy's `linspace`, both ends included; rounded as there.
fn linspace(start: f64, stop: f64, steps: usize) -> Vec<f64> {
    let gaps = steps.saturating_sub(1);
    let step = (stop - start) / gaps.max(1) as f64;
    (0..steps).map(|i| if i > 0 && i == gaps { stop } else { i as f64 * step + start }).collect()
}
