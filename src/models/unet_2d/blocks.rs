//! The blocks of the encoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::UNet2DEncoderConfig;
use crate::nn::resnet_2d::{ResnetBlock2D, ResnetBlock2DConfig};
use crate::nn::sampling::{Downsample2D, Downsample2DConfig, DownsamplePadding};
use crate::nn::transformer_2d::{Transformer2DModel, Transformer2DModelConfig};
use crate::nn::transformer_block::SpatialContext;

/// One level on the way down; without `attentions` it is diffusers' `DownBlock2D`, with them
/// `CrossAttnDownBlock2D`.
#[derive(Module, Debug)]
pub(super) struct DownBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
    downsamplers: Vec<Downsample2D>,
}

impl DownBlock2D {
    /// Level `i` of the UNet.
    pub(super) fn init(parts: &Parts, i: usize) -> Self {
        let Parts { config, device, .. } = *parts;
        let channels = &config.block_out_channels;
        let (from, to) = (channels[i.saturating_sub(1)], channels[i]);
        let count = config.layers_per_block;
        let attending = if config.block_attends(i) { count } else { 0 };
        let is_last = i + 1 == channels.len();
        let downsampler = Downsample2DConfig::new(to, DownsamplePadding::Symmetric);
        Self {
            resnets: (0..count).map(|j| parts.resnet(if j == 0 { from } else { to }, to)).collect(),
            attentions: (0..attending).map(|_| parts.attention(to)).collect(),
            downsamplers: if is_last { Vec::new() } else { vec![downsampler.init(device)] },
        }
    }

    /// Pushes the output of every layer and of the downsampler on `features`.
    ///
    /// # Shapes
    /// - `x`: `[n, c_in, h, w]`
    /// - `time`: `[1, embed_dim]` or `[n, embed_dim]`, after its SiLU
    /// - output: `[n, c_out, h', w']`
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        context: &SpatialContext,
        features: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let mut attentions = self.attentions.iter();
        for resnet in &self.resnets {
            x = resnet.forward_with_time(x, time.clone());
            if let Some(attention) = attentions.next() {
                x = attention.forward(x, context);
            }
            features.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x);
            features.push(x.clone());
        }
        x
    }
}

/// The innermost block: residual blocks with a transformer between them.
#[derive(Module, Debug)]
pub(super) struct MidBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
}

impl MidBlock2D {
    pub(super) fn init(parts: &Parts) -> Self {
        let channels = &parts.config.block_out_channels;
        let channels = channels[channels.len() - 1];
        Self {
            resnets: (0..2).map(|_| parts.resnet(channels, channels)).collect(),
            attentions: vec![parts.attention(channels)],
        }
    }

    /// # Shapes
    /// - `x`, output: `[n, c, h, w]`
    /// - `time`: `[1, embed_dim]` or `[n, embed_dim]`, after its SiLU
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        context: &SpatialContext,
    ) -> Tensor<4> {
        let mut attentions = self.attentions.iter();
        for resnet in &self.resnets {
            x = resnet.forward_with_time(x, time.clone());
            if let Some(attention) = attentions.next() {
                x = attention.forward(x, context);
            }
        }
        x
    }
}

/// Makes the parts of all blocks.
pub(super) struct Parts<'a> {
    pub(super) config: &'a UNet2DEncoderConfig,
    pub(super) outer_norm_eps: f64,
    pub(super) device: &'a Device,
}

impl Parts<'_> {
    fn resnet(&self, from: usize, to: usize) -> ResnetBlock2D {
        ResnetBlock2DConfig::new(from, to)
            .with_time_embed_dim(Some(self.config.embed_dim()))
            .with_norm_num_groups(self.config.norm_num_groups)
            .with_eps(self.config.norm_eps)
            .init(self.device)
    }

    fn attention(&self, channels: usize) -> Transformer2DModel {
        let UNet2DEncoderConfig { attention_head_dim: heads, cross_attention_dim, .. } =
            *self.config;
        Transformer2DModelConfig::new(channels, heads, cross_attention_dim)
            .with_norm_num_groups(self.config.norm_num_groups)
            .with_outer_norm_eps(self.outer_norm_eps)
            .init(self.device)
    }
}
