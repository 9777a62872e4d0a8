//! MuseV's denoiser: the UNet of Stable Diffusion 1.5 with temporal layers between its spatial
//! ones.

mod block;
mod config;
mod down;
mod mid;
mod up;
mod variant;

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

pub use config::UNet3DConditionModelConfig;
pub use variant::UNet3DVariant;

use crate::models::controlnet::ControlResiduals;
use crate::models::referencenet::ReferenceFeatures;
use crate::nn::attention::{Attention, CrossContext, ImagePrompt};
use crate::nn::conv2d::{Conv2d, Conv2dConfig};
use crate::nn::embeddings::{TimestepEmbedding, TimestepEmbeddingConfig};
use crate::nn::frames::{fold, unfold};
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::temporal_transformer::{TransformerTemporalModel, TransformerTemporalModelConfig};
use crate::nn::transformer_block::SpatialContext;
use crate::nn::{attention, feed_forward, temporal_conv};

use block::{Conditioning, Parts};
use down::DownBlock3D;
use mid::MidBlock3D;
use up::UpBlock3D;

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &[
    attention::KEYS[0],
    attention::KEYS[1],
    attention::KEYS[2],
    attention::KEYS[3],
    attention::KEYS[4],
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
    transformer_in: Option<TransformerTemporalModel>,
    first_refer_emb_attns: Option<Attention>,
    down_blocks: Vec<DownBlock3D>,
    mid_block: MidBlock3D,
    mid_block_refer_emb_attns: Option<Attention>,
    up_blocks: Vec<UpBlock3D>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    variant: UNet3DVariant,
}

/// What a [`UNet3DConditionModel`] denoises, and on which conditions.
#[derive(Clone, Debug)]
pub struct UNet3DInput {
    /// Scaled noisy latents with the clean condition frames at their places, `[b, c, t, h, w]`.
    pub sample: Tensor<5>,
    /// Noise level, 0 to 1000: one for all clips, or one for each.
    pub timesteps: Vec<f64>,
    /// Text states, `[b, n, cross_attention_dim]`, or one for every frame, `[b·t, ..]`.
    pub encoder_hidden_states: Tensor<3>,
    /// Which frames of `sample` are condition frames; each less than t.
    pub vision_condition_index: Vec<usize>,
    /// Whether all temporal layers are the identity: frames are then independent pictures.
    pub skip_temporal_layers: bool,
    /// Whether spatial self attentions have the condition frames out of sight: what would be made
    /// without them, for guidance away from it.
    pub unseen_condition: bool,
    /// What else there is to go by.
    pub conditions: UNet3DConditions,
}

/// Conditions of the denoiser that come from networks of their own. Those for which a variant has no
/// weights are left aside.
///
/// Image prompts and references may be fewer than the clips, as text states may: each is then for
/// as many clips in a row. So windows that are denoised together share one copy.
#[derive(Clone, Debug)]
pub struct UNet3DConditions {
    /// How many frames of a real video lie between two frames of this one; only the ReferenceNet
    /// variants know it.
    pub motion_speed: f64,
    /// A picture, as tokens.
    pub image_prompt: Option<ImagePrompt>,
    /// A face, as tokens.
    pub face_prompt: Option<ImagePrompt>,
    /// What a ReferenceNet makes of a picture.
    pub reference: Option<ReferenceFeatures>,
    /// What ControlNets make of control frames.
    pub control: Option<ControlResiduals>,
    /// What a pose guider makes of control frames, `[b, block_out_channels[0], t, h, w]`.
    pub pose: Option<Tensor<5>>,
}

