//! The transformer block of spatial and temporal transformers.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::nn::attention::{Attention, AttentionConfig};
use crate::nn::feed_forward::{FeedForward, FeedForwardConfig};
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};

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
    /// Text states `[b, m, cross_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
}

impl BasicTransformerBlockConfig {
    /// A [`BasicTransformerBlock`] with random weights.
    pub fn init(&self, device: &Device) -> BasicTransformerBlock {
        let Self { channels, heads, cross_attention_dim } = *self;
        let attention = |context| AttentionConfig::new(channels, context, heads).init(device);
        // The original passes the wrong positional argument, so that only norm2 has its eps
        // (quirk Q-3); the weights were trained that way.
        let norm = |eps| LayerNormConfig::new(channels).with_eps(eps).init(device);
        BasicTransformerBlock {
            norm1: norm(0.0),
            attn1: attention(channels),
            norm2: norm(1e-5),
            attn2: attention(cross_attention_dim.unwrap_or(channels)),
            norm3: norm(0.0),
            ff: FeedForwardConfig::new(channels).init(device),
        }
    }
}

impl BasicTransformerBlock {
    /// Reference-only self attention over the pixels of a frame, then cross attention to the text.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    pub fn forward_spatial(&self, x: Tensor<3>, context: &SpatialContext) -> Tensor<3> {
        let SpatialContext { frames, condition_frames, encoder_hidden_states } = context;
        let normed = self.norm1.forward(x.clone());
        let x = self.attn1.forward_self(normed, *frames, condition_frames) + x;
        let normed = self.norm2.forward(x.clone());
        let x = self.attn2.forward_cross(normed, encoder_hidden_states.clone()) + x;
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
