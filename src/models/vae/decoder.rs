//! The decoder of the autoencoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{AutoencoderKLConfig, MidBlock};
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::group_norm::GroupNorm;
use crate::nn::resnet_2d::ResnetBlock2D;
use crate::nn::sampling::{Upsample2D, Upsample2DConfig};

#[derive(Module, Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpDecoderBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct UpDecoderBlock {
    resnets: Vec<ResnetBlock2D>,
    upsamplers: Vec<Upsample2D>,
}

impl Decoder {
    pub(super) fn init(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let up_blocks = (0..channels.len())
            .map(|i| {
                let from = channels[i.saturating_sub(1)];
                let is_last = i + 1 == channels.len();
                UpDecoderBlock::init(config, (from, channels[i]), is_last, device)
            })
            .collect();
        Self {
            conv_in: Conv2dConfig::same_3x3(config.latent_channels, first).init(device),
            mid_block: config.init_mid_block(first, device),
            up_blocks,
            conv_norm_out: config.init_norm(last, device),
            conv_out: Conv2dConfig::same_3x3(last, config.out_channels).init(device),
        }
    }

    /// `[n, latent_channels, h, w]` to `[n, 3, 8h, 8w]`.
    pub(super) fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let x = self.mid_block.forward(self.conv_in.forward(latents));
        let x = self.up_blocks.iter().fold(x, |x, block| block.forward(x));
        self.conv_out.forward(self.conv_norm_out.forward_silu(x, 1))
    }
}

impl UpDecoderBlock {
    fn init(
        config: &AutoencoderKLConfig,
        (from, to): (usize, usize),
        is_last: bool,
        device: &Device,
    ) -> Self {
        let resnets = (0..=config.layers_per_block)
            .map(|i| config.init_resnet(if i == 0 { from } else { to }, to, device))
            .collect();
        let upsampler = Upsample2DConfig::new(to);
        let upsamplers = if is_last { Vec::new() } else { vec![upsampler.init(device)] };
        Self { resnets, upsamplers }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets.iter().fold(x, |x, resnet| resnet.forward(x));
        self.upsamplers.iter().fold(x, |x, upsampler| {
            let [_, _, h, w] = x.dims();
            upsampler.forward(x, [2 * h, 2 * w])
        })
    }
}
