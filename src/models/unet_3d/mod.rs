//! MuseV's denoiser: the UNet of Stable Diffusion 1.5 with temporal layers between its spatial
//! ones.

mod block;
mod config;
mod down;
mod mid;
mod up;

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

pub use config::UNet3DConditionModelConfig;

use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::embeddings::{TimestepEmbedding, TimestepEmbeddingConfig};
use crate::nn::frames::{fold, unfold};
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::temporal_transformer::{TransformerTemporalModel, TransformerTemporalModelConfig};
use crate::nn::transformer_block::SpatialContext;
use crate::nn::{attention, feed_forward, temporal_conv};

use block::Conditioning;
use down::DownBlock3D;
use mid::MidBlock3D;
use up::UpBlock3D;

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &[
    attention::KEYS[0],
    feed_forward::KEYS[0],
    feed_forward::KEYS[1],
    temporal_conv::KEYS[0],
    temporal_conv::KEYS[1],
    temporal_conv::KEYS[2],
    temporal_conv::KEYS[3],
    temporal_conv::KEYS[4],
    temporal_conv::KEYS[5],
    temporal_conv::KEYS[6],
    temporal_conv::KEYS[7],
];

/// The denoiser.
#[derive(Module, Debug)]
pub struct UNet3DConditionModel {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    frame_embedding: TimestepEmbedding,
    transformer_in: TransformerTemporalModel,
    down_blocks: Vec<DownBlock3D>,
    mid_block: MidBlock3D,
    up_blocks: Vec<UpBlock3D>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// What a [`UNet3DConditionModel`] denoises, and on which conditions.
#[derive(Clone, Debug)]
pub struct UNet3DInput {
    /// Scaled noisy latents with the clean condition frames at their places, `[b, c, t, h, w]`.
    pub sample: Tensor<5>,
    /// Noise level, 0 to 1000: one for all clips, or one for each.
    pub timesteps: Vec<f64>,
    /// Text states, `[b, n, cross_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// Which frames of `sample` are condition frames; each less than t.
    pub vision_condition_index: Vec<usize>,
    /// Whether all temporal layers are the identity: frames are then independent pictures.
    pub skip_temporal_layers: bool,
}

impl UNet3DConditionModelConfig {
    /// A [`UNet3DConditionModel`] with random weights.
    pub fn init(&self, device: &Device) -> UNet3DConditionModel {
        let channels = &self.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let embedding = TimestepEmbeddingConfig::new(first, self.embed_dim());
        let transformer_in =
            TransformerTemporalModelConfig::new(first, self.attention_head_dim, self.embed_dim());
        UNet3DConditionModel {
            conv_in: Conv2dConfig::same_3x3(self.in_channels, first).init(device),
            time_embedding: embedding.init(device),
            frame_embedding: embedding.init(device),
            transformer_in: transformer_in.init(device),
            down_blocks: (0..channels.len()).map(|i| DownBlock3D::init(self, i, device)).collect(),
            mid_block: MidBlock3D::init(self, last, device),
            up_blocks: (0..channels.len()).map(|i| UpBlock3D::init(self, i, device)).collect(),
            conv_norm_out: GroupNormConfig::new(self.norm_num_groups, first)
                .with_eps(self.norm_eps)
                .init(device),
            conv_out: Conv2dConfig::same_3x3(first, self.out_channels).init(device),
        }
    }
}

impl UNet3DConditionModel {
    /// Predicts the noise in `input.sample`.
    ///
    /// # Shapes
    /// - `input.sample`: `[b, in_channels, t, h, w]`
    /// - output: `[b, out_channels, t, h, w]`
    pub fn forward(&self, input: UNet3DInput) -> Tensor<5> {
        let UNet3DInput { sample, encoder_hidden_states, vision_condition_index, .. } = input;
        let [clips, _, frames, ..] = sample.dims();
        // A single frame has no other frame to look at.
        let condition_frames = if frames > 1 { vision_condition_index.as_slice() } else { &[] };
        let time = silu(self.time_embedding.forward(&input.timesteps));
        let time = match input.timesteps.len() {
            1 => time,
            _ => repeated(time, clips, frames),
        };
        let conditioning = Conditioning {
            time,
            frame_embedding: (!input.skip_temporal_layers).then(|| self.embed_frames(frames)),
            spatial: SpatialContext { frames, condition_frames, encoder_hidden_states },
        };

        let mut x = self.conv_in.forward(fold(sample));
        if let Some(frame_embedding) = &conditioning.frame_embedding {
            x = self.transformer_in.forward(x, frame_embedding.clone());
        }
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &conditioning, &mut skips);
        }
        x = self.mid_block.forward(x, &conditioning);
        for block in &self.up_blocks {
            x = block.forward(x, &conditioning, &mut skips);
        }
        unfold(self.conv_out.forward(self.conv_norm_out.forward_silu(x, 1)), frames)
    }

    /// `[1, t, embed_dim]`: frames count from 0 in every window, condition frames included.
    fn embed_frames(&self, frames: usize) -> Tensor<3> {
        let index: Vec<f64> = (0..frames).map(|frame| frame as f64).collect();
        self.frame_embedding.forward(&index).unsqueeze()
    }
}

/// Each row for all frames of its clip: `[clips, c]` to `[clips·frames, c]`.
fn repeated(rows: Tensor<2>, clips: usize, frames: usize) -> Tensor<2> {
    let c = rows.dims()[1];
    rows.reshape([clips, 1, c]).repeat_dim(1, frames).reshape([clips * frames, c])
}
