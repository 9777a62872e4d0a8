//! From the files of a model to a pipeline on a device.

use burn::tensor::{Device, FloatDType};

use crate::checkpoint::{KeyRename, LoadOptions, Weights, load};
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{Conditioners, Engine, ModelFiles, Pipeline, TextEncoder};

/// Tensors that may be absent: glob patterns over state-dict keys.
pub type AllowMissing = [String];

impl Pipeline {
    /// Loads the model of `files` onto `device`.
    ///
    /// # Errors
    /// When a file cannot be read, weights do not fit, or `watch` breaks.
    pub fn open(
        files: &ModelFiles,
        allow_missing: &AllowMissing,
        device: &OpenDevice,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let ModelFiles { text_encoder, vae, unet, .. } = files;
        let tokenizer = files.tokenizer.clone();
        let config: CLIPTextConfig = text_encoder.parse()?;
        config.validate(&text_encoder.origin)?;
        if tokenizer.vocabulary_size() > config.vocab_size {
            let (ids, known) = (tokenizer.vocabulary_size(), config.vocab_size);
            let reason = format!("knows {known} tokens, fewer than the {ids} of the tokenizer");
            return Err(Error::config(text_encoder.origin.clone(), reason));
        }
        let text_width = config.hidden_size;
        let cpu = Device::flex();
        let loader = Loader { allow_missing, dtype: FloatDType::F32, device: &cpu };
        let weights = &text_encoder.weights;
        let model = loader.load("text_encoder", config.init(&cpu), text::KEYS, weights)?;
        report(watch, Event::Loaded { part: "text_encoder" })?;

        let loader = Loader { allow_missing, dtype: device.dtype, device: &device.device };
        let config: AutoencoderKLConfig = vae.parse()?;
        config.validate(&vae.origin)?;
        let vae = loader.load("vae", config.init(&device.device), vae::KEYS, &vae.weights)?;
        report(watch, Event::Loaded { part: "vae" })?;

        let config: UNet3DConditionModelConfig = unet.parse()?;
        config.validate(&unet.origin)?;
        if config.cross_attention_dim != text_width {
            let wanted = config.cross_attention_dim;
            let reason = format!(
                "cross_attention_dim is {wanted}, but the text encoder's states have {text_width} \
                 channels; the base model and the motion model do not belong together"
            );
            return Err(Error::config(unet.origin.clone(), reason));
        }
        if config.in_channels != vae.latent_channels() {
            let (wanted, made) = (config.in_channels, vae.latent_channels());
            let reason = format!(
                "in_channels is {wanted}, but the VAE's latents have {made} channels; the VAE and \
                 the motion model do not belong together"
            );
            return Err(Error::config(unet.origin.clone(), reason));
        }
        let unet =
            loader.load("unet", config.init(&device.device), unet_3d::KEYS, &unet.weights)?;
        report(watch, Event::Loaded { part: "unet" })?;

        Ok(Self {
            text_encoder: TextEncoder { tokenizer, model },
            engine: Engine {
                vae,
                unet,
                conditioners: Conditioners::default(),
                dtype: device.dtype,
                scheduler: files.scheduler.clone(),
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
