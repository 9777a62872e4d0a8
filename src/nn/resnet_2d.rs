//! The residual block of UNets and autoencoders.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};

/// Configuration of a [`ResnetBlock2D`].
#[derive(Config, Debug)]
pub struct ResnetBlock2DConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Channels of the time embedding; `None` in autoencoders.
    pub time_embed_dim: Option<usize>,
    /// Groups of both norms; divides both channel counts.
    #[config(default = "32")]
    pub norm_num_groups: usize,
    /// eps of both norms.
    #[config(default = "1e-5")]
    pub eps: f64,
}

/// Two stages of GroupNorm, SiLU and 3×3 convolution, the time embedding added between them, all
/// added to the input.
#[derive(Module, Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock2DConfig {
    /// A [`ResnetBlock2D`] with random weights.
    pub fn init(&self, device: &Device) -> ResnetBlock2D {
        let (from, to) = (self.channels_in, self.channels_out);
        let norm = |channels| {
            GroupNormConfig::new(self.norm_num_groups, channels).with_eps(self.eps).init(device)
        };
        ResnetBlock2D {
            norm1: norm(from),
            conv1: Conv2dConfig::same_3x3(from, to).init(device),
            time_emb_proj: self.time_embed_dim.map(|dim| LinearConfig::new(dim, to).init(device)),
            norm2: norm(to),
            conv2: Conv2dConfig::same_3x3(to, to).init(device),
            conv_shortcut: (from != to).then(|| Conv2dConfig::pointwise(from, to).init(device)),
        }
    }
}

impl ResnetBlock2D {
    /// Runs the block without a time embedding.
    ///
    /// # Shapes
    /// - `x`: `[n, c_in, h, w]`
    /// - output: `[n, c_out, h, w]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(self.norm1.forward_silu(x.clone(), 1));
        self.finish(x, hidden)
    }

    /// Runs the block; `time` is the time embedding **after** its SiLU, which all blocks of a
    /// network share.
    ///
    /// # Shapes
    /// - `x`: `[n, c_in, h, w]`
    /// - `time`: `[n, time_embed_dim]`, or `[1, ..]` for all images
    /// - output: `[n, c_out, h, w]`
    pub fn forward_with_time(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let Some(time_emb_proj) = &self.time_emb_proj else { return self.forward(x) };
        let offset = time_emb_proj.forward(time);
        let [rows, c] = offset.dims();
        let normed = self.norm1.forward_silu(x.clone(), 1);
        let hidden = if rows == 1 {
            self.conv1.forward_with_offset(normed, offset.reshape([c]))
        } else {
            self.conv1.forward(normed) + offset.reshape([rows, c, 1, 1])
        };
        self.finish(x, hidden)
    }

    fn finish(&self, x: Tensor<4>, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv2.forward(self.norm2.forward_silu(hidden, 1));
        match &self.conv_shortcut {
            Some(shortcut) => hidden + shortcut.forward(x),
            None => hidden + x,
        }
    }
}
