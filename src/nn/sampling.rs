//! Halving and doubling the size of images.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};

use crate::nn::conv2d::{Conv2d, Conv2dConfig};

/// Where a [`Downsample2D`] pads with zeros.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum DownsamplePadding {
    /// One row and column on every side, as in UNets.
    Symmetric,
    /// One row below and one column to the right, as in AutoencoderKL.
    End,
}

/// Configuration of a [`Downsample2D`].
#[derive(Config, Debug)]
pub struct Downsample2DConfig {
    /// Channels in and out.
    pub channels: usize,
    /// Where zeros are added.
    pub padding: DownsamplePadding,
}

/// A 3×3 convolution with stride 2.
#[derive(Module, Debug)]
pub struct Downsample2D {
    conv: Conv2d,
}

impl Downsample2DConfig {
    /// A [`Downsample2D`] with random weights.
    pub fn init(&self, device: &Device) -> Downsample2D {
        let pad_begin = match self.padding {
            DownsamplePadding::Symmetric => 1,
            DownsamplePadding::End => 0,
        };
        let conv = Conv2dConfig::new(self.channels, self.channels, 3)
            .with_stride(2)
            .with_pad_begin(pad_begin)
            .with_pad_end(1);
        Downsample2D { conv: conv.init(device) }
    }
}

impl Downsample2D {
    /// Halves the size.
    ///
    /// # Shapes
    /// - `x`: `[n, c, h, w]`
    /// - output: `[n, c, ⌈h/2⌉, ⌈w/2⌉]` with symmetric padding, `⌊·⌋` otherwise
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }
}

/// Configuration of an [`Upsample2D`].
#[derive(Config, Debug)]
pub struct Upsample2DConfig {
    /// Channels in and out.
    pub channels: usize,
}

/// Nearest-neighbour enlargement, then a 3×3 convolution.
#[derive(Module, Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

impl Upsample2DConfig {
    /// An [`Upsample2D`] with random weights.
    pub fn init(&self, device: &Device) -> Upsample2D {
        Upsample2D { conv: Conv2dConfig::same_3x3(self.channels, self.channels).init(device) }
    }
}

impl Upsample2D {
    /// Enlarges to `size`.
    ///
    /// # Shapes
    /// - `x`: `[n, c, h, w]`
    /// - output: `[n, c, size[0], size[1]]`
    pub fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size);
        self.conv.forward(interpolate(x, options))
    }
}
