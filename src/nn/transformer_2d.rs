//! The spatial transformer.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::nn::attention::ImageBranches;
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::projection::{pixels_to_tokens, tokens_to_pixels};
use crate::nn::transformer_block::{
    BasicTransformerBlock, BasicTransformerBlockConfig, MUSEV_NORM_EPS, SpatialContext,
};

/// Configuration of a [`Transformer2DModel`].
#[derive(Config, Debug)]
pub struct Transformer2DModelConfig {
    /// Channels in and out.
    pub channels: usize,
    /// Number of heads; divides `channels`.
    pub heads: usize,
    /// Channels of the text states.
    pub cross_attention_dim: usize,
    /// Groups of the GroupNorm; divides `channels`.
    #[config(default = "32")]
    pub norm_num_groups: usize,
    /// Image prompts that the cross attention can read.
    #[config(default = "ImageBranches::None")]
    pub image_branches: ImageBranches,
    /// eps of the first and the third LayerNorm of the transformer block.
    #[config(default = "MUSEV_NORM_EPS")]
    pub outer_norm_eps: f64,
}

/// GroupNorm per frame, 1×1 convolution, transformer block over pixels and text, 1×1 convolution,
/// added to the input.
#[derive(Module, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Conv2d,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Conv2d,
}

impl Transformer2DModelConfig {
    /// A [`Transformer2DModel`] with random weights.
    pub fn init(&self, device: &Device) -> Transformer2DModel {
        let pointwise = Conv2dConfig::pointwise(self.channels, self.channels);
        let block = BasicTransformerBlockConfig::new(self.channels, self.heads)
            .with_cross_attention_dim(Some(self.cross_attention_dim))
            .with_image_branches(self.image_branches)
            .with_outer_norm_eps(self.outer_norm_eps);
        Transformer2DModel {
            norm: GroupNormConfig::new(self.norm_num_groups, self.channels)
                .with_eps(1e-6)
                .init(device),
            proj_in: pointwise.init(device),
            transformer_blocks: vec![block.init(device)],
            proj_out: pointwise.init(device),
        }
    }
}

impl Transformer2DModel {
    /// Transforms every frame.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, c, h, w]`
    pub fn forward(&self, x: Tensor<4>, context: &SpatialContext) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let normed = self.norm.forward(x.clone(), 1);
        let tokens = pixels_to_tokens(normed, self.proj_in.as_projection());
        let tokens = self
            .transformer_blocks
            .iter()
            .fold(tokens, |tokens, block| block.forward_spatial(tokens, context));
        tokens_to_pixels(tokens, self.proj_out.as_projection(), [h, w]) + x
    }
}
