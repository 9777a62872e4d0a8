//! The files of a model, opened, but nothing of the weights read yet.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::adapter_files::{FACE_BRANCH, IMAGE_BRANCH};
use super::conditioner_files::ConditionerFiles;
use super::single_file::BaseFile;
use crate::checkpoint::{Lora, LoraChoice, Weights};
use crate::config::{ModelSettings, ModelSpec, Variant};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::models::unet_3d::{UNet3DConditionModelConfig, UNet3DVariant};
use crate::pipeline::{AllowMissing, Sampling, Text2Video};
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
    /// The motion model under the base model's spatial weights.
    unet: NetworkFiles,
    variant: Variant,
    pub(super) conditioners: ConditionerFiles,
    reference_net: Option<String>,
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

    /// The same model, denoised by the original's schedule with zero terminal SNR.
    #[must_use]
    pub fn with_zero_snr(mut self) -> Self {
        self.scheduler = SchedulerConfig::zero_snr();
        self
    }

    /// Checks that `video` can be denoised by this model's schedule.
    ///
    /// # Errors
    /// An [`Error::Request`] naming the option for a value that the sampler does not take.
    pub fn check_sampling(&self, video: &Text2Video) -> Result<()> {
        let made = video.still(&video.shot);
        for Sampling { scheduler, steps, eta, .. } in
            [Some(video.shot.sampling), made.map(|still| still.sampling)].into_iter().flatten()
        {
            self.scheduler.init(scheduler, steps, eta)?;
        }
        Ok(())
    }

    /// The same model, of files that need not be on disk.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn open_in(files: &Files, spec: &ModelSpec) -> Result<Self> {
        let mut unet = NetworkFiles::open(files, &spec.unet.join("unet"))?;
        let variant = spec.variant.unwrap_or_else(|| variant_of(&unet.weights));
        let base = BaseFiles::open(files, &spec.base)?;
        // The base model's spatial weights replace those the motion model was saved with.
        unet.weights = unet.weights.overlay(base.unet)?;
        let (scheduler, text) = base.scheduler;
        Ok(Self {
            name: spec.name.clone(),
            settings: spec.settings.clone(),
            scheduler: SchedulerConfig::from_json(&scheduler, &text)?,
            tokenizer: ClipTokenizer::open_in(files, &spec.tokenizer)?,
            text_encoder: base.text_encoder,
            vae: match files.is_file(&spec.vae) {
                true => BaseFile::open(files, &spec.vae)?.vae()?,
                false => NetworkFiles::open(files, &spec.vae)?,
            },
            unet,
            variant,
            conditioners: ConditionerFiles::open(files, &spec.conditioners)?,
            reference_net: spec.conditioners.reference_net_name(),
        })
    }

    /// The same model with LoRAs laid over it, one after the other; its name tells them.
    ///
    /// # Errors
    /// Names the LoRA that cannot be read or does not fit, with all that does not.
    pub fn with_loras(
        mut self,
        loras: &[LoraChoice],
        allow_missing: &AllowMissing,
    ) -> Result<Self> {
        for choice in loras {
            let lora = Lora::open(&choice.path)?;
            let weight = (choice.strength, &choice.blocks);
            let (unet, text) = (self.unet.weights, self.text_encoder.weights);
            (self.unet.weights, self.text_encoder.weights) =
                lora.merge(weight, unet, text, allow_missing)?;
            self.name = format!("{}+{}", self.name, choice.label());
        }
        Ok(self)
    }

    /// The name of its ReferenceNet, if it has one.
    pub fn reference_net(&self) -> Option<&str> {
        self.reference_net.as_deref()
    }

    /// Whether it can read pictures like words.
    pub fn sees_pictures(&self) -> bool {
        self.conditioners.image_encoder.is_some()
    }

    /// Whether it can read faces like words.
    pub fn reads_faces(&self) -> bool {
        self.conditioners.face_adapter.is_some()
    }

    /// The denoiser: its configuration and its weights, with the branches that adapters of pictures
    /// and faces bring.
    pub(super) fn denoiser(&self) -> Result<(UNet3DConditionModelConfig, Weights)> {
        let mut config: UNet3DConditionModelConfig = self.unet.parse()?;
        config.variant = match self.variant {
            Variant::Musev => UNet3DVariant::MUSEV,
            Variant::MusevReferencenet => UNet3DVariant::MUSEV_REFERENCENET,
        };
        let ConditionerFiles { image_adapter, face_adapter, .. } = &self.conditioners;
        config.variant.need_t2i_ip_adapter_face = face_adapter.is_some();
        if face_adapter.is_some() && !config.variant.ip_adapter_cross_attn {
            let reason = "the motion model has no branch for faces; take one that was trained with \
                          image prompts, as musev_referencenet";
            return Err(Error::config(self.unet.origin.clone(), reason));
        }
        config.validate(&self.unet.origin)?;
        let mut weights = self.unet.weights.clone();
        // Like the original, what an adapter brings is of no use to a denoiser without the branch.
        let adapter = image_adapter.as_ref().filter(|_| config.variant.ip_adapter_cross_attn);
        for (adapter, branch) in [(adapter, IMAGE_BRANCH), (face_adapter.as_ref(), FACE_BRANCH)] {
            let layers = adapter.map(|adapter| adapter.layers_for(&config, branch)).transpose()?;
            if let Some(layers) = layers.flatten() {
                weights = weights.joined(layers);
            }
        }
        Ok((config, weights))
    }

    /// How messages call the denoiser's configuration.
    pub(super) fn denoiser_origin(&self) -> &str {
        &self.unet.origin
    }
}

/// The variant that the denoiser of `weights` is: only one of them looks at references.
fn variant_of(weights: &Weights) -> Variant {
    match weights.names().any(|name| name.starts_with("mid_block_refer_emb_attns.")) {
        true => Variant::MusevReferencenet,
        false => Variant::Musev,
    }
}

/// The parts that a base model gives in either layout.
struct BaseFiles {
    unet: Weights,
    text_encoder: NetworkFiles,
    /// How messages call the scheduler's configuration, and its text.
    scheduler: (String, String),
}

impl BaseFiles {
    /// Opens a folder in the layout of diffusers, or a single file.
    fn open(files: &Files, base: &Path) -> Result<Self> {
        if files.is_file(base) {
            let file = BaseFile::open(files, base)?;
            let (unet, text_encoder) = (file.unet()?, file.text_encoder()?);
            return Ok(Self { unet, text_encoder, scheduler: file.scheduler() });
        }
        let scheduler = base.join("scheduler/scheduler_config.json");
        Ok(Self {
            unet: Weights::open_in(files, &base.join("unet"))?,
            text_encoder: NetworkFiles::open(files, &base.join("text_encoder"))?,
            scheduler: (scheduler.display().to_string(), files.read_text(&scheduler)?),
        })
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
    pub(super) fn size(&self, name: &'static str) -> NetworkSize {
        size_of(name, &self.weights)
    }

    pub(super) fn open(files: &Files, folder: &Path) -> Result<Self> {
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

/// What the network of `weights` weighs.
pub(super) fn size_of(name: &'static str, weights: &Weights) -> NetworkSize {
    let infos = weights.names().filter_map(|tensor| weights.info(tensor));
    let sizes = infos.map(|info| info.shape.iter().map(|&side| side as u64).product());
    let (elements, largest) =
        sizes.fold((0, 0), |(all, top): (u64, u64), size: u64| (all + size, top.max(size)));
    NetworkSize { name, elements, largest }
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
