//! Configuration of the encoder.

use serde::{Deserialize, Serialize};

use crate::models::check::{Check, block_attends};

/// The part of a `config.json` that is about the encoder; defaults are Stable Diffusion 1.5's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct UNet2DEncoderConfig {
    /// Channels of the latents going in.
    pub in_channels: usize,
    /// Channels per level.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level.
    pub layers_per_block: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// eps of the residual blocks' GroupNorms.
    pub norm_eps: f64,
    /// Channels of the text states.
    pub cross_attention_dim: usize,
    /// Number of attention heads, despite its name.
    pub attention_head_dim: usize,
    /// `CrossAttnDownBlock2D` or `DownBlock2D` per level.
    pub down_block_types: Vec<String>,
    /// Activation; `silu`.
    pub act_fn: String,
    /// Cosines before sines in the sinusoids; `true`.
    pub flip_sin_to_cos: bool,
    /// Shift of the sinusoids' frequencies; 0.
    pub freq_shift: i64,
}

impl Default for UNet2DEncoderConfig {
    fn default() -> Self {
        let attending = "CrossAttnDownBlock2D";
        Self {
            in_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: 768,
            attention_head_dim: 8,
            down_block_types: [attending, attending, attending, "DownBlock2D"]
                .map(str::to_owned)
                .to_vec(),
            act_fn: "silu".to_owned(),
            flip_sin_to_cos: true,
            freq_shift: 0,
        }
    }
}

impl UNet2DEncoderConfig {
    /// Notes in `check` what is wrong with the values.
    pub(in crate::models) fn check(&self, check: &mut Check) {
        let blocks = &self.block_out_channels;
        check
            .channels("in_channels", self.in_channels)
            .channels("cross_attention_dim", self.cross_attention_dim)
            .block_channels(blocks)
            .layers("layers_per_block", self.layers_per_block)
            .divides("norm_num_groups", self.norm_num_groups, blocks)
            .divides("attention_head_dim", self.attention_head_dim, blocks)
            .as_many_as_blocks("down_block_types", self.down_block_types.len(), blocks.len())
            .block_types("down_block_types", &self.down_block_types, "Down")
            .only("act_fn", &self.act_fn.as_str(), &"silu")
            .only("flip_sin_to_cos", &self.flip_sin_to_cos, &true)
            .only("freq_shift", &self.freq_shift, &0)
            .that(self.norm_eps.is_finite() && self.norm_eps >= 0.0, || {
                format!("`norm_eps` is {}; it must not be negative", self.norm_eps)
            });
    }

    /// Channels of each of the features on the way down.
    pub(in crate::models) fn feature_channels(&self) -> Vec<usize> {
        let last = self.block_out_channels.len() - 1;
        let features = |(i, &channels): (usize, &usize)| {
            let downsampler = usize::from(i < last);
            std::iter::repeat_n(channels, self.layers_per_block + downsampler)
        };
        let blocks = self.block_out_channels.iter().enumerate().flat_map(features);
        std::iter::once(self.block_out_channels[0]).chain(blocks).collect()
    }

    /// Numbers in all its features of `images` images with latents of `height` x `width`.
    pub(crate) fn feature_elements(&self, images: usize, [height, width]: [usize; 2]) -> usize {
        let last = self.block_out_channels.len() - 1;
        let level = |(i, channels): (usize, &usize)| {
            let at = |i: usize| (height >> i).max(1) * (width >> i).max(1) * channels;
            self.layers_per_block * at(i) + if i < last { at(i + 1) } else { at(i) }
        };
        let levels = self.block_out_channels.iter().enumerate().map(level).sum::<usize>();
        images * (self.block_out_channels[0] * height * width + levels)
    }

    /// Length of the time embedding.
    pub(super) fn embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Whether block `i` has transformers.
    pub(super) fn block_attends(&self, i: usize) -> bool {
        block_attends(&self.down_block_types[i], "Down").unwrap_or(false)
    }
}
