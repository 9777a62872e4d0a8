//! One shot from text states and condition frames to latents.

use burn::tensor::{Device, FloatDType, Tensor};

use crate::error::Result;
use crate::image_tensor;
use crate::media::{Filter, Frame, crop_resize};
use crate::models::unet_3d::UNet3DConditionModel;
use crate::models::vae::AutoencoderKL;
use crate::pipeline::denoise::{Denoiser, State};
use crate::pipeline::latents::insert_condition;
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{ConditionFrames, Plan, Request, Sampling, Size, VisionCondition};
use crate::random::Generator;
use crate::schedulers::{Scheduler, SchedulerConfig};

/// The networks that turn noise into pictures, with their scheduler's configuration.
#[derive(Debug)]
pub struct Engine {
    /// Pictures to latents and back.
    pub vae: AutoencoderKL,
    /// The denoiser.
    pub unet: UNet3DConditionModel,
    /// Precision of both networks; latents and pictures stay float32.
    pub dtype: FloatDType,
    /// How noise falls from step to step.
    pub scheduler: SchedulerConfig,
    /// Where everything lives.
    pub device: Device,
}

/// The inputs of the denoiser that no step changes.
#[derive(Clone, Debug)]
pub(crate) struct Conditioning {
    /// Text states `[g, n, c]`: g is 2 with guidance (unconditional half first), otherwise 1.
    pub(crate) text: Tensor<3>,
    /// Latents of the condition frames `[1, 4, k, h, w]`, scaled, without noise.
    pub(crate) vision: Option<Tensor<5>>,
}

/// A denoised shot.
#[derive(Clone, Debug)]
pub struct Shot {
    /// Latents `[1, 4, k + t, h, w]`, scaled, condition frames at their places.
    pub latents: Tensor<5>,
}

impl Shot {
    /// The last `count` frames, to continue from: `[1, 4, count, h, w]`.
    pub fn tail(&self, count: usize) -> Tensor<5> {
        let total = self.latents.dims()[2];
        self.latents.clone().narrow(2, total - count, count)
    }

    /// The shot without its first `count` frames.
    pub fn without_head(&self, count: usize) -> Self {
        let total = self.latents.dims()[2];
        Self { latents: self.latents.clone().narrow(2, count, total - count) }
    }
}

impl Engine {
    /// Denoises one shot. `text` holds the states `[g, n, c]` of the prompts: with guidance two,
    /// the negative prompt's first.
    ///
    /// # Errors
    /// When the request cannot be carried out, the device fails or `watch` breaks.
    pub async fn denoise(
        &self,
        request: &Request,
        text: Tensor<3>,
        generator: &mut Generator,
        watch: &mut dyn Watch,
    ) -> Result<Shot> {
        let plan = Plan::new(request, self.vae.downscale())?;
        let conditioning = self.conditioning(request, text)?;
        let Sampling { scheduler, eta, noise, .. } = request.sampling;
        let scheduler = self.scheduler.init(scheduler, plan.steps, eta)?;
        let scheduler = scheduler.as_ref();
        let latents = self.initial_latents(request, &plan, &conditioning, scheduler, generator)?;
        let denoiser = Denoiser {
            unet: &self.unet,
            dtype: self.dtype,
            conditioning: &conditioning,
            plan: &plan,
            scheduler,
        };
        let mut state = State { latents, kept: None };
        for index in 0..scheduler.timesteps().len() {
            state = denoiser.step(state, index, watch)?;
            if scheduler.draws_noise(index) {
                let share = scheduler.step(index).noise;
                state.latents = noise.add(state.latents, share, generator);
            }
            self.finish_step(&state.latents, index, scheduler.timesteps().len(), watch).await?;
        }
        let latents = state.latents;
        Ok(Shot {
            latents: match conditioning.vision {
                Some(condition) => insert_condition(condition, latents, &plan.condition_positions),
                None => latents,
            },
        })
    }

