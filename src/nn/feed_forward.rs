//! The feed-forward part of a transformer block.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::kernels::geglu;

/// State-dict keys that differ from the fields of [`FeedForward`] in a field called `ff`.
pub const KEYS: [(&str, &str); 2] = [("ff.net.0.proj", "ff.proj_in"), ("ff.net.2", "ff.proj_out")];

/// Most values that the widened activations of one step may hold: 64 MiB of f32.
///
/// Longer inputs go through in slices, since at 512×512 the widened activations of a window would
/// be the largest tensor of the whole network, beyond what many devices can bind.
const WIDENED_LIMIT: usize = 1 << 24;

/// Configuration of a [`FeedForward`].
#[derive(Config, Debug)]
pub struct FeedForwardConfig {
    /// Channels in and out; the inner width is four times as much.
    pub channels: usize,
}

/// Linear c → 8c, GEGLU, linear 4c → c.
#[derive(Module, Debug)]
pub struct FeedForward {
    proj_in: Linear,
    proj_out: Linear,
}

impl FeedForwardConfig {
    /// A [`FeedForward`] with random weights.
    pub fn init(&self, device: &Device) -> FeedForward {
        FeedForward {
            proj_in: LinearConfig::new(self.channels, 8 * self.channels).init(device),
            proj_out: LinearConfig::new(4 * self.channels, self.channels).init(device),
        }
    }
}

impl FeedForward {
    /// Applies the network to every token.
    ///
    /// # Shapes
    /// - `x`, output: `[n, m, c]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, m, c] = x.dims();
        let slice = (WIDENED_LIMIT / (m * 8 * c)).max(1);
        if slice >= n {
            return self.forward_slice(x);
        }
        let slices = x.split(slice, 0).into_iter().map(|x| self.forward_slice(x)).collect();
        Tensor::cat(slices, 0)
    }

    fn forward_slice(&self, x: Tensor<3>) -> Tensor<3> {
        self.proj_out.forward(geglu(self.proj_in.forward(x)))
    }
}
