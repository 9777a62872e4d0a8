//! The transformer block of spatial and temporal transformers.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::nn::attention::{Attention, AttentionConfig, CrossContext, ImageBranches};
use crate::nn::feed_forward::{FeedForward, FeedForwardConfig};
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};

/// eps of the first and third LayerNorm in MuseV's networks: they pass the wrong positional argument
/// (quirk Q-3), and the weights were trained that way.
pub const MUSEV_NORM_EPS: f64 = 0.0;

/// eps of every LayerNorm in diffusers' networks, and of the second one in MuseV's.
pub const DIFFUSERS_NORM_EPS: f64 = 1e-5;

/// Configuration of a [`BasicTransformerBlock`].
#[derive(Config, Debug)]
pub struct BasicTransformerBlockConfig {
    /// Channels in and out.
    pub channels: usize,
    /// Number of heads; divides `channels`.
    pub heads: usize,
    /// Channels of the text for cross attention; `None` where the second attention is a self
    /// attention too.
    pub cross_attention_dim: Option<usize>,
    /// Image prompts that the cross attention can read.
    #[config(default = "ImageBranches::None")]
    pub image_branches: ImageBranches,
    /// eps of the first and the third LayerNorm.
    #[config(default = "MUSEV_NORM_EPS")]
    pub outer_norm_eps: f64,
}

/// Attention, attention, feed-forward: each behind a LayerNorm and added to its input.
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

/// What a spatial transformer sees besides its own tokens.
#[derive(Clone, Debug)]
pub struct SpatialContext<'a> {
    /// Frames per clip.
    pub frames: usize,
    /// Frames whose tokens every frame of the clip may attend to.
    pub condition_frames: &'a [usize],
    /// Normalised tokens of a reference that every frame of the clip may attend to, `[b, m, c]`.
    /// MuseV has the path, but no published ReferenceNet that feeds it.
    pub reference: Option<Tensor<3>>,
    /// Text and image prompts.
    pub cross: CrossContext,
}

impl BasicTransformerBlockConfig {
    /// A [`BasicTransformerBlock`] with random weights.
    pub fn init(&self, device: &Device) -> BasicTransformerBlock {
        let Self { channels, heads, cross_attention_dim, image_branches, outer_norm_eps } = *self;
        let attention = |context| AttentionConfig::new(channels, context, heads);
        let norm = |eps| LayerNormConfig::new(channels).with_eps(eps).init(device);
        BasicTransformerBlock {
            norm1: norm(outer_norm_eps),
            attn1: attention(channels).init(device),
            norm2: norm(DIFFUSERS_NORM_EPS),
            attn2: attention(cross_attention_dim.unwrap_or(channels))
                .with_image_branches(image_branches)
                .init(device),
            norm3: norm(outer_norm_eps),
            ff: FeedForwardConfig::new(channels).init(device),
        }
    }
}

impl BasicTransformerBlock {
    /// Reference-only self attention over the pixels of a frame, then cross attention to text and
    /// image prompts.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    pub fn forward_spatial(&self, x: Tensor<3>, context: &SpatialContext) -> Tensor<3> {
        let SpatialContext { frames, condition_frames, reference, cross } = context;
        let normed = self.norm1.forward(x.clone());
        let attended =
            self.attn1.forward_self(normed, *frames, condition_frames, reference.clone());
        let x = attended + x;
        let normed = self.norm2.forward(x.clone());
        let x = self.attn2.forward_cross(normed, cross) + x;
        self.ff.forward(self.norm3.forward(x.clone())) + x
    }

    /// Two self attentions along the frames of every pixel.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    pub fn forward_temporal(&self, x: Tensor<3>, frames: usize) -> Tensor<3> {
        let x = self.attn1.forward_temporal(self.norm1.forward(x.clone()), frames) + x;
        let x = self.attn2.forward_temporal(self.norm2.forward(x.clone()), frames) + x;
        self.ff.forward(self.norm3.forward(x.clone())) + x
    }
}
