//! The networks of a run: built from the configurations of a model folder, filled with its weights
//! where it has some, and written as a model folder again.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param, ParamGroup};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::de::DeserializeOwned;

use super::state::Tensors;
use crate::checkpoint::{self, KeyRename, LoadOptions, Weights, load};
use crate::error::{Error, Result};
use crate::models::clip::text::{self, CLIPTextConfig, CLIPTextModel};
use crate::models::unet_3d::{self, UNet3DConditionModel, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKL, AutoencoderKLConfig};
use crate::pipeline::encode_chunks;
use crate::prompt::{ClipTokenizer, chunk_prompts};
use crate::schedulers::EulerDiscreteSchedulerConfig;

/// Name of the weights in a part's folder.
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

/// A model folder.
#[derive(Clone, Debug)]
pub(super) struct ModelFolder(pub(super) PathBuf);

impl ModelFolder {
    /// The autoencoder, on `device`.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub(super) fn autoencoder(&self, device: &Device) -> Result<AutoencoderKL> {
        let config: AutoencoderKLConfig = self.config("vae")?;
        config.validate(&self.origin("vae"))?;
        self.fill(config.init(device), "vae", vae::KEYS, device)
    }

    /// Text encoder and UNet, on `device`.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub(super) fn denoiser(&self, device: &Device) -> Result<Denoiser> {
        let config: CLIPTextConfig = self.config("text_encoder")?;
        config.validate(&self.origin("text_encoder"))?;
        let text_encoder = self.fill(config.init(device), "text_encoder", text::KEYS, device)?;
        let config: UNet3DConditionModelConfig = self.config("unet")?;
        config.validate(&self.origin("unet"))?;
        let unet = if self.weights("unet").is_some() {
            config.init(device)
        } else {
            config.init(device).map(&mut StrongBranches::default())
        };
        let unet = self.fill(unet, "unet", unet_3d::KEYS, device)?;
        Ok(Denoiser { text_encoder, unet })
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn tokenizer(&self) -> Result<ClipTokenizer> {
        ClipTokenizer::open(&self.0.join("tokenizer"))
    }

    /// The scheduler's configuration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn scheduler(&self) -> Result<EulerDiscreteSchedulerConfig> {
        let path = self.0.join("scheduler/scheduler_config.json");
        EulerDiscreteSchedulerConfig::from_json(&path.display().to_string(), &read_text(&path)?)
    }

    /// The file of a part's weights, if there is one.
    pub(super) fn weights(&self, part: &str) -> Option<PathBuf> {
        Some(self.0.join(part).join(FILE)).filter(|path| path.is_file())
    }

    /// Copies everything but the weights of `trained` parts to `target`.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub(super) fn copy_rest(&self, target: &Path, trained: &[&str]) -> Result<()> {
        for part in ["vae", "text_encoder", "unet", "tokenizer", "scheduler"] {
            let (from, to) = (self.0.join(part), target.join(part));
            std::fs::create_dir_all(&to).map_err(|e| Error::io("create", &to, e))?;
            for entry in std::fs::read_dir(&from).map_err(|e| Error::io("read", &from, e))? {
                let path = entry.map_err(|e| Error::io("read", &from, e))?.path();
                let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
                if trained.contains(&part) && name == FILE {
                    continue;
                }
                let copy = to.join(name);
                if copy != path {
                    std::fs::copy(&path, &copy).map_err(|e| Error::io("write", &copy, e))?;
                }
            }
        }
        Ok(())
    }

    fn config<T: DeserializeOwned>(&self, part: &str) -> Result<T> {
        let text = read_text(&self.0.join(part).join("config.json"))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::config(self.origin(part), error.to_string()))
    }

    fn origin(&self, part: &str) -> String {
        self.0.join(part).join("config.json").display().to_string()
    }

    fn fill<M: Module>(
        &self,
        module: M,
        part: &str,
        keys: &[KeyRename],
        device: &Device,
    ) -> Result<M> {
        match self.weights(part) {
            Some(path) => fill(module, part, keys, (&Weights::open(&path)?, device)),
            None => Ok(module),
        }
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
        let states = captions.iter().map(|caption| {
            let ids = tokenizer.encode_weighted(caption)?;
            let chunked = chunk_prompts(&ids, None, tokenizer.special_tokens());
            Ok(encode_chunks(&self.text_encoder, &chunked, device))
        });
        Ok(Tensor::cat(states.collect::<Result<Vec<_>>>()?, 0))
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

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
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
