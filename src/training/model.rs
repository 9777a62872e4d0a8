//! The networks of a run: built from the configurations of a model folder, filled with its weights
//! where it has some, and written as a model folder again.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param, ParamGroup};
use burn::tensor::{Device, FloatDType, Tensor};

use super::files::create_folder;
use super::state::Tensors;
use crate::checkpoint::{self, KeyRename, LoadOptions, Weights, load};
use crate::config::{ModelSettings, ModelSpec, SETTINGS_FILE};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::media::write_file;
use crate::models::clip::text::{self, CLIPTextConfig, CLIPTextModel};
use crate::models::unet_3d::{self, UNet3DConditionModel, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKL, AutoencoderKLConfig};
use crate::pipeline::files::{origin, read_config};
use crate::pipeline::{encode_batch, encode_chunks};
use crate::prompt::{ClipTokenizer, chunk_batch, chunk_prompts};
use crate::schedulers::SchedulerConfig;

/// Name of the weights that are written into a part's folder.
pub(super) const FILE: &str = "model.safetensors";

/// How strongly temporal branches count in networks that begin at random. Motion modules begin
/// near 0, not to disturb the pictures of a base model; here is none yet.
const TEMPORAL_WEIGHT: f64 = 0.5;

/// What the optimiser updates at once.
#[derive(Module, Debug)]
pub(super) struct Denoiser {
    pub(super) text_encoder: CLIPTextModel,
    pub(super) unet: UNet3DConditionModel,
}

/// A model folder: its parts side by side, or a base model with a motion model, whose spatial
/// weights the base model's replace.
#[derive(Clone, Debug)]
pub(super) struct ModelFolder {
    spec: ModelSpec,
    settings: PathBuf,
}