impl UNet3DInput {
    /// The second half of all clips and of what goes with them: with guidance, those with the prompt.
    pub fn second_half(self) -> Self {
        let UNet3DConditions { image_prompt, face_prompt, reference, control, pose, .. } =
            self.conditions;
        let of_prompt =
            |prompt: ImagePrompt| ImagePrompt { tokens: second_half(prompt.tokens), ..prompt };
        Self {
            sample: second_half(self.sample),
            encoder_hidden_states: second_half(self.encoder_hidden_states),
            conditions: UNet3DConditions {
                image_prompt: image_prompt.map(of_prompt),
                face_prompt: face_prompt.map(of_prompt),
                reference: reference.map(|features| ReferenceFeatures {
                    down: features.down.into_iter().map(second_half).collect(),
                    mid: second_half(features.mid),
                }),
                control: control.map(|residuals| ControlResiduals {
                    down: residuals.down.into_iter().map(second_half).collect(),
                    mid: second_half(residuals.mid),
                }),
                pose: pose.map(second_half),
                ..self.conditions
            },
            ..self
        }
    }
}

fn second_half<const D: usize>(rows: Tensor<D>) -> Tensor<D> {
    let half = rows.dims()[0] / 2;
    rows.narrow(0, half, half)
}

impl Default for UNet3DConditions {
    /// The original's motion speed, and nothing else.
    fn default() -> Self {
        Self {
            motion_speed: 8.0,
            image_prompt: None,
            face_prompt: None,
            reference: None,
            control: None,
            pose: None,
        }
    }
}

impl UNet3DConditionModelConfig {
    /// A [`UNet3DConditionModel`] with random weights.
    pub fn init(&self, device: &Device) -> UNet3DConditionModel {
        let channels = &self.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let embedding = TimestepEmbeddingConfig::new(first, self.embed_dim());
        let transformer_in =
            TransformerTemporalModelConfig::new(first, self.attention_head_dim, self.embed_dim());
        let fusion = |channels| Parts { config: self, device }.refer_emb_attns(channels, 1).pop();
        UNet3DConditionModel {
            conv_in: Conv2dConfig::same_3x3(self.in_channels, first).init(device),
            time_embedding: embedding.init(device),
            frame_embedding: embedding.init(device),
            transformer_in: self.variant.need_transformer_in.then(|| transformer_in.init(device)),
            first_refer_emb_attns: fusion(first),
            down_blocks: (0..channels.len()).map(|i| DownBlock3D::init(self, i, device)).collect(),
            mid_block: MidBlock3D::init(self, last, device),
            mid_block_refer_emb_attns: fusion(last),
            up_blocks: (0..channels.len()).map(|i| UpBlock3D::init(self, i, device)).collect(),
            conv_norm_out: GroupNormConfig::new(self.norm_num_groups, first)
                .with_eps(self.norm_eps)
                .init(device),
            conv_out: Conv2dConfig::same_3x3(first, self.out_channels).init(device),
            variant: self.variant,
        }
    }
}

impl UNet3DConditionModel {
    /// What it has and does.
    pub fn variant(&self) -> UNet3DVariant {
        self.variant
    }

