//! What a model is run with where the user says nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::yaml;
use crate::error::Result;
use crate::files::Files;
use crate::schedulers::SchedulerKind;

/// Name of the file, in the folder of a whole model.
pub const SETTINGS_FILE: &str = "settings.yaml";

/// Settings that suit a model. Those of a model that brings none are the original's for Stable
/// Diffusion 1.5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Width in pixels; `None` takes the picture's.
    pub width: Option<usize>,
    /// Height in pixels; `None` takes the picture's.
    pub height: Option<usize>,
    /// Frames a second.
    pub fps: f64,
    /// Denoising steps of the video.
    pub steps: usize,
    /// Which sampler takes them.
    pub scheduler: SchedulerKind,
    /// Guidance of the video.
    pub video_guidance_scale: f64,
    /// Image guidance of the video in its first step.
    pub image_guidance_scale: f64,
    /// The same in its last; `None` for as much.
    pub image_guidance_scale_end: Option<f64>,
    /// Motion guidance of the video.
    pub motion_guidance_scale: f64,
    /// Share of a frame's own noise in the variance of the noise.
    pub w_ind_noise: f64,
    /// Share of the picture in the initial noise.
    pub img_weight: f64,
    /// Whether noise that is added later has that share too.
    pub keep_img_weight: bool,
    /// Factor on noise that is added later.
    pub s_noise: f64,
    /// Denoising steps of a first frame that is made.
    pub num_inference_steps: usize,
    /// Guidance of a first frame that is made.
    pub guidance_scale: f64,
    /// Negative prompt: a key of the table, or text.
    pub negative_prompt: String,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            width: None,
            height: None,
            fps: 4.0,
            steps: 10,
            scheduler: SchedulerKind::default(),
            video_guidance_scale: 3.5,
            image_guidance_scale: 1.0,
            image_guidance_scale_end: None,
            motion_guidance_scale: 1.0,
            w_ind_noise: 0.5,
            img_weight: 1e-3,
            keep_img_weight: false,
            s_noise: 1.0,
            num_inference_steps: 30,
            guidance_scale: 7.5,
            negative_prompt: "V2".to_owned(),
        }
    }
}

impl ModelSettings {
    /// Parses the text of a settings file; `origin` names it in messages.
    ///
    /// # Errors
    /// When a key is unknown or a value has the wrong type.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        yaml::parse(text, origin)
    }

    /// The settings in the model's folder; the defaults if it has none.
    pub(super) fn of(files: &Files, folder: &Path) -> Result<Self> {
        let path = folder.join(SETTINGS_FILE);
        if !files.is_file(&path) {
            return Ok(Self::default());
        }
        Self::parse(&files.read_text(&path)?, &path.display().to_string())
    }
}
