//! The noise that a clip is denoised from.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pipeline::latents::mean_frame;
use crate::random::Generator;
use crate::schedulers::Step;

/// Whether the frames of a clip share a part of their noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseType {
    /// Every frame has its own noise.
    Random,
    /// Frames share one noise and add their own.
    #[default]
    VideoFusion,
}

impl NoiseType {
    /// Every type, in the order options list them.
    pub const ALL: [Self; 2] = [Self::VideoFusion, Self::Random];
}

impl fmt::Display for NoiseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::VideoFusion => "video_fusion",
        })
    }
}

impl FromStr for NoiseType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|kind| kind.to_string() == name).ok_or_else(|| {
            let reason = format!("`{text}` is unknown; use video_fusion or random");
            Error::request("noise-type", reason)
        })
    }
}

/// How noise is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Default `video_fusion`.
    pub noise_type: NoiseType,
    /// Share of a frame's own noise in the variance of `video_fusion`, 0 to 1. Default 0.5.
    pub w_ind_noise: f64,
    /// Share of the condition frames' mean in the variance of the first noise, 0 to 1; `None` keeps
    /// it out. Default 0.001.
    pub img_weight: Option<f64>,
    /// Whether the noise that some samplers add after a step has that share too, as noise did that a
    /// model was trained on. Default false: the original's has not.
    pub keep_img_weight: bool,
    /// Factor on the noise that some samplers add after a step, as in k-diffusion and diffusers; less
    /// than 1 is calmer. Default 1.
    pub s_noise: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            noise_type: NoiseType::default(),
            w_ind_noise: 0.5,
            img_weight: Some(1e-3),
            keep_img_weight: false,
            s_noise: 1.0,
        }
    }
}

impl Noise {
    /// Checks that the shares are shares, and the factor is one.
    ///
    /// # Errors
    /// When a share is not in 0..=1, or the factor negative or not finite.
    pub fn validate(&self) -> Result<()> {
        let shares =
            [("w-ind-noise", self.w_ind_noise), ("img-weight", self.img_weight.unwrap_or(0.0))];
        for (option, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::request(option, format!("{share} is not between 0 and 1")));
            }
        }
        if !(self.s_noise.is_finite() && self.s_noise >= 0.0) {
            return Err(Error::request("s-noise", format!("{} is not 0 or more", self.s_noise)));
        }
        Ok(())
    }

    /// Draws noise of `shape`; `video_fusion` draws the shared part first.
    ///
    /// # Shapes
    /// - `shape`, output: `[b, c, t, h, w]`
    pub fn draw(&self, shape: [usize; 5], generator: &mut Generator, device: &Device) -> Tensor<5> {
        match self.noise_type {
            NoiseType::Random => normal(shape, generator, device),
            NoiseType::VideoFusion => {
                let common = normal(one_frame(shape), generator, device);
                let individual = normal(shape, generator, device);
                video_fusion(common, individual, self.w_ind_noise)
            }
        }
    }

    /// `latents` with the fresh noise of `step`, which `generator` draws whatever its share.
    ///
    /// # Shapes
    /// - `latents`, output: `[b, c, t, h, w]`
    /// - `condition_latents`: `[b, c, n, h, w]`
    pub fn add(
        &self,
        latents: Tensor<5>,
        step: &Step,
        condition_latents: Option<&Tensor<5>>,
        generator: &mut Generator,
    ) -> Tensor<5> {
        let shape = latents.dims();
        if step.noise == 0.0 {
            if self.noise_type == NoiseType::VideoFusion {
                generator.normal(&one_frame(shape));
            }
            generator.normal(&shape);
            return latents;
        }
        let noise = self.draw(shape, generator, &latents.device()) * (step.noise * self.s_noise);
        let noise = match condition_latents {
            Some(condition) if self.keep_img_weight => {
                self.with_image(noise, condition.clone() * step.noise_mean)
            }
            _ => noise,
        };
        latents + noise
    }

    /// `noise` with the mean of the condition frames mixed in, if this noise is to have it.
    ///
    /// # Shapes
    /// - `noise`, output: `[b, c, t, h, w]`
    /// - `condition_latents`: `[b, c, n, h, w]`
    pub fn with_image(&self, noise: Tensor<5>, condition_latents: Tensor<5>) -> Tensor<5> {
        match self.img_weight {
            Some(weight) => {
                mean_frame(condition_latents) * weight.sqrt() + noise * (1.0 - weight).sqrt()
            }
            None => noise,
        }
    }
}

/// `√(1-w)·common + √w·individual` (VideoFusion, Luo et al. 2023, arXiv:2303.08320).
///
/// # Shapes
/// - `common`: `[b, c, 1, h, w]`
/// - `individual`, output: `[b, c, t, h, w]`
pub fn video_fusion(common: Tensor<5>, individual: Tensor<5>, w_ind_noise: f64) -> Tensor<5> {
    common * (1.0 - w_ind_noise).sqrt() + individual * w_ind_noise.sqrt()
}

fn one_frame([b, c, _, h, w]: [usize; 5]) -> [usize; 5] {
    [b, c, 1, h, w]
}

fn normal(shape: [usize; 5], generator: &mut Generator, device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(generator.normal(&shape), shape), device)
}
