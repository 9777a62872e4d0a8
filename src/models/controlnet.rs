//! ControlNet (Zhang et al. 2023, arXiv:2302.05543): what control frames ask of the denoiser.

use std::ops::Add;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::models::unet_2d::{self, UNet2DEncoder, UNet2DEncoderConfig, UNet2DEncoderInput};
use crate::nn::conditioning_embedding::{ConditioningEmbedding, ConditioningEmbeddingConfig};
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::transformer_block::DIFFUSERS_NORM_EPS;

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &unet_2d::KEYS;

/// `config.json` of a ControlNet; defaults are those for Stable Diffusion 1.5.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct ControlNetModelConfig {
    /// Sizes of the UNet.
    #[serde(flatten)]
    pub encoder: UNet2DEncoderConfig,
    /// Channels of the control frames.
    pub conditioning_channels: usize,
    /// Channels per level of the convolutions before the UNet; each after the first halves the size.
    pub conditioning_embedding_out_channels: Vec<usize>,
    /// Order of the colours of control frames; `rgb`.
    pub controlnet_conditioning_channel_order: String,
    /// Whether residuals are averaged over the picture, as the one for shuffled pictures does.
    pub global_pool_conditions: bool,
}

impl Default for ControlNetModelConfig {
    fn default() -> Self {
        Self {
            encoder: UNet2DEncoderConfig::default(),
            conditioning_channels: 3,
            conditioning_embedding_out_channels: vec![16, 32, 96, 256],
            controlnet_conditioning_channel_order: "rgb".to_owned(),
            global_pool_conditions: false,
        }
    }
}

/// A UNet's way down with a convolution at each feature.
#[derive(Module, Debug)]
pub struct ControlNetModel {
    encoder: UNet2DEncoder,
    controlnet_cond_embedding: ConditioningEmbedding,
    controlnet_down_blocks: Vec<Conv2d>,
    controlnet_mid_block: Conv2d,
    global_pool_conditions: bool,
}

/// What a [`ControlNetModel`] looks at, and how much it has to say.
#[derive(Clone, Debug)]
pub struct ControlNetInput {
    /// Noisy latents, `[n, in_channels, h, w]`.
    pub sample: Tensor<4>,
    /// Noise level, 0 to 1000: one for all images, or one for each.
    pub timesteps: Vec<f64>,
    /// Text states, `[b, m, cross_attention_dim]`: for every image, or for n/b images in a row.
    pub encoder_hidden_states: Tensor<3>,
    /// Control frames, values in 0..1, `[k, conditioning_channels, h·s, w·s]`: s is 2 to the number of
    /// halvings, 8 as published. Image i follows frame i mod k.
    pub control: Tensor<4>,
    /// Factor of all residuals.
    pub conditioning_scale: f64,
    /// Whether residuals are the smaller the farther out they act, from a tenth of the scale: control
    /// by what is seen more than by the text.
    pub guess_mode: bool,
}

/// What the denoiser adds to its skip connections and after its middle. Those of several ControlNets
/// add up. Averaged ones are `[n, c, 1, 1]`.
#[derive(Clone, Debug)]
pub struct ControlResiduals {
    /// One for every skip connection, `[n, c, h', w']`.
    pub down: Vec<Tensor<4>>,
    /// For the output of the middle, `[n, c, h', w']`.
    pub mid: Tensor<4>,
}

impl Add for ControlResiduals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            down: self.down.into_iter().zip(other.down).map(|(a, b)| a + b).collect(),
            mid: self.mid + other.mid,
        }
    }
}

impl ControlResiduals {
    /// The same for twice as many images, of which the first half is left as it is.
    pub fn for_second_half(self) -> Self {
        let beside_zeros =
            |residual: Tensor<4>| Tensor::cat(vec![residual.zeros_like(), residual], 0);
        Self {
            down: self.down.into_iter().map(beside_zeros).collect(),
            mid: beside_zeros(self.mid),
        }
    }
}