impl ModelFolder {
    /// The model in `folder`.
    ///
    /// # Errors
    /// When a part is not there.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        Ok(Self { spec: ModelSpec::whole(folder)?, settings: folder.join(SETTINGS_FILE) })
    }

    /// The autoencoder, on `device`.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub(super) fn autoencoder(&self, device: &Device) -> Result<AutoencoderKL> {
        let folder = self.part("vae");
        let config: AutoencoderKLConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        let weights = Weights::find(&folder)?;
        filled(config.init(device), "vae", vae::KEYS, (weights, device))
    }

    /// Whether the autoencoder was trained.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub(super) fn has_autoencoder(&self) -> Result<bool> {
        Ok(Weights::find(&self.part("vae"))?.is_some())
    }

    /// Text encoder and UNet, on `device`.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub(super) fn denoiser(&self, device: &Device) -> Result<Denoiser> {
        let folder = self.part("text_encoder");
        let config: CLIPTextConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        let weights = Weights::find(&folder)?;
        let text_encoder =
            filled(config.init(device), "text_encoder", text::KEYS, (weights, device))?;
        let folder = self.part("unet");
        let config: UNet3DConditionModelConfig = read_config(&folder)?;
        config.validate(&origin(&folder))?;
        let unet = match self.unet_weights()? {
            None => config.init(device).map(&mut StrongBranches::default()),
            some => filled(config.init(device), "unet", unet_3d::KEYS, (some, device))?,
        };
        Ok(Denoiser { text_encoder, unet })
    }

    fn unet_weights(&self) -> Result<Option<Weights>> {
        let (motion, base) = (self.part("unet"), self.spec.base.join("unet"));
        let over = if base == motion { None } else { Weights::find(&base)? };
        match (Weights::find(&motion)?, over) {
            (Some(motion), Some(base)) => motion.overlay(base).map(Some),
            (None, Some(_)) => {
                let reason = "has no weights, but the base model has; a motion model to begin with \
                              is needed";
                Err(Error::checkpoint(motion, reason))
            }
            (motion, None) => Ok(motion),
        }
    }

    /// What the model is run with.
    pub(super) fn settings(&self) -> &ModelSettings {
        &self.spec.settings
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn tokenizer(&self) -> Result<ClipTokenizer> {
        ClipTokenizer::open(&self.part("tokenizer"))
    }

    /// The scheduler's configuration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn scheduler(&self) -> Result<SchedulerConfig> {
        let path = self.part("scheduler").join("scheduler_config.json");
        SchedulerConfig::from_json(&path.display().to_string(), &Files::disk().read_text(&path)?)
    }

    /// Copies the settings and all parts to `target`, of the `trained` ones only their
    /// configuration.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub(super) fn copy_rest(&self, target: &Path, trained: &[&str]) -> Result<()> {
        let copied = |from: &Path, to: &Path| {
            let copied = if from == to { Ok(0) } else { std::fs::copy(from, to) };
            copied.map(drop).map_err(|error| Error::io("write", to, error))
        };
        create_folder(target)?;
        if self.settings.is_file() {
            copied(&self.settings, &target.join(SETTINGS_FILE))?;
        }
        for part in ["vae", "text_encoder", "unet", "tokenizer", "scheduler"] {
            let (from, to) = (self.part(part), target.join(part));
            create_folder(&to)?;
            for entry in std::fs::read_dir(&from).map_err(|e| Error::io("read", &from, e))? {
                let path = entry.map_err(|e| Error::io("read", &from, e))?.path();
                let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
                if name == "config.json" || !trained.contains(&part) {
                    copied(&path, &to.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Writes `settings` to `target`, if they are not this model's own.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write_settings(&self, target: &Path, settings: &ModelSettings) -> Result<()> {
        if settings == self.settings() {
            return Ok(());
        }
        let text = serde_saphyr::to_string(settings).expect("plain data can be written as YAML");
        write_file(&target.join(SETTINGS_FILE), text.as_bytes())
    }

    fn part(&self, part: &str) -> PathBuf {
        match part {
            "unet" => self.spec.unet.join(part),
            "vae" => self.spec.vae.clone(),
            _ => self.spec.base.join(part),
        }
    }
}

/// `module` with every parameter from the weights, as it is if there are none.
fn filled<M: Module>(
    module: M,
    part: &str,
    keys: &[KeyRename],
    (weights, device): (Option<Weights>, &Device),
) -> Result<M> {
    match weights {
        Some(weights) => fill(module, part, keys, (&weights, device)),
        None => Ok(module),
    }
}

/// `module` with every parameter from `weights`, in float32.
///
/// # Errors
/// When they do not fit.
pub(super) fn fill<M: Module>(
    module: M,
    part: &str,
    keys: &[KeyRename],
    (weights, device): (&Weights, &Device),
) -> Result<M> {
    let options = LoadOptions { part, keys, allow_missing: &[], dtype: FloatDType::F32 };
    load(module, weights, &options, device)
}

impl Denoiser {
    /// Only the temporal layers are trained from here on.
    pub(super) fn with_frozen_base(self) -> Self {
        let motion = ParamGroup::from_any_predicates(vec![
            "temp_convs",
            "temp_attentions",
            "transformer_in",
            "frame_embedding",
        ]);
        self.freeze_group(ParamGroup::all().exclude(motion))
    }

    /// Text states of `captions`, `[b, 77, c]`.
    ///
    /// # Errors
    /// When the tokenizer refuses a text.
    pub(super) fn text(
        &self,
        tokenizer: &ClipTokenizer,
        captions: &[String],
        device: &Device,
    ) -> Result<Tensor<3>> {
        let ids = captions.iter().map(|caption| tokenizer.encode_weighted(caption));
        let chunks = chunk_batch(&ids.collect::<Result<Vec<_>>>()?, tokenizer.special_tokens());
        let chunks: Vec<_> = chunks.iter().collect();
        Ok(encode_batch(&self.text_encoder, &chunks, device))
    }

    /// The states of a prompt, below those of its negative prompt if it has one.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(super) fn prompt(
        &self,
        tokenizer: &ClipTokenizer,
        (prompt, negative): (&str, Option<&str>),
        device: &Device,
    ) -> Result<Tensor<3>> {
        let prompt = tokenizer.encode_weighted(prompt)?;
        let negative = negative.map(|words| tokenizer.encode_weighted(words)).transpose()?;
        let chunked = chunk_prompts(&prompt, negative.as_ref(), tokenizer.special_tokens());
        Ok(encode_chunks(&self.text_encoder, &chunked, device))
    }

    /// All tensors, their names beginning with the part.
    pub(super) fn tensors(&self) -> Tensors {
        let mut all = checkpoint::tensors(&self.text_encoder, text::KEYS, "text_encoder.");
        all.extend(checkpoint::tensors(&self.unet, unet_3d::KEYS, "unet."));
        all
    }

    /// The same networks with what [`Denoiser::tensors`] told.
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn restored(self, weights: &Weights, device: &Device) -> Result<Self> {
        let of = |part: &str| weights.with_prefix_removed(&format!("{part}."));
        let (text, unet) = (of("text_encoder"), of("unet"));
        Ok(Self {
            text_encoder: fill(self.text_encoder, "text_encoder", text::KEYS, (&text, device))?,
            unet: fill(self.unet, "unet", unet_3d::KEYS, (&unet, device))?,
        })
    }
}

/// Sets every `temporal_weight` to [`TEMPORAL_WEIGHT`].
#[derive(Default)]
struct StrongBranches {
    path: Vec<String>,
}

impl ModuleMapper for StrongBranches {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.last().is_some_and(|name| name == "temporal_weight") {
            return param.map(|weight| weight.full_like(TEMPORAL_WEIGHT).require_grad());
        }
        param
    }
}
