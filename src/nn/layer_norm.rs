//! LayerNorm with its parameters.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::kernels::layer_norm;

/// Configuration of a [`LayerNorm`].
#[derive(Config, Debug)]
pub struct LayerNormConfig {
    /// Length of the last axis.
    pub channels: usize,
    /// Added to the variance; 0 is allowed.
    #[config(default = "1e-5")]
    pub eps: f64,
}

/// LayerNorm (Ba et al. 2016, arXiv:1607.06450) over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNormConfig {
    /// A [`LayerNorm`] with unit weights.
    pub fn init(&self, device: &Device) -> LayerNorm {
        LayerNorm {
            weight: Initializer::Ones.init([self.channels], device),
            bias: Initializer::Zeros.init([self.channels], device),
            eps: self.eps,
        }
    }
}

impl LayerNorm {
    /// Normalises the last axis.
    ///
    /// # Shapes
    /// - `x`, output: `[.., c]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
