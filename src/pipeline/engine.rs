//! One shot from text states and condition frames to latents.

use std::borrow::Cow;

use burn::tensor::{Device, FloatDType, Tensor};

use crate::error::Result;
use crate::image_tensor;
use crate::media::{Filter, Frame, crop_resize, crop_resize_bilinear};
use crate::models::unet_3d::UNet3DConditionModel;
use crate::models::vae::AutoencoderKL;
use crate::pipeline::conditioning::Conditioning;
use crate::pipeline::denoise::{Denoiser, State};
use crate::pipeline::latents::insert_condition;
use crate::pipeline::look::Look;
use crate::pipeline::serial::Serial;
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{ConditionFrames, Conditioners, Plan, Request, Sampling, Size};
use crate::random::Generator;
use crate::schedulers::{LateStart, Scheduler, SchedulerConfig};

/// The networks that turn noise into pictures, with their scheduler's configuration.
#[derive(Debug)]
pub struct Engine {
    /// Pictures to latents and back.
    pub vae: AutoencoderKL,
    /// The denoiser.
    pub unet: UNet3DConditionModel,
    /// What else the denoiser can be told by.
    pub conditioners: Conditioners,
    /// Precision of all networks; latents and pictures stay float32.
    pub dtype: FloatDType,
    /// How noise falls from step to step.
    pub scheduler: SchedulerConfig,
    /// Where everything lives.
    pub device: Device,
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
        Plan::new(request, self.vae.downscale())?;
        let look = self.look(request, &text, watch).await?;
        self.denoise_with(request, (text, look), generator, watch).await
    }

    /// The same with a [`Engine::look`] that is there already.
    pub(crate) async fn denoise_with(
        &self,
        request: &Request,
        known: (Tensor<3>, Look),
        generator: &mut Generator,
        watch: &mut dyn Watch,
    ) -> Result<Shot> {
        self.denoise_serially(request, known, generator, &mut Serial::default(), watch).await
    }

    /// The same, where `serial` says what is taken up of the chunk before.
    pub(super) async fn denoise_serially(
        &self,
        request: &Request,
        known: (Tensor<3>, Look),
        generator: &mut Generator,
        serial: &mut Serial,
        watch: &mut dyn Watch,
    ) -> Result<Shot> {
        let plan = Plan::new(request, self.vae.downscale())?;
        let Sampling { scheduler, eta, noise, .. } = request.sampling;
        let scheduler = self.scheduler.init(scheduler, plan.steps, eta)?;
        let scheduler = &LateStart::new(scheduler, plan.skipped_steps);
        let steps = scheduler.timesteps().len();
        let conditioning = self.conditioning(request, known, steps);
        let latents = self.initial_latents(request, &plan, &conditioning, scheduler, generator);
        let denoiser =
            Denoiser { engine: self, conditioning: &conditioning, plan: &plan, scheduler };
        let mut state = State { latents: serial.latents(0, latents), kept: None };
        for index in 0..steps {
            state = denoiser.step(state, index, serial, watch)?;
            if scheduler.draws_noise(index) {
                let (step, condition) = (scheduler.step(index), conditioning.vision.as_ref());
                state.latents = noise.add(state.latents, &step, condition, generator);
            }
            state.latents = serial.latents(index + 1, state.latents);
            self.finish_step(&state.latents, index, steps, watch).await?;
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

    /// Latents `[1, 4, k, h, w]` of given frames: the mean of the VAE's distribution, scaled.
    /// Pictures of another size are cropped and resized; they are encoded one at a time.
    pub(super) fn encode(&self, frames: &ConditionFrames, size: Size, resize: Resize) -> Tensor<5> {
        match frames {
            ConditionFrames::Latents(latents) => latents.clone(),
            ConditionFrames::Pictures(pictures) => {
                let encode = |picture| {
                    let picture = fitted(picture, size, resize).into_owned();
                    self.encode_image(image_tensor::from_frames(&[picture], &self.device))
                };
                clip(pictures.iter().map(encode).collect())
            }
        }
    }

    /// Latents of the pictures that `latents` show: what comes out of the VAE, seen anew.
    ///
    /// # Shapes
    /// - `latents`, output: `[1, 4, t, h, w]`
    pub(super) fn encode_decoded(&self, latents: &Tensor<5>) -> Tensor<5> {
        let encode = |frame| self.encode_image(self.decode_latents(frame) * 2.0 - 1.0);
        clip(latents.clone().split(1, 2).into_iter().map(encode).collect())
    }

    /// Scaled latents `[t, 4, h, w]` of pictures `[t, 3, height, width]` in [-1, 1].
    fn encode_image(&self, image: Tensor<4>) -> Tensor<4> {
        let mean = self.vae.encode(image.cast(self.dtype)).mean.cast(FloatDType::F32);
        mean * self.vae.scaling_factor()
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
    ) -> Tensor<5> {
        let [height, width] = plan.latent_size;
        let shape = [1, self.vae.latent_channels(), plan.frames, height, width];
        let noise = request.sampling.noise;
        let drawn = noise.draw(shape, generator, &self.device);
        let mixed = match &conditioning.vision {
            // The original keeps the picture out of the noise on given frames.
            Some(condition) if request.source.is_none() || noise.keep_img_weight => {
                noise.with_image(drawn, condition.clone())
            }
            _ => drawn,
        };
        match &request.source {
            Some(frames) => {
                let clean = self.encode(frames, request.size, crop_resize_bilinear);
                scheduler.add_noise(clean, mixed, 0)
            }
            None => mixed * scheduler.init_noise_sigma(),
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

/// How a frame is brought to a width and height.
pub(super) type Resize = fn(&Frame, usize, usize) -> Frame;

/// A picture cropped and resized, as the original does it with all but the frames of videos.
pub(super) fn picture_at(picture: &Frame, width: usize, height: usize) -> Frame {
    crop_resize(picture, width, height, Filter::Lanczos)
}

/// `frame` at `size`; where it has this size, as it is.
pub(super) fn fitted(frame: &Frame, size: Size, resize: Resize) -> Cow<'_, Frame> {
    if (frame.width, frame.height) == (size.width, size.height) {
        Cow::Borrowed(frame)
    } else {
        Cow::Owned(resize(frame, size.width, size.height))
    }
}

/// Latents of single frames `[1, 4, h, w]` as those of a clip `[1, 4, t, h, w]`.
fn clip(frames: Vec<Tensor<4>>) -> Tensor<5> {
    Tensor::cat(frames, 0).swap_dims(0, 1).unsqueeze_dim(0)
}
