//! The autoencoder between pictures and latents (Kingma & Welling 2013, arXiv:1312.6114).

mod decoder;
mod encoder;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::nn::attention::{Attention, AttentionConfig};
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::resnet_2d::{ResnetBlock2D, ResnetBlock2DConfig};

use decoder::Decoder;
use encoder::Encoder;

/// State-dict keys that differ from module paths; the second spelling of each is that of files
/// from before diffusers 0.13.
pub const KEYS: &[(&str, &str)] = &[
    ("attentions.#", "attentions.#.attention"),
    ("to_q", "to_q"),
    ("query", "to_q"),
    ("to_k", "to_k"),
    ("key", "to_k"),
    ("to_v", "to_v"),
    ("value", "to_v"),
    ("to_out.0", "to_out"),
    ("proj_attn", "to_out"),
];

/// eps of every norm of the autoencoder.
const NORM_EPS: f64 = 1e-6;

/// `config.json` of an autoencoder; defaults are Stable Diffusion 1.5's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct AutoencoderKLConfig {
    /// Channels of the pictures going in.
    pub in_channels: usize,
    /// Channels of the pictures coming out.
    pub out_channels: usize,
    /// One entry per level, each `DownEncoderBlock2D`.
    pub down_block_types: Vec<String>,
    /// One entry per level, each `UpDecoderBlock2D`.
    pub up_block_types: Vec<String>,
    /// Channels per level, from the picture inwards.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Activation; `silu`.
    pub act_fn: String,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// What latents are multiplied by before they are diffused.
    pub scaling_factor: f64,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec!["DownEncoderBlock2D".to_owned(); 4],
            up_block_types: vec!["UpDecoderBlock2D".to_owned(); 4],
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            act_fn: "silu".to_owned(),
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
        }
    }
}

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct AutoencoderKL {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    scaling_factor: f64,
    downscale: usize,
    latent_channels: usize,
}

/// A normal distribution per latent value.
#[derive(Clone, Debug)]
pub struct DiagonalGaussian {
    /// Means, `[n, latent_channels, h/8, w/8]`.
    pub mean: Tensor<4>,
    /// Logarithms of the variances, within -30 and 20.
    pub logvar: Tensor<4>,
}

impl AutoencoderKLConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd or of a kind that is not supported.
    pub fn validate(&self, origin: &str) -> Result<()> {
        let blocks = self.block_out_channels.len();
        let mut check = Check::new(origin);
        check
            .channels("in_channels", self.in_channels)
            .channels("out_channels", self.out_channels)
            .channels("latent_channels", self.latent_channels)
            .block_channels(&self.block_out_channels)
            .layers("layers_per_block", self.layers_per_block)
            .divides("norm_num_groups", self.norm_num_groups, &self.block_out_channels)
            .as_many_as_blocks("down_block_types", self.down_block_types.len(), blocks)
            .as_many_as_blocks("up_block_types", self.up_block_types.len(), blocks)
            .only("act_fn", &self.act_fn.as_str(), &"silu")
            .that(self.scaling_factor.is_finite() && self.scaling_factor > 0.0, || {
                format!("`scaling_factor` is {}; it must be positive", self.scaling_factor)
            });
        for kind in &self.down_block_types {
            check.only("down_block_types", &kind.as_str(), &"DownEncoderBlock2D");
        }
        for kind in &self.up_block_types {
            check.only("up_block_types", &kind.as_str(), &"UpDecoderBlock2D");
        }
        check.finish()
    }

    /// About how many numbers of activations exist at once while a picture of `height` x `width` is
    /// decoded: input and normalised input of the last level, and its first block's two results.
    pub fn decoding_elements(&self, [height, width]: [usize; 2]) -> usize {
        let outermost = &self.block_out_channels[..self.block_out_channels.len().min(2)];
        2 * height * width * outermost.iter().sum::<usize>()
    }

    /// How many pixels a latent value stands for, in each direction.
    pub fn downscale(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    /// An [`AutoencoderKL`] with random weights.
    pub fn init(&self, device: &Device) -> AutoencoderKL {
        let latents = self.latent_channels;
        AutoencoderKL {
            encoder: Encoder::init(self, device),
            decoder: Decoder::init(self, device),
            quant_conv: Conv2dConfig::pointwise(2 * latents, 2 * latents).init(device),
            post_quant_conv: Conv2dConfig::pointwise(latents, latents).init(device),
            scaling_factor: self.scaling_factor,
            downscale: self.downscale(),
            latent_channels: latents,
        }
    }

    fn init_resnet(&self, from: usize, to: usize, device: &Device) -> ResnetBlock2D {
        ResnetBlock2DConfig::new(from, to)
            .with_norm_num_groups(self.norm_num_groups)
            .with_eps(NORM_EPS)
            .init(device)
    }

    fn init_norm(&self, channels: usize, device: &Device) -> GroupNorm {
        GroupNormConfig::new(self.norm_num_groups, channels).with_eps(NORM_EPS).init(device)
    }

    fn init_mid_block(&self, channels: usize, device: &Device) -> MidBlock {
        let attention = AttentionConfig::new(channels, channels, 1).with_qkv_bias(true);
        MidBlock {
            resnets: (0..2).map(|_| self.init_resnet(channels, channels, device)).collect(),
            attentions: vec![MidAttention {
                group_norm: self.init_norm(channels, device),
                attention: attention.init(device),
            }],
        }
    }
}

impl AutoencoderKL {
    /// Encodes pictures with values in [-1, 1].
    ///
    /// # Shapes
    /// - `image`: `[n, 3, h, w]`
    pub fn encode(&self, image: Tensor<4>) -> DiagonalGaussian {
        let moments = self.quant_conv.forward(self.encoder.forward(image));
        let channels = moments.dims()[1] / 2;
        DiagonalGaussian {
            mean: moments.clone().narrow(1, 0, channels),
            logvar: moments.narrow(1, channels, channels).clamp(-30.0, 20.0),
        }
    }

    /// Decodes latents, already divided by the scaling factor, to pictures with values near
    /// [-1, 1].
    ///
    /// # Shapes
    /// - `latents`: `[n, latent_channels, h, w]`
    /// - output: `[n, 3, 8h, 8w]`
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(latents))
    }

    /// What latents are multiplied by before they are diffused.
    pub fn scaling_factor(&self) -> f64 {
        self.scaling_factor
    }

    /// How many pixels a latent value stands for, in each direction.
    pub fn downscale(&self) -> usize {
        self.downscale
    }

    /// Channels of the latents; 4 in Stable Diffusion.
    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }
}

/// Residual block, attention over all pixels, residual block.
#[derive(Module, Debug)]
struct MidBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<MidAttention>,
}

#[derive(Module, Debug)]
struct MidAttention {
    group_norm: GroupNorm,
    attention: Attention,
}

impl MidBlock {
    /// `[n, c, h, w]` to the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut resnets = self.resnets.iter();
        let mut x = match resnets.next() {
            Some(first) => first.forward(x),
            None => x,
        };
        for (attention, resnet) in self.attentions.iter().zip(resnets) {
            let normed = attention.group_norm.forward(x.clone(), 1);
            x = resnet.forward(attention.attention.forward_pixels(normed) + x);
        }
        x
    }
}
