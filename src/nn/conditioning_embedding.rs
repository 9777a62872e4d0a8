//! From pictures to features of the size of latents.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use crate::nn::conv2d::{Conv2d, Conv2dConfig};

/// Configuration of a [`ConditioningEmbedding`].
#[derive(Config, Debug)]
pub struct ConditioningEmbeddingConfig {
    /// Channels of the pictures.
    pub channels_in: usize,
    /// Channels of the features.
    pub channels_out: usize,
    /// Channels per level; each level after the first halves the size.
    pub block_out_channels: Vec<usize>,
}

/// Convolutions with SiLU: two per level, the second with stride 2, and one out (diffusers'
/// `ControlNetConditioningEmbedding`, MuseV's `PoseGuider`).
#[derive(Module, Debug)]
pub struct ConditioningEmbedding {
    conv_in: Conv2d,
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl ConditioningEmbeddingConfig {
    /// A [`ConditioningEmbedding`] that starts as zero: its last convolution is.
    pub fn init(&self, device: &Device) -> ConditioningEmbedding {
        let channels = &self.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let level = |pair: &[usize]| {
            let same = Conv2dConfig::same_3x3(pair[0], pair[0]);
            let halved = Conv2dConfig::same_3x3(pair[0], pair[1]).with_stride(2);
            [same.init(device), halved.init(device)]
        };
        ConditioningEmbedding {
            conv_in: Conv2dConfig::same_3x3(self.channels_in, first).init(device),
            blocks: channels.windows(2).flat_map(level).collect(),
            conv_out: Conv2dConfig::same_3x3(last, self.channels_out).init_zero(device),
        }
    }

    /// Numbers of activations at most, embedding `images` pictures to features of `height` x `width`:
    /// what the widest convolution reads and writes.
    pub(crate) fn working_elements(&self, images: usize, [height, width]: [usize; 2]) -> usize {
        let channels = self.block_out_channels.iter().rev().enumerate();
        let level = |(halvings, channels): (usize, &usize)| {
            2 * channels * (height << halvings) * (width << halvings)
        };
        images * channels.map(level).max().unwrap_or_default()
    }
}

impl ConditioningEmbedding {
    /// Embeds pictures.
    ///
    /// # Shapes
    /// - `x`: `[n, channels_in, h·s, w·s]`, s = 2 to the number of halvings
    /// - output: `[n, channels_out, h, w]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = silu(self.conv_in.forward(x));
        let x = self.blocks.iter().fold(x, |x, conv| silu(conv.forward(x)));
        self.conv_out.forward(x)
    }
}
