//! The parts of a base model that is one file.

use std::path::Path;

use super::files::NetworkFiles;
use crate::checkpoint::{Lora, SingleFile, Weights};
use crate::error::{Error, Result};
use crate::files::Files;

/// Keys under which a file that musev wrote carries the configurations of its parts, where they are
/// not Stable Diffusion 1.5's: the text of `unet/config.json` and so on.
pub const CONFIG_KEYS: [(&str, &str); 4] = [
    ("unet", "musev.unet"),
    ("vae", "musev.vae"),
    ("text_encoder", "musev.text_encoder"),
    ("scheduler", "musev.scheduler"),
];

/// `scheduler/scheduler_config.json` of Stable Diffusion 1.5: single files carry none.
pub const SCHEDULER: &str = r#"{
  "_class_name": "PNDMScheduler",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": false,
  "num_train_timesteps": 1000,
  "set_alpha_to_one": false,
  "skip_prk_steps": true,
  "steps_offset": 1,
  "trained_betas": null
}
"#;

/// An opened single file.
pub(super) struct BaseFile {
    weights: Weights,
    parts: SingleFile,
}

impl BaseFile {
    /// Opens `path`, of which only the table of tensors is read.
    ///
    /// # Errors
    /// When it is no single file of Stable Diffusion 1.
    pub(super) fn open(files: &Files, path: &Path) -> Result<Self> {
        let weights = Weights::open_in(files, path)?;
        if let Some(parts) = SingleFile::of(&weights)? {
            return Ok(Self { weights, parts });
        }
        let reason = if Lora::of(&weights).is_ok() {
            "is a LoRA, not a model; give it with --lora"
        } else {
            "is no single-file model: none of its tensors begins with model.diffusion_model.; give \
             one, or a folder in the layout of diffusers"
        };
        Err(Error::checkpoint(path, reason))
    }

    /// The UNet.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn unet(&self) -> Result<Weights> {
        self.found(self.parts.unet.as_ref(), "UNet", "is a VAE; give it with --vae-model-path")
    }

    /// The text encoder.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn text_encoder(&self) -> Result<NetworkFiles> {
        let way_out = "take a file that was not stripped of it, or the model as a folder";
        let weights = self.found(self.parts.text_encoder.as_ref(), "text encoder", way_out)?;
        Ok(self.network("text_encoder", weights))
    }

    /// The autoencoder.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn vae(&self) -> Result<NetworkFiles> {
        let way_out = "name another with --vae-model-path";
        let weights = self.found(self.parts.vae.as_ref(), "VAE", way_out)?;
        Ok(self.network("vae", weights))
    }

    /// How messages call the scheduler's configuration, and its text.
    pub(super) fn scheduler(&self) -> (String, String) {
        (self.origin("scheduler"), self.config("scheduler").unwrap_or(SCHEDULER).to_owned())
    }

    /// The configuration of a part that the file carries.
    pub(super) fn config(&self, part: &str) -> Option<&str> {
        let (_, key) = CONFIG_KEYS.iter().find(|(name, _)| *name == part)?;
        self.weights.metadata(key)
    }

    fn network(&self, part: &str, weights: Weights) -> NetworkFiles {
        // Without a word of it every value is Stable Diffusion 1.5's.
        let config = self.config(part).unwrap_or("{}").to_owned();
        NetworkFiles { origin: self.origin(part), config, weights }
    }

    fn origin(&self, part: &str) -> String {
        format!("{} ({part})", self.weights.origin().display())
    }

    fn found(&self, part: Option<&Weights>, name: &str, way_out: &str) -> Result<Weights> {
        part.cloned().ok_or_else(|| {
            let reason = format!("holds no {name}; {way_out}");
            Error::checkpoint(self.weights.origin(), reason)
        })
    }
}
