//! From checkpoint folders to a pipeline on a device.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType};
use serde::de::DeserializeOwned;

use crate::checkpoint::{KeyRename, LoadOptions, Weights, load};
use crate::config::ModelSpec;
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{Engine, Pipeline, TextEncoder};
use crate::prompt::ClipTokenizer;
use crate::schedulers::EulerDiscreteSchedulerConfig;

/// The folders that make a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPaths {
    /// Base model: a diffusers folder with `unet`, `vae`, `text_encoder`, `tokenizer`, `scheduler`.
    pub sd_model: PathBuf,
    /// Motion model: a folder with `unet`.
    pub unet: PathBuf,
    /// A VAE that replaces the base model's.
    pub vae: Option<PathBuf>,
}

impl From<&ModelSpec> for ModelPaths {
    fn from(spec: &ModelSpec) -> Self {
        Self { sd_model: spec.base.clone(), unet: spec.unet.clone(), vae: Some(spec.vae.clone()) }
    }
}

/// Tensors that may be absent: glob patterns over state-dict keys.
pub type AllowMissing = [String];

impl Pipeline {
    /// Loads the model of `paths` onto `device`.
    ///
    /// # Errors
    /// When a file is missing or damaged, weights do not fit, or `watch` breaks.
    pub fn open(
        paths: &ModelPaths,
        allow_missing: &AllowMissing,
        device: &OpenDevice,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let base = &paths.sd_model;
        let scheduler_file = base.join("scheduler/scheduler_config.json");
        let scheduler = EulerDiscreteSchedulerConfig::from_json(
            &scheduler_file.display().to_string(),
            &read_text(&scheduler_file)?,
        )?;
        let tokenizer = ClipTokenizer::open(&base.join("tokenizer"))?;

        let folder = base.join("text_encoder");
        let config: CLIPTextConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        if tokenizer.vocabulary_size() > config.vocab_size {
            let (ids, known) = (tokenizer.vocabulary_size(), config.vocab_size);
            let reason = format!("the tokenizer has {ids} tokens, the text encoder only {known}");
            return Err(Error::config(base.join("tokenizer").display().to_string(), reason));
        }
        let text_width = config.hidden_size;
        let cpu = Device::flex();
        let loader = Loader { allow_missing, dtype: FloatDType::F32, device: &cpu };
        let weights = Weights::open(&folder)?;
        let model = loader.load("text_encoder", config.init(&cpu), text::KEYS, &weights)?;
        report(watch, Event::Loaded { part: "text_encoder" })?;

        let loader = Loader { allow_missing, dtype: device.dtype, device: &device.device };
        let folder = paths.vae.clone().unwrap_or_else(|| base.join("vae"));
        let config: AutoencoderKLConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        let weights = Weights::open(&folder)?;
        let vae = loader.load("vae", config.init(&device.device), vae::KEYS, &weights)?;
        report(watch, Event::Loaded { part: "vae" })?;

        let folder = paths.unet.join("unet");
        let config: UNet3DConditionModelConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        if config.cross_attention_dim != text_width {
            let wanted = config.cross_attention_dim;
            let reason = format!(
                "cross_attention_dim is {wanted}, but the text encoder's states have {text_width} \
                 channels; the base model and the motion model do not belong together"
            );
            return Err(Error::config(origin(&folder), reason));
        }
        if config.in_channels != vae.latent_channels() {
            let (wanted, made) = (config.in_channels, vae.latent_channels());
            let reason = format!(
                "in_channels is {wanted}, but the VAE's latents have {made} channels; the VAE and \
                 the motion model do not belong together"
            );
            return Err(Error::config(origin(&folder), reason));
        }
        // The base model's spatial weights replace those the motion model was saved with.
        let weights = Weights::open(&folder)?.overlay(Weights::open(&base.join("unet"))?)?;
        let unet = loader.load("unet", config.init(&device.device), unet_3d::KEYS, &weights)?;
        report(watch, Event::Loaded { part: "unet" })?;

        Ok(Self {
            text_encoder: TextEncoder { tokenizer, model },
            engine: Engine {
                vae,
                unet,
                dtype: device.dtype,
                scheduler,
                device: device.device.clone(),
            },
        })
    }
}

/// What the networks of one device have in common while they are loaded.
struct Loader<'a> {
    allow_missing: &'a AllowMissing,
    dtype: FloatDType,
    device: &'a Device,
}

impl Loader<'_> {
    fn load<M: burn::module::Module>(
        &self,
        part: &str,
        module: M,
        keys: &[KeyRename],
        weights: &Weights,
    ) -> Result<M> {
        let options =
            LoadOptions { part, keys, allow_missing: self.allow_missing, dtype: self.dtype };
        load(module, weights, &options, self.device)
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
pub(crate) fn read_config<T: DeserializeOwned>(folder: &Path) -> Result<T> {
    let text = read_text(&folder.join("config.json"))?;
    serde_json::from_str(&text).map_err(|error| Error::config(origin(folder), error.to_string()))
}
