//! Two-dimensional convolution with its parameters.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::kernels::{Conv2dGeometry, Projection, conv2d};

/// PyTorch's initial values: uniform in ±1/√fan_in.
const INITIALIZER: Initializer =
    Initializer::KaimingUniform { gain: 0.577_350_269_189_625_8, fan_out_only: false };

/// Configuration of a [`Conv2d`].
#[derive(Config, Debug)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Side of the square kernel.
    pub kernel_size: usize,
    /// Step in both directions.
    #[config(default = "1")]
    pub stride: usize,
    /// Zero rows above and columns to the left.
    #[config(default = "0")]
    pub pad_begin: usize,
    /// Zero rows below and columns to the right.
    #[config(default = "0")]
    pub pad_end: usize,
}

/// Cross-correlation with a square kernel, plus bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    geometry: Conv2dGeometry,
}

impl Conv2dConfig {
    /// A 3×3 convolution that keeps the size.
    pub fn same_3x3(channels_in: usize, channels_out: usize) -> Self {
        Self::new(channels_in, channels_out, 3).with_pad_begin(1).with_pad_end(1)
    }

    /// A 1×1 convolution.
    pub fn pointwise(channels_in: usize, channels_out: usize) -> Self {
        Self::new(channels_in, channels_out, 1)
    }

    /// A [`Conv2d`] with random weights.
    pub fn init(&self, device: &Device) -> Conv2d {
        self.init_with(&INITIALIZER, device)
    }

    /// A [`Conv2d`] whose weights are zero.
    pub fn init_zero(&self, device: &Device) -> Conv2d {
        self.init_with(&Initializer::Zeros, device)
    }

    fn init_with(&self, initializer: &Initializer, device: &Device) -> Conv2d {
        let fan_in = self.channels_in * self.kernel_size * self.kernel_size;
        let shape = [self.channels_out, self.channels_in, self.kernel_size, self.kernel_size];
        Conv2d {
            weight: initializer.init_with(shape, Some(fan_in), None, device),
            bias: initializer.init_with([self.channels_out], Some(fan_in), None, device),
            geometry: Conv2dGeometry {
                stride: self.stride,
                pad_begin: self.pad_begin,
                pad_end: self.pad_end,
            },
        }
    }
}

impl Conv2d {
    /// Convolves.
    ///
    /// # Shapes
    /// - `x`: `[n, c_in, h, w]`
    /// - output: `[n, c_out, h', w']`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, self.weight.val(), self.bias.val(), self.geometry)
    }

    /// Convolves and adds `offset` to every pixel, at no cost: it joins the bias.
    ///
    /// # Shapes
    /// - `x`: `[n, c_in, h, w]`
    /// - `offset`: `[c_out]`
    /// - output: `[n, c_out, h', w']`
    pub fn forward_with_offset(&self, x: Tensor<4>, offset: Tensor<1>) -> Tensor<4> {
        conv2d(x, self.weight.val(), self.bias.val() + offset, self.geometry)
    }

    /// A 1×1 convolution as a linear map, for [`crate::nn::projection`].
    pub fn as_projection(&self) -> Projection {
        let weight = self.weight.val();
        let [c_out, c_in, ..] = weight.dims();
        let weight = weight.reshape([c_out, c_in]).transpose();
        Projection { weight, bias: Some(self.bias.val()) }
    }
}
