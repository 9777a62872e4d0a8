//! The way down and the middle of Stable Diffusion's UNet, which ReferenceNet and ControlNet are
//! made of.

mod blocks;
mod config;

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

pub use config::UNet2DEncoderConfig;

use crate::nn::attention::CrossContext;
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::embeddings::{TimestepEmbedding, TimestepEmbeddingConfig};
use crate::nn::transformer_block::SpatialContext;
use crate::nn::{attention, feed_forward};

use blocks::{DownBlock2D, MidBlock2D, Parts};

/// State-dict keys that differ from module paths; `encoder` is what the networks around it call it.
pub const KEYS: [(&str, &str); 4] =
    [("", "encoder"), attention::KEYS[0], feed_forward::KEYS[0], feed_forward::KEYS[1]];

/// `conv_in`, time embedding, way down and middle.
#[derive(Module, Debug)]
pub struct UNet2DEncoder {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    down_blocks: Vec<DownBlock2D>,
    mid_block: MidBlock2D,
}

/// What a [`UNet2DEncoder`] looks at.
#[derive(Clone, Debug)]
pub struct UNet2DEncoderInput {
    /// Latents, `[n, in_channels, h, w]`.
    pub sample: Tensor<4>,
    /// Added after `conv_in`, `[n, block_out_channels[0], h, w]`.
    pub hint: Option<Tensor<4>>,
    /// Noise level, 0 to 1000: one for all images, or one for each.
    pub timesteps: Vec<f64>,
    /// Text states, `[b, m, cross_attention_dim]`: for every image, or for n/b images in a row.
    pub encoder_hidden_states: Tensor<3>,
}

/// What a [`UNet2DEncoder`] finds.
#[derive(Clone, Debug)]
pub struct UNet2DFeatures {
    /// After `conv_in`, every layer and every downsampler, `[n, c, h', w']`.
    pub down: Vec<Tensor<4>>,
    /// After the middle, `[n, c, h', w']`.
    pub mid: Tensor<4>,
}

impl UNet2DEncoderConfig {
    /// A [`UNet2DEncoder`] with random weights; `outer_norm_eps` is that of its transformer blocks.
    pub fn init(&self, outer_norm_eps: f64, device: &Device) -> UNet2DEncoder {
        let first = self.block_out_channels[0];
        let parts = Parts { config: self, outer_norm_eps, device };
        UNet2DEncoder {
            conv_in: Conv2dConfig::same_3x3(self.in_channels, first).init(device),
            time_embedding: TimestepEmbeddingConfig::new(first, self.embed_dim()).init(device),
            down_blocks: (0..self.block_out_channels.len())
                .map(|i| DownBlock2D::init(&parts, i))
                .collect(),
            mid_block: MidBlock2D::init(&parts),
        }
    }
}

impl UNet2DEncoder {
    /// Looks at every image by itself.
    pub fn forward(&self, input: UNet2DEncoderInput) -> UNet2DFeatures {
        let UNet2DEncoderInput { sample, hint, timesteps, encoder_hidden_states } = input;
        let time = silu(self.time_embedding.forward(&timesteps));
        let context = SpatialContext {
            frames: 1,
            condition_frames: &[],
            reference: None,
            cross: CrossContext {
                text: encoder_hidden_states,
                image_prompt: None,
                face_prompt: None,
            },
        };
        let mut x = self.conv_in.forward(sample);
        if let Some(hint) = hint {
            x = x + hint;
        }
        let mut down = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &time, &context, &mut down);
        }
        UNet2DFeatures { mid: self.mid_block.forward(x, &time, &context), down }
    }
}
