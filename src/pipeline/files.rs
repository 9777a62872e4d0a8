//! The files of a model, opened, but nothing of the weights read yet.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::checkpoint::Weights;
use crate::config::{ModelSettings, ModelSpec};
use crate::error::{Error, Result};
use crate::prompt::ClipTokenizer;
use crate::schedulers::EulerDiscreteSchedulerConfig;

/// The files of a model: on disk, or inside musev.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// Its name, as output files carry it.
    pub name: String,
    /// What it is run with where the user says nothing.
    pub settings: ModelSettings,
    pub(super) scheduler: EulerDiscreteSchedulerConfig,
    pub(super) tokenizer: ClipTokenizer,
    pub(super) text_encoder: NetworkFiles,
    pub(super) vae: NetworkFiles,
    pub(super) unet: NetworkFiles,
}

/// Configuration and weights of a network.
#[derive(Clone, Debug)]
pub(super) struct NetworkFiles {
    /// How messages call the configuration.
    pub(super) origin: String,
    pub(super) config: String,
    pub(super) weights: Weights,
}

impl ModelFiles {
    /// Opens the files in the folders of `spec`.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn open(spec: &ModelSpec) -> Result<Self> {
        let scheduler = spec.base.join("scheduler/scheduler_config.json");
        let mut unet = NetworkFiles::open(&spec.unet.join("unet"))?;
        // The base model's spatial weights replace those the motion model was saved with.
        unet.weights = unet.weights.overlay(Weights::open(&spec.base.join("unet"))?)?;
        Ok(Self {
            name: spec.name.clone(),
            settings: spec.settings.clone(),
            scheduler: EulerDiscreteSchedulerConfig::from_json(
                &scheduler.display().to_string(),
                &read_text(&scheduler)?,
            )?,
            tokenizer: ClipTokenizer::open(&spec.base.join("tokenizer"))?,
            text_encoder: NetworkFiles::open(&spec.base.join("text_encoder"))?,
            vae: NetworkFiles::open(&spec.vae)?,
            unet,
        })
    }
}

impl NetworkFiles {
    fn open(folder: &Path) -> Result<Self> {
        let config = read_text(&folder.join("config.json"))?;
        Ok(Self { origin: origin(folder), config, weights: Weights::open(folder)? })
    }

    /// The configuration.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        parse(&self.config, &self.origin)
    }
}

/// How messages call the configuration in `folder`.
pub(crate) fn origin(folder: &Path) -> String {
    folder.join("config.json").display().to_string()
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
}

/// `config.json` of a network's folder.
#[cfg(feature = "train")]
pub(crate) fn read_config<T: DeserializeOwned>(folder: &Path) -> Result<T> {
    parse(&read_text(&folder.join("config.json"))?, &origin(folder))
}

fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::config(origin, error.to_string()))
}
