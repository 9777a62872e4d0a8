//! The temporal transformer.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::projection::{pixels_to_tokens, projection_of, tokens_to_pixels};
use crate::nn::transformer_block::{BasicTransformerBlock, BasicTransformerBlockConfig};

/// Weight of every temporal branch before training, as in MuseV.
pub(crate) const INITIAL_TEMPORAL_WEIGHT: Initializer = Initializer::Constant { value: 1e-5 };

/// Configuration of a [`TransformerTemporalModel`].
#[derive(Config, Debug)]
pub struct TransformerTemporalModelConfig {
    /// Channels in and out.
    pub channels: usize,
    /// Number of heads; divides `channels`.
    pub heads: usize,
    /// Channels of the frame embedding.
    pub frame_embed_dim: usize,
    /// Groups of the GroupNorm; divides `channels`.
    #[config(default = "32")]
    pub norm_num_groups: usize,
}

/// GroupNorm over a clip, linear, frame embedding, transformer block along the frames of every
/// pixel, linear, added to the input scaled by `|temporal_weight|`.
#[derive(Module, Debug)]
pub struct TransformerTemporalModel {
    norm: GroupNorm,
    proj_in: Linear,
    frame_emb_proj: Linear,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Linear,
    temporal_weight: Param<Tensor<1>>,
}

impl TransformerTemporalModelConfig {
    /// A [`TransformerTemporalModel`] with random weights.
    pub fn init(&self, device: &Device) -> TransformerTemporalModel {
        let linear = LinearConfig::new(self.channels, self.channels);
        let block = BasicTransformerBlockConfig::new(self.channels, self.heads);
        TransformerTemporalModel {
            norm: GroupNormConfig::new(self.norm_num_groups, self.channels)
                .with_eps(1e-6)
                .init(device),
            proj_in: linear.init(device),
            frame_emb_proj: LinearConfig::new(self.frame_embed_dim, self.channels).init(device),
            transformer_blocks: vec![block.init(device)],
            proj_out: linear.init(device),
            temporal_weight: INITIAL_TEMPORAL_WEIGHT.init([1], device),
        }
    }
}

impl TransformerTemporalModel {
    /// Lets the frames of each clip see one another, pixel by pixel.
    ///
    /// # Shapes
    /// - `x`, output: `[b·t, c, h, w]`
    /// - `frame_embedding`: `[b, t, frame_embed_dim]`, or `[1, t, ..]` for all clips
    pub fn forward(&self, x: Tensor<4>, frame_embedding: Tensor<3>) -> Tensor<4> {
        let [rows, c, h, w] = x.dims();
        let frames = frame_embedding.dims()[1];
        let normed = self.norm.forward(x.clone(), frames);
        let tokens = pixels_to_tokens(normed, projection_of(&self.proj_in));
        // [b, t, 1, c], added to every pixel of a frame
        let offset = self.frame_emb_proj.forward(silu(frame_embedding)).unsqueeze_dim(2);
        let tokens = tokens.reshape([rows / frames, frames, h * w, c]) + offset;
        let tokens = self
            .transformer_blocks
            .iter()
            .fold(tokens.reshape([rows, h * w, c]), |tokens, block| {
                block.forward_temporal(tokens, frames)
            });
        let branch = tokens_to_pixels(tokens, projection_of(&self.proj_out), [h, w]);
        branch * self.temporal_weight.val().abs().unsqueeze() + x
    }
}
