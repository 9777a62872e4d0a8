//! GroupNorm with its parameters.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::kernels::{GroupNormOptions, group_norm};

/// Configuration of a [`GroupNorm`].
#[derive(Config, Debug)]
pub struct GroupNormConfig {
    /// Number of channel groups; divides `num_channels`.
    pub num_groups: usize,
    /// Number of channels.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = "1e-5")]
    pub eps: f64,
}

/// GroupNorm (Wu & He 2018, arXiv:1803.08494), over single images or over all frames of a clip.
#[derive(Module, Debug)]
pub struct GroupNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    num_groups: usize,
    eps: f64,
}

impl GroupNormConfig {
    /// A [`GroupNorm`] with unit weights.
    pub fn init(&self, device: &Device) -> GroupNorm {
        GroupNorm {
            weight: Initializer::Ones.init([self.num_channels], device),
            bias: Initializer::Zeros.init([self.num_channels], device),
            num_groups: self.num_groups,
            eps: self.eps,
        }
    }
}

impl GroupNorm {
    /// Normalises; `frames` consecutive batch entries share their statistics.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, c, ..]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, frames: usize) -> Tensor<D> {
        self.run(x, frames, false)
    }

    /// Normalises as [`GroupNorm::forward`] does, then applies SiLU.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, c, ..]`
    pub fn forward_silu<const D: usize>(&self, x: Tensor<D>, frames: usize) -> Tensor<D> {
        self.run(x, frames, true)
    }

    fn run<const D: usize>(&self, x: Tensor<D>, frames: usize, silu: bool) -> Tensor<D> {
        let options = GroupNormOptions { num_groups: self.num_groups, eps: self.eps, frames, silu };
        group_norm(x, self.weight.val(), self.bias.val(), options)
    }
}
