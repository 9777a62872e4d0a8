//! The stages: what is trained on which batches.

use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, FloatDType, Tensor};

use super::clips::Clips;
use super::config::{Stage, TrainConfig};
use super::draw::Draw;
use super::files::write_json;
use super::latents::{Batch, Latents};
use super::model::{Denoiser, FILE, ModelFolder, fill};
use super::objective::{DenoiserBatch, NoiseSchedule, autoencoder_loss};
use super::sample::{Sampler, reconstructions};
use super::state::Tensors;
use super::views::Colours;
use super::{Task, TrainEvent, TrainWatch, heard};
use crate::checkpoint::{self, Weights, to_safetensors};
use crate::config::ModelSettings;
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{Frame, write_file};
use crate::models::clip::text;
use crate::models::unet_3d;
use crate::models::vae::{self, AutoencoderKL};
use crate::pipeline::Noise;
use crate::pipeline::files::read_config;

/// Frames that the latents' spread is measured on.
const SCALE_FRAMES: usize = 64;

/// The autoencoder on single frames.
pub(super) struct AutoencoderTask<'a> {
    config: &'a TrainConfig,
    device: &'a Device,
    model: ModelFolder,
    clips: Clips,
}

impl<'a> AutoencoderTask<'a> {
    pub(super) fn new(
        (config, device): (&'a TrainConfig, &'a Device),
        model: ModelFolder,
        watch: &mut TrainWatch,
    ) -> Result<Self> {
        let clips = open_clips(config, watch)?;
        Ok(Self { config, device, model, clips })
    }

    /// The factor that gives the latents a spread of 1.
    fn scaling_factor(&self, model: &AutoencoderKL) -> Result<f64> {
        let mut draw = Draw::new(0, 0);
        let frames = self.clips.pictures(SCALE_FRAMES, &mut draw)?;
        let mut values = Vec::new();
        for frames in frames.chunks(8) {
            let images = image_tensor::from_frames(frames, self.device);
            values.extend(model.encode(images).mean.into_data().iter::<f64>());
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Ok(1.0 / variance.sqrt().max(1e-6))
    }
}

impl Task for AutoencoderTask<'_> {
    type Model = AutoencoderKL;

    fn build(&self, device: &Device) -> Result<AutoencoderKL> {
        let model = self.model.autoencoder(device)?;
        if !self.config.autoencoder.frozen_encoder {
            return Ok(model);
        }
        let decoder = ParamGroup::from_any_predicates(vec!["decoder", "post_quant_conv"]);
        Ok(model.freeze_group(ParamGroup::all().exclude(decoder)))
    }

    fn restored(
        &self,
        model: AutoencoderKL,
        weights: &Weights,
        device: &Device,
    ) -> Result<AutoencoderKL> {
        fill(model, "vae", vae::KEYS, (weights, device))
    }

    fn tensors(&self, model: &AutoencoderKL) -> Tensors {
        checkpoint::tensors(model, vae::KEYS, "")
    }

    fn loss(&self, model: &AutoencoderKL, draw: &mut Draw) -> Result<Tensor<1>> {
        let share = self.config.autoencoder.recolored_share;
        let mut frames = self.clips.pictures(self.config.batch_size, draw)?;
        for frame in &mut frames {
            if draw.happens(share) {
                Colours::new(draw).paint(frame);
            }
        }
        let images = image_tensor::from_frames(&frames, &self.device.clone().autodiff());
        Ok(autoencoder_loss(model, images, &self.config.autoencoder, &mut draw.noise()))
    }

    fn write(&self, model: &AutoencoderKL, folder: &Path) -> Result<()> {
        self.model.copy_rest(folder, &["vae"])?;
        let folder = folder.join("vae");
        if !self.config.autoencoder.frozen_encoder {
            let mut config: serde_json::Value = read_config(&folder)?;
            config["scaling_factor"] = self.scaling_factor(model)?.into();
            write_json(&folder.join("config.json"), &config)?;
        }
        write_weights(&folder, self.tensors(model))
    }

    fn sample(&self, model: &AutoencoderKL) -> Result<Frame> {
        reconstructions(model, &self.clips, self.device)
    }
}

