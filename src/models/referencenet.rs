//! ReferenceNet: what a picture looks like at every level of a UNet, for the denoiser to look at.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::models::unet_2d::{self, UNet2DEncoder, UNet2DEncoderConfig, UNet2DEncoderInput};
use crate::nn::frames::unfold;
use crate::nn::transformer_block::MUSEV_NORM_EPS;

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &unet_2d::KEYS;

/// `config.json` of a ReferenceNet; defaults are the published sizes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct ReferenceNet2DConfig {
    /// Sizes of the UNet.
    #[serde(flatten)]
    pub encoder: UNet2DEncoderConfig,
    /// Whether the outputs of blocks are its features; `true`.
    pub need_block_embs: bool,
    /// Whether the tokens of its self attentions are; `false`. The original has code for it, but no
    /// model.
    pub need_self_attn_block_embs: bool,
}

impl Default for ReferenceNet2DConfig {
    fn default() -> Self {
        Self {
            encoder: UNet2DEncoderConfig::default(),
            need_block_embs: true,
            need_self_attn_block_embs: false,
        }
    }
}

/// The way down and the middle of a UNet with weights of its own.
#[derive(Module, Debug)]
pub struct ReferenceNet2D {
    encoder: UNet2DEncoder,
}

/// What a [`ReferenceNet2D`] finds in r pictures for each of b clips.
#[derive(Clone, Debug)]
pub struct ReferenceFeatures {
    /// After `conv_in`, every layer and every downsampler, `[b, c, r, h', w']`.
    pub down: Vec<Tensor<5>>,
    /// After the middle, `[b, c, r, h', w']`.
    pub mid: Tensor<5>,
}

impl ReferenceNet2DConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd or of a kind that is not supported.
    pub fn validate(&self, origin: &str) -> Result<()> {
        let mut check = Check::new(origin);
        self.encoder.check(&mut check);
        check
            .only("need_block_embs", &self.need_block_embs, &true)
            .only("need_self_attn_block_embs", &self.need_self_attn_block_embs, &false)
            .finish()
    }

    /// A [`ReferenceNet2D`] with random weights.
    pub fn init(&self, device: &Device) -> ReferenceNet2D {
        ReferenceNet2D { encoder: self.encoder.init(MUSEV_NORM_EPS, device) }
    }
}

impl ReferenceNet2D {
    /// Looks at pictures; MuseV's have no noise, so that their timestep is 0. There may be several for
    /// a clip also with image-prompt tokens, where the original fails (quirk Q-7).
    ///
    /// # Shapes
    /// - `latents`: scaled latents of `pictures` pictures for every clip, `[b·r, in_channels, h, w]`
    /// - `encoder_hidden_states`: text states or image-prompt tokens, `[b, m, cross_attention_dim]`
    ///   or one for every picture
    pub fn forward(
        &self,
        latents: Tensor<4>,
        timestep: f64,
        encoder_hidden_states: Tensor<3>,
        pictures: usize,
    ) -> ReferenceFeatures {
        let features = self.encoder.forward(UNet2DEncoderInput {
            sample: latents,
            hint: None,
            timesteps: vec![timestep],
            encoder_hidden_states,
        });
        ReferenceFeatures {
            down: features.down.into_iter().map(|x| unfold(x, pictures)).collect(),
            mid: unfold(features.mid, pictures),
        }
    }
}
