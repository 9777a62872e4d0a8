//! Multi-head attention with its projections.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::kernels::{attention, temporal_attention};
use crate::nn::projection::{map_tokens, pixels_to_tokens, projection_of, tokens_to_pixels};

/// State-dict keys that differ from the fields of [`Attention`].
pub const KEYS: [(&str, &str); 1] = [("to_out.0", "to_out")];

/// Configuration of an [`Attention`].
#[derive(Config, Debug)]
pub struct AttentionConfig {
    /// Channels of the tokens in and out.
    pub channels: usize,
    /// Channels of the tokens that keys and values come from.
    pub context_channels: usize,
    /// Number of heads; divides `channels`.
    pub heads: usize,
    /// Whether queries, keys and values have a bias; the output always has one.
    #[config(default = "false")]
    pub qkv_bias: bool,
}

/// Queries, keys, values and output of an attention layer.
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
}

impl AttentionConfig {
    /// An [`Attention`] with random weights.
    pub fn init(&self, device: &Device) -> Attention {
        let linear = |from, bias| LinearConfig::new(from, self.channels).with_bias(bias);
        Attention {
            to_q: linear(self.channels, self.qkv_bias).init(device),
            to_k: linear(self.context_channels, self.qkv_bias).init(device),
            to_v: linear(self.context_channels, self.qkv_bias).init(device),
            to_out: linear(self.channels, true).init(device),
            heads: self.heads,
        }
    }
}

impl Attention {
    /// Reference-only self attention: every frame of a clip sees its own tokens and, appended,
    /// those of the clip's `condition_frames`. Without condition frames it is plain self attention.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    pub fn forward_self(
        &self,
        x: Tensor<3>,
        frames: usize,
        condition_frames: &[usize],
    ) -> Tensor<3> {
        let q = map_tokens(x.clone(), &self.to_q);
        let k = map_tokens(x.clone(), &self.to_k);
        let v = map_tokens(x, &self.to_v);
        // Condition frames lie in the same batch, so their keys and values exist already.
        let k = append_frames(k, frames, condition_frames);
        let v = append_frames(v, frames, condition_frames);
        map_tokens(attention(q, k, v, self.heads), &self.to_out)
    }

    /// Cross attention of all frames of a clip to the clip's context.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    /// - `context`: `[b, m, context_channels]`
    pub fn forward_cross(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let [rows, n, c] = x.dims();
        let b = context.dims()[0];
        // All frames of a clip read the same context, so their tokens are one long sequence.
        let q = map_tokens(x, &self.to_q).reshape([b, rows / b * n, c]);
        let k = map_tokens(context.clone(), &self.to_k);
        let v = map_tokens(context, &self.to_v);
        map_tokens(attention(q, k, v, self.heads).reshape([rows, n, c]), &self.to_out)
    }

    /// Self attention along the frames of every pixel.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`, n pixels
    pub fn forward_temporal(&self, x: Tensor<3>, frames: usize) -> Tensor<3> {
        let [rows, n, c] = x.dims();
        let clips = |x: Tensor<3>| x.reshape([rows / frames, frames, n, c]);
        let q = clips(map_tokens(x.clone(), &self.to_q));
        let k = clips(map_tokens(x.clone(), &self.to_k));
        let v = clips(map_tokens(x, &self.to_v));
        let out = temporal_attention(q, k, v, self.heads).reshape([rows, n, c]);
        map_tokens(out, &self.to_out)
    }

    /// Self attention of the pixels of each image.
    ///
    /// # Shapes
    /// - `x`, output: `[n, c, h, w]`
    pub fn forward_pixels(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let q = pixels_to_tokens(x.clone(), projection_of(&self.to_q));
        let k = pixels_to_tokens(x.clone(), projection_of(&self.to_k));
        let v = pixels_to_tokens(x, projection_of(&self.to_v));
        tokens_to_pixels(attention(q, k, v, self.heads), projection_of(&self.to_out), [h, w])
    }
}

/// Appends to each frame's tokens those of `chosen` frames of the same clip.
fn append_frames(x: Tensor<3>, frames: usize, chosen: &[usize]) -> Tensor<3> {
    if chosen.is_empty() {
        return x;
    }
    let [rows, n, c] = x.dims();
    let clips = x.reshape([rows / frames, frames, n, c]);
    let shape = clips.shape();
    let parts = std::iter::once(clips.clone())
        .chain(chosen.iter().map(|&i| clips.clone().narrow(1, i, 1).expand(shape.clone())))
        .collect();
    Tensor::cat(parts, 2).reshape([rows, (1 + chosen.len()) * n, c])
}