    /// Predicts the noise in `input.sample`.
    ///
    /// # Shapes
    /// - `input.sample`: `[b, in_channels, t, h, w]`
    /// - output: `[b, out_channels, t, h, w]`
    pub fn forward(&self, input: UNet3DInput) -> Tensor<5> {
        let UNet3DInput { sample, encoder_hidden_states, vision_condition_index, .. } = input;
        let UNet3DConditions { motion_speed, image_prompt, face_prompt, reference, control, pose } =
            input.conditions;
        let [clips, _, frames, ..] = sample.dims();
        // A single frame has no other frame to look at.
        let condition_frames = if frames > 1 { vision_condition_index.as_slice() } else { &[] };
        let embed_frames = || self.embed_frames(frames, motion_speed);
        let conditioning = Conditioning {
            time: self.embed_time(&input.timesteps, [clips, frames], condition_frames),
            frame_embedding: (!input.skip_temporal_layers).then(embed_frames),
            spatial: SpatialContext {
                frames,
                condition_frames: if input.unseen_condition { &[] } else { condition_frames },
                reference: None,
                cross: CrossContext { text: encoder_hidden_states, image_prompt, face_prompt },
            },
            reference: reference.as_ref(),
        };

        let mut x = self.enter(sample, pose, &conditioning);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &conditioning, &mut skips);
        }
        x = self.mid_block.forward(x, &conditioning);
        if let (Some(fusion), Some(reference)) = (&self.mid_block_refer_emb_attns, &reference) {
            assert_eq!(reference.down.len(), skips.len(), "one reference feature per skip");
            x = fusion.forward_reference(x, reference.mid.clone());
        }
        if let Some(ControlResiduals { down, mid }) = control {
            assert_eq!(down.len(), skips.len(), "one control residual per skip");
            skips = skips.into_iter().zip(down).map(|(skip, residual)| skip + residual).collect();
            x = x + mid;
        }
        for block in &self.up_blocks {
            x = block.forward(x, &conditioning, &mut skips);
        }
        unfold(self.conv_out.forward(self.conv_norm_out.forward_silu(x, 1)), frames)
    }

    /// Everything before the first skip connection, folded: `[b·t, block_out_channels[0], h, w]`.
    fn enter(
        &self,
        sample: Tensor<5>,
        pose: Option<Tensor<5>>,
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        let mut x = self.conv_in.forward(fold(sample));
        if let Some(pose) = pose {
            x = x + fold(pose);
        }
        if let (Some(transformer_in), Some(frame_embedding)) =
            (&self.transformer_in, &conditioning.frame_embedding)
        {
            x = transformer_in.forward(x, frame_embedding.clone());
        }
        match (&self.first_refer_emb_attns, conditioning.reference) {
            (Some(fusion), Some(reference)) => {
                fusion.forward_reference(x, reference.down[0].clone())
            }
            _ => x,
        }
    }

    /// The time embedding as residual blocks take it: `[1, embed_dim]` where all images have the
    /// same, else `[b·t, embed_dim]`.
    fn embed_time(
        &self,
        timesteps: &[f64],
        [clips, frames]: [usize; 2],
        condition_frames: &[usize],
    ) -> Tensor<2> {
        let mut time = self.time_embedding.forward(timesteps);
        if self.variant.use_anivv1_cfg {
            time = silu(time);
        }
        if !self.variant.resnet_2d_skip_time_act {
            time = silu(time);
        }
        if self.variant.keep_vision_condtion && !condition_frames.is_empty() {
            return repeated(time, clips, &unconditioned(frames, condition_frames));
        }
        match timesteps.len() {
            1 => time,
            _ => repeated(time, clips, &vec![1.0; frames]),
        }
    }

    /// `[1, t, embed_dim]`: frames count from 0 in every window, condition frames included.
    fn embed_frames(&self, frames: usize, motion_speed: f64) -> Tensor<3> {
        let index = (0..frames).map(|frame| frame as f32);
        if !self.variant.use_anivv1_cfg {
            let index: Vec<f64> = index.map(f64::from).collect();
            return self.frame_embedding.forward(&index).unsqueeze();
        }
        // Multiplied in float32 and cut to whole frames, as in the original. Temporal transformers
        // put a SiLU of their own on top of this one (quirk Q-2).
        let scaled = index.map(|frame| f64::from((frame * motion_speed as f32).trunc()));
        silu(self.frame_embedding.forward(&scaled.collect::<Vec<_>>())).unsqueeze()
    }
}

/// 0 for every condition frame, 1 for all others.
fn unconditioned(frames: usize, condition_frames: &[usize]) -> Vec<f32> {
    let factor = |frame| if condition_frames.contains(&frame) { 0.0 } else { 1.0 };
    (0..frames).map(factor).collect()
}

/// Each row, or the only one, for all frames of its clip, times the frame's factor:
/// `[clips, c]` to `[clips·frames, c]`.
fn repeated(rows: Tensor<2>, clips: usize, factors: &[f32]) -> Tensor<2> {
    let ([count, c], frames) = (rows.dims(), factors.len());
    let options = (&rows.device(), rows.dtype());
    let factors = Tensor::<1>::from_data(factors, options).reshape([1, frames, 1]);
    let rows = rows.reshape([count, 1, c]).expand([clips, frames, c]);
    (rows * factors).reshape([clips * frames, c])
}