impl ControlNetModelConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd or of a kind that is not supported.
    pub fn validate(&self, origin: &str) -> Result<()> {
        let mut check = Check::new(origin);
        self.encoder.check(&mut check);
        let order = self.controlnet_conditioning_channel_order.as_str();
        check
            .channels("conditioning_channels", self.conditioning_channels)
            .block_channels(&self.conditioning_embedding_out_channels)
            .only("controlnet_conditioning_channel_order", &order, &"rgb")
            .finish()
    }

    /// A [`ControlNetModel`] that starts without influence: its last convolutions are zero.
    pub fn init(&self, device: &Device) -> ControlNetModel {
        let channels = self.encoder.feature_channels();
        let last = channels[channels.len() - 1];
        let zero = |channels| Conv2dConfig::pointwise(channels, channels).init_zero(device);
        ControlNetModel {
            encoder: self.encoder.init(DIFFUSERS_NORM_EPS, device),
            controlnet_cond_embedding: self.embedding().init(device),
            controlnet_down_blocks: channels.into_iter().map(zero).collect(),
            controlnet_mid_block: zero(last),
            global_pool_conditions: self.global_pool_conditions,
        }
    }

    /// The convolutions before the UNet.
    pub(crate) fn embedding(&self) -> ConditioningEmbeddingConfig {
        ConditioningEmbeddingConfig::new(
            self.conditioning_channels,
            self.encoder.block_out_channels[0],
            self.conditioning_embedding_out_channels.clone(),
        )
    }
}

impl ControlNetModel {
    /// Whether it is for guess mode only, as the original has it with those that average.
    pub fn only_guesses(&self) -> bool {
        self.global_pool_conditions
    }

    /// Looks at every image by itself.
    pub fn forward(&self, input: ControlNetInput) -> ControlResiduals {
        let copies = input.sample.dims()[0] / input.control.dims()[0];
        let hint = self.controlnet_cond_embedding.forward(input.control).repeat_dim(0, copies);
        let features = self.encoder.forward(UNet2DEncoderInput {
            sample: input.sample,
            hint: Some(hint),
            timesteps: input.timesteps,
            encoder_hidden_states: input.encoder_hidden_states,
        });
        let scale = |i: usize| {
            // The original does not grade residuals that are averaged.
            let graded = input.guess_mode && !self.global_pool_conditions;
            let grade = if graded { grade(i, features.down.len()) } else { 1.0 };
            grade * input.conditioning_scale
        };
        let residual = |i: usize, conv: &Conv2d, feature: &Tensor<4>| {
            let residual = conv.forward(feature.clone()) * scale(i);
            if self.global_pool_conditions { residual.mean_dim(3).mean_dim(2) } else { residual }
        };
        let down = self.controlnet_down_blocks.iter().zip(&features.down).enumerate();
        ControlResiduals {
            down: down.map(|(i, (conv, feature))| residual(i, conv, feature)).collect(),
            mid: residual(features.down.len(), &self.controlnet_mid_block, &features.mid),
        }
    }
}

/// Factor of residual `i` in guess mode: evenly on a logarithmic scale from 0.1 for the first to 1
/// for `last`.
fn grade(i: usize, last: usize) -> f64 {
    10f64.powf(i as f64 / last as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guess_mode_grades_from_a_tenth_to_the_whole() {
        assert_eq!([grade(0, 12), grade(12, 12)], [0.1, 1.0]);
        assert!((grade(6, 12) - 0.1f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn configurations_that_cannot_be_built_are_refused() {
        let bgr = ControlNetModelConfig {
            controlnet_conditioning_channel_order: "bgr".to_owned(),
            ..Default::default()
        };
        let error = bgr.validate("controlnet/config.json").unwrap_err().to_string();
        assert!(error.contains("channel_order"), "{error}");
        let encoder = UNet2DEncoderConfig { attention_head_dim: 7, ..Default::default() };
        let odd = ControlNetModelConfig { encoder, ..Default::default() };
        assert!(odd.validate("x").unwrap_err().to_string().contains("attention_head_dim"));
    }
}