/// Text encoder and UNet, or the UNet's temporal layers alone, on clips.
pub(super) struct DenoiserTask<'a> {
    config: &'a TrainConfig,
    device: &'a Device,
    model: ModelFolder,
    clips: Clips,
    latents: Latents,
    noise: NoiseSchedule,
    sampler: Sampler,
}

impl<'a> DenoiserTask<'a> {
    pub(super) fn new(
        (config, device): (&'a TrainConfig, &'a Device),
        model: ModelFolder,
        watch: &mut TrainWatch,
    ) -> Result<Self> {
        let clips = open_clips(config, watch)?;
        if !model.has_autoencoder()? {
            let reason = "has no weights of the autoencoder; train that stage first, and name its \
                          checkpoint as the model";
            return Err(Error::checkpoint(&config.model, reason));
        }
        let vae = model.autoencoder(device)?;
        let told = &mut |done, of| heard(watch, TrainEvent::Encoded { done, of });
        let cache = &config.data.cache;
        let latents = Latents::open(&clips, &config.denoiser, (&vae, device), (cache, told))?;
        let (tokenizer, scheduler) = (model.tokenizer()?, model.scheduler()?);
        let noise = NoiseSchedule::new(&scheduler);
        // A clip is made as it was trained on.
        let Noise { w_ind_noise, img_weight, .. } = config.denoiser.noise;
        let img_weight = img_weight.unwrap_or(0.0);
        let settings = ModelSettings {
            w_ind_noise,
            img_weight,
            keep_img_weight: true,
            ..model.settings().clone()
        };
        let sampler = Sampler { vae, tokenizer, scheduler, settings, device: device.clone() };
        Ok(Self { config, device, model, clips, latents, noise, sampler })
    }
}

impl Task for DenoiserTask<'_> {
    type Model = Denoiser;

    fn build(&self, device: &Device) -> Result<Denoiser> {
        let model = self.model.denoiser(device)?;
        Ok(match self.config.stage {
            Stage::Motion => model.with_frozen_base(),
            Stage::Autoencoder | Stage::Denoiser => model,
        })
    }

    fn restored(&self, model: Denoiser, weights: &Weights, device: &Device) -> Result<Denoiser> {
        model.restored(weights, device)
    }

    fn tensors(&self, model: &Denoiser) -> Tensors {
        model.tensors()
    }

    fn loss(&self, model: &Denoiser, draw: &mut Draw) -> Result<Tensor<1>> {
        let config = &self.config.denoiser;
        let device = self.device.clone().autodiff();
        let count = self.config.batch_size;
        // Pictures have no motion to learn.
        let pictures = self.config.stage != Stage::Motion && draw.happens(config.image_share);
        let Batch { clean, captions } =
            self.latents.clips(&self.clips, config, (count, pictures, draw), &device);
        let text = model.text(&self.sampler.tokenizer, &captions, &device)?;
        let batch = DenoiserBatch { clean, text, conditioned: !pictures };
        Ok(self.noise.loss(&model.unet, batch, config, draw))
    }

    fn write(&self, model: &Denoiser, folder: &Path) -> Result<()> {
        self.model.copy_rest(folder, &["text_encoder", "unet"])?;
        self.model.write_settings(folder, &self.sampler.settings)?;
        let text = checkpoint::tensors(&model.text_encoder, text::KEYS, "");
        write_weights(&folder.join("text_encoder"), text)?;
        write_weights(&folder.join("unet"), checkpoint::tensors(&model.unet, unet_3d::KEYS, ""))
    }

    fn sample(&self, model: &Denoiser) -> Result<Frame> {
        self.sampler.sheet(model, &self.clips, self.config.denoiser.frames)
    }
}

fn open_clips(config: &TrainConfig, watch: &mut TrainWatch) -> Result<Clips> {
    Clips::open(&config.data, &mut |done, of| heard(watch, TrainEvent::Read { done, of }))
}

fn write_weights(folder: &Path, tensors: Tensors) -> Result<()> {
    write_file(&folder.join(FILE), &to_safetensors(tensors, FloatDType::F16))
}
