//! From the files of a model to a pipeline on a device.

use burn::module::Module;
use burn::tensor::{Device, FloatDType};

use crate::checkpoint::{KeyRename, LoadOptions, Weights, check, load};
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::unet_3d;
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::pipeline::files::NetworkFiles;
use crate::pipeline::slot::Slot;
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{Engine, ModelFiles, Pipeline, TextEncoder};

/// Tensors that may be absent: glob patterns over state-dict keys.
pub type AllowMissing = [String];

impl Pipeline {
    /// Opens the model of `files` on `device`. The autoencoder, the denoiser and what steers each of
    /// its steps are loaded and stay; the text encoder, and the networks of pictures that a video is
    /// to look like, are only compared with their files: they are loaded for each video and dropped
    /// again before the denoiser works.
    ///
    /// # Errors
    /// When a file cannot be read, weights do not fit, or `watch` breaks.
    pub fn open(
        files: &ModelFiles,
        allow_missing: &AllowMissing,
        device: &OpenDevice,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let loader = Loader {
            allow_missing: allow_missing.to_vec(),
            dtype: device.dtype,
            device: device.device.clone(),
        };
        let text = text_config(files)?;
        let text_width = text.hidden_size;
        let on_cpu = Loader { dtype: FloatDType::F32, device: Device::flex(), ..loader.clone() };
        let text_encoder =
            on_cpu.slot("text_encoder", text::KEYS, &files.text_encoder.weights, {
                move |device| text.init(device)
            })?;

        let config: AutoencoderKLConfig = files.vae.parse()?;
        config.validate(&files.vae.origin)?;
        let vae = config.init(&loader.device);
        let vae = loader.load("vae", vae, vae::KEYS, &files.vae.weights)?;
        report(watch, Event::Loaded { part: "vae" })?;

        let (config, weights) = files.denoiser()?;
        let refused = |reason| Err(Error::config(files.denoiser_origin(), reason));
        if config.cross_attention_dim != text_width {
            let wanted = config.cross_attention_dim;
            return refused(format!(
                "cross_attention_dim is {wanted}, but the text encoder's states have {text_width} \
                 channels; the base model and the motion model do not belong together"
            ));
        }
        if config.in_channels != vae.latent_channels() {
            let (wanted, made) = (config.in_channels, vae.latent_channels());
            return refused(format!(
                "in_channels is {wanted}, but the VAE's latents have {made} channels; the VAE and \
                 the motion model do not belong together"
            ));
        }
        // What does not belong together is told before the largest network is read.
        let conditioners = loader.conditioners(&files.conditioners, (&config, &vae), watch)?;
        let unet = loader.load("unet", config.init(&loader.device), unet_3d::KEYS, &weights)?;
        report(watch, Event::Loaded { part: "unet" })?;

        Ok(Self {
            text_encoder: TextEncoder { tokenizer: files.tokenizer.clone(), model: text_encoder },
            engine: Engine {
                vae,
                unet,
                conditioners,
                dtype: device.dtype,
                scheduler: files.scheduler.clone(),
                device: device.device.clone(),
            },
        })
    }
}

/// The configuration of the text encoder, which has to fit the tokenizer.
fn text_config(files: &ModelFiles) -> Result<CLIPTextConfig> {
    let NetworkFiles { origin, .. } = &files.text_encoder;
    let config: CLIPTextConfig = files.text_encoder.parse()?;
    config.validate(origin)?;
    if files.tokenizer.vocabulary_size() > config.vocab_size {
        let (ids, known) = (files.tokenizer.vocabulary_size(), config.vocab_size);
        let reason = format!("knows {known} tokens, fewer than the {ids} of the tokenizer");
        return Err(Error::config(origin.clone(), reason));
    }
    Ok(config)
}

/// What the networks of one device have in common while they are loaded.
#[derive(Clone)]
pub(super) struct Loader {
    allow_missing: Vec<String>,
    dtype: FloatDType,
    pub(super) device: Device,
}

impl Loader {
    pub(super) fn load<M: Module>(
        &self,
        part: &str,
        module: M,
        keys: &[KeyRename],
        weights: &Weights,
    ) -> Result<M> {
        load(module, weights, &self.options(part, keys), &self.device)
    }

    /// A network that is loaded where it is used; what does not fit is told now.
    pub(super) fn slot<M: Module + 'static>(
        &self,
        part: &'static str,
        keys: &'static [KeyRename],
        weights: &Weights,
        init: impl Fn(&Device) -> M + Send + Sync + 'static,
    ) -> Result<Slot<M>> {
        check(&init(&self.device), weights, &self.options(part, keys))?;
        let (loader, weights) = (self.clone(), weights.clone());
        Ok(Slot::loaded(part, move || loader.load(part, init(&loader.device), keys, &weights)))
    }

    fn options<'a>(&'a self, part: &'a str, keys: &'a [KeyRename]) -> LoadOptions<'a> {
        LoadOptions { part, keys, allow_missing: &self.allow_missing, dtype: self.dtype }
    }
}
