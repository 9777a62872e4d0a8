//! The files of a model, opened, but nothing of the weights read yet.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::checkpoint::Weights;
use crate::config::{ModelSettings, ModelSpec};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::prompt::ClipTokenizer;
use crate::schedulers::SchedulerConfig;

/// The files of a model: on disk, or inside musev.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// Its name, as output files carry it.
    pub name: String,
    /// What it is run with where the user says nothing.
    pub settings: ModelSettings,
    pub(super) scheduler: SchedulerConfig,
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
        Self::open_in(&Files::disk(), spec)
    }

    /// The same, of files that need not be on disk.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn open_in(files: &Files, spec: &ModelSpec) -> Result<Self> {
        let scheduler = spec.base.join("scheduler/scheduler_config.json");
        let mut unet = NetworkFiles::open(files, &spec.unet.join("unet"))?;
        // The base model's spatial weights replace those the motion model was saved with.
        let base = Weights::open_in(files, &spec.base.join("unet"))?;
        unet.weights = unet.weights.overlay(base)?;
        Ok(Self {
            name: spec.name.clone(),
            settings: spec.settings.clone(),
            scheduler: SchedulerConfig::from_json(
                &scheduler.display().to_string(),
                &files.read_text(&scheduler)?,
            )?,
            tokenizer: ClipTokenizer::open_in(files, &spec.base.join("tokenizer"))?,
            text_encoder: NetworkFiles::open(files, &spec.base.join("text_encoder"))?,
            vae: NetworkFiles::open(files, &spec.vae)?,
            unet,
        })
    }

    /// What its networks weigh, in the order in which they are loaded.
    pub(super) fn networks(&self) -> [NetworkSize; 3] {
        [self.text_encoder.size("text_encoder"), self.vae.size("vae"), self.unet.size("unet")]
    }
}

/// What a network weighs, whatever the type of its numbers.
pub(super) struct NetworkSize {
    /// Its name, as in [`crate::Event::Loaded`].
    pub(super) name: &'static str,
    /// Numbers in all its tensors.
    pub(super) elements: u64,
    /// Numbers in the largest of them.
    pub(super) largest: u64,
}

impl NetworkFiles {
    fn size(&self, name: &'static str) -> NetworkSize {
        let infos = self.weights.names().filter_map(|tensor| self.weights.info(tensor));
        let sizes = infos.map(|info| info.shape.iter().map(|&side| side as u64).product());
        let (elements, largest) =
            sizes.fold((0, 0), |(all, top): (u64, u64), size: u64| (all + size, top.max(size)));
        NetworkSize { name, elements, largest }
    }

    fn open(files: &Files, folder: &Path) -> Result<Self> {
        let config = files.read_text(&folder.join("config.json"))?;
        Ok(Self { origin: origin(folder), config, weights: Weights::open_in(files, folder)? })
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

/// `config.json` of a network's folder.
#[cfg(feature = "train")]
pub(crate) fn read_config<T: DeserializeOwned>(folder: &Path) -> Result<T> {
    parse(&Files::disk().read_text(&folder.join("config.json"))?, &origin(folder))
}

fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::config(origin, error.to_string()))
}