    /// The frames of `shot`, decoded one at a time so that memory does not grow with the clip.
    ///
    /// # Errors
    /// When the device fails or `watch` breaks.
    pub async fn decode(&self, shot: &Shot, watch: &mut dyn Watch) -> Result<Vec<Frame>> {
        let of = shot.latents.dims()[2];
        let mut frames = Vec::with_capacity(of);
        for index in 0..of {
            let image = self.decode_latents(shot.latents.clone().narrow(2, index, 1));
            frames.extend(image_tensor::to_frames(image).await?);
            report(watch, Event::Decoded { frames: index + 1, of })?;
        }
        Ok(frames)
    }

    fn conditioning(&self, request: &Request, text: Tensor<3>) -> Result<Conditioning> {
        let vision = request.vision.as_ref().filter(|vision| !vision.frames.is_empty());
        let encode = |vision: &VisionCondition| self.encode(&vision.frames, request.size);
        Ok(Conditioning { text, vision: vision.map(encode).transpose()? })
    }

    /// Latents `[1, 4, k, h, w]` of given frames: the mean of the VAE's distribution, scaled.
    /// Pictures of another size are cropped and resized; they are encoded one at a time.
    fn encode(&self, frames: &ConditionFrames, size: Size) -> Result<Tensor<5>> {
        let pictures = match frames {
            ConditionFrames::Latents(latents) => return Ok(latents.clone()),
            ConditionFrames::Pictures(pictures) => pictures,
        };
        let mut latents = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let fitted = if (picture.width, picture.height) == (size.width, size.height) {
                picture.clone()
            } else {
                crop_resize(picture, size.width, size.height, Filter::Lanczos)
            };
            let image = image_tensor::from_frames(&[fitted], &self.device).cast(self.dtype);
            let mean = self.vae.encode(image).mean.cast(FloatDType::F32);
            latents.push(mean * self.vae.scaling_factor());
        }
        // [t, 4, h, w] -> [1, 4, t, h, w]
        Ok(Tensor::cat(latents, 0).swap_dims(0, 1).unsqueeze_dim(0))
    }

    /// Pictures `[t, 3, height, width]` in [0, 1] of latents `[1, 4, t, h, w]`.
    pub(crate) fn decode_latents(&self, latents: Tensor<5>) -> Tensor<4> {
        let latents: Tensor<4> = latents.squeeze_dim::<4>(0).swap_dims(0, 1);
        let latents = (latents / self.vae.scaling_factor()).cast(self.dtype);
        let image = self.vae.decode(latents).cast(FloatDType::F32);
        (image / 2.0 + 0.5).clamp(0.0, 1.0)
    }

    fn initial_latents(
        &self,
        request: &Request,
        plan: &Plan,
        conditioning: &Conditioning,
        scheduler: &dyn Scheduler,
        generator: &mut Generator,
    ) -> Result<Tensor<5>> {
        let [height, width] = plan.latent_size;
        let shape = [1, self.vae.latent_channels(), plan.frames, height, width];
        let noise = request.sampling.noise;
        let drawn = noise.draw(shape, generator, &self.device);
        match &request.source {
            Some(frames) => {
                let clean = self.encode(frames, request.size)?;
                Ok(scheduler.add_noise(clean, drawn, 0))
            }
            None => {
                let mixed = match &conditioning.vision {
                    Some(condition) => noise.with_image(drawn, condition.clone()),
                    None => drawn,
                };
                Ok(mixed * scheduler.init_noise_sigma())
            }
        }
    }

    /// Waits for the device, so that progress is honest and cancelling prompt, and reports.
    async fn finish_step(
        &self,
        latents: &Tensor<5>,
        index: usize,
        of: usize,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        image_tensor::read(latents.clone().narrow(2, 0, 1)).await?;
        report(watch, Event::Step { index, of, latents })?;
        if watch.wants_preview(index) {
            let middle = latents.clone().narrow(2, latents.dims()[2] / 2, 1);
            for frame in image_tensor::to_frames(self.decode_latents(middle)).await? {
                report(watch, Event::Preview(frame))?;
            }
        }
        Ok(())
    }
}
