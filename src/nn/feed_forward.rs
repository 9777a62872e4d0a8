//! The feed-forward part of a transformer block.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::kernels::geglu;
use crate::nn::projection::map_tokens;

/// State-dict keys that differ from the fields of [`FeedForward`] in a field called `ff`.
pub const KEYS: [(&str, &str); 2] = [("ff.net.0.proj", "ff.proj_in"), ("ff.net.2", "ff.proj_out")];

/// Most values that the widened activations of a step may hold on a CPU: 16 MiB of f32, which stay
/// in its caches, yet weights are read for hundreds of tokens at a time.
const CPU_LIMIT: usize = 1 << 22;

/// The same on other devices: 64 MiB of f32. At 512×512 the widened activations would otherwise be
/// the largest tensor of the network, beyond what many devices can bind.
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
        let c = x.dims()[2];
        let is_cpu = x.device() == Device::flex();
        let limit = if is_cpu { CPU_LIMIT } else { WIDENED_LIMIT };
        self.forward_in_slices(x, (limit / (8 * c)).max(1))
    }

    fn forward_in_slices(&self, x: Tensor<3>, slice: usize) -> Tensor<3> {
        let [n, m, c] = x.dims();
        if slice >= n * m {
            return self.forward_slice(x);
        }
        let tokens = x.reshape([1, n * m, c]);
        let slices = tokens.split(slice, 1).into_iter().map(|x| self.forward_slice(x)).collect();
        Tensor::cat(slices, 1).reshape([n, m, c])
    }

    fn forward_slice(&self, x: Tensor<3>) -> Tensor<3> {
        map_tokens(geglu(map_tokens(x, &self.proj_in)), &self.proj_out)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn slices_equal_one_pass() {
        let device = Device::flex();
        let ff = FeedForwardConfig::new(8).init(&device);
        // 2·167 tokens: a whole slice and an incomplete one, across the batch.
        let x = Tensor::<3>::random([2, 167, 8], Distribution::Normal(0.0, 1.0), &device);
        let want = ff.forward_slice(x.clone()).into_data();
        ff.forward_in_slices(x, 256)
            .into_data()
            .assert_approx_eq::<f32>(&want, Tolerance::absolute(1e-5));
    }
}
