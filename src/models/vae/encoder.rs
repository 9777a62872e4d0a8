//! The encoder of the autoencoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{AutoencoderKLConfig, MidBlock};
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::group_norm::GroupNorm;
use crate::nn::resnet_2d::ResnetBlock2D;
use crate::nn::sampling::{Downsample2D, Downsample2DConfig, DownsamplePadding};

#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownEncoderBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct DownEncoderBlock {
    resnets: Vec<ResnetBlock2D>,
    downsamplers: Vec<Downsample2D>,
}

impl Encoder {
    pub(super) fn init(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let down_blocks = (0..channels.len())
            .map(|i| {
                let from = channels[i.saturating_sub(1)];
                let is_last = i + 1 == channels.len();
                DownEncoderBlock::init(config, (from, channels[i]), is_last, device)
            })
            .collect();
        Self {
            conv_in: Conv2dConfig::same_3x3(config.in_channels, first).init(device),
            down_blocks,
            mid_block: config.init_mid_block(last, device),
            conv_norm_out: config.init_norm(last, device),
            conv_out: Conv2dConfig::same_3x3(last, 2 * config.latent_channels).init(device),
        }
    }

    /// `[n, 3, h, w]` to moments `[n, 2·latent_channels, h/8, w/8]`.
    pub(super) fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let x = self.conv_in.forward(image);
        let x = self.down_blocks.iter().fold(x, |x, block| block.forward(x));
        let x = self.mid_block.forward(x);
        self.conv_out.forward(self.conv_norm_out.forward_silu(x, 1))
    }
}

impl DownEncoderBlock {
    fn init(
        config: &AutoencoderKLConfig,
        (from, to): (usize, usize),
        is_last: bool,
        device: &Device,
    ) -> Self {
        let resnets = (0..config.layers_per_block)
            .map(|i| config.init_resnet(if i == 0 { from } else { to }, to, device))
            .collect();
        let downsampler = Downsample2DConfig::new(to, DownsamplePadding::End);
        let downsamplers = if is_last { Vec::new() } else { vec![downsampler.init(device)] };
        Self { resnets, downsamplers }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets.iter().fold(x, |x, resnet| resnet.forward(x));
        self.downsamplers.iter().fold(x, |x, downsampler| downsampler.forward(x))
    }
}
