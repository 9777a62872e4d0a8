//! Cases of the networks that condition the denoiser.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::networks::Run;
use super::{Case, Comparison};
use crate::error::Result;
use crate::models::clip::vision::{self, CLIPVisionConfig};
use crate::models::controlnet::{self, ControlNetInput, ControlNetModelConfig, ControlResiduals};
use crate::models::ip_adapter::face_id::{self, FaceIDProjModelConfig};
use crate::models::ip_adapter::image_proj::{self, ImageProjModelConfig};
use crate::models::ip_adapter::resampler::{self, ResamplerConfig};
use crate::models::pose_guider::{self, PoseGuiderConfig};
use crate::models::referencenet::{self, ReferenceNet2DConfig};
use crate::models::unet_3d;
use crate::nn::attention::AttentionConfig;

/// One fusion of frames with a reference feature.
pub(super) async fn refer_fuse_attention(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Sizes {
        channels: usize,
        heads: usize,
    }
    let run = Run::new(case, device)?;
    let Sizes { channels, heads } = case.config("")?;
    let attention = AttentionConfig::new(channels, channels, heads).init(device);
    let attention = run.load(attention, unet_3d::KEYS)?;
    let out = attention.forward_reference(run.input("x")?, run.input("refer")?);
    Ok(vec![run.outputs.compare("out", out).await?])
}

/// A small ReferenceNet.
pub(super) async fn referencenet2d(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Call {
        timestep: f64,
        num_frames: usize,
    }
    let run = Run::new(case, device)?;
    let config: ReferenceNet2DConfig = case.config("")?;
    config.validate(&case.name)?;
    let Call { timestep, num_frames } = case.config("")?;
    let model = run.load(config.init(device), referencenet::KEYS)?;
    let text = run.input("encoder_hidden_states")?;
    let features = model.forward(run.input("sample")?, timestep, text, num_frames);
    run.compare_levels("", features.down, features.mid).await
}

#[derive(Deserialize)]
struct ControlCall {
    conditioning_scales: Vec<f64>,
    timestep: f64,
    guess_mode: bool,
}

/// Small ControlNets: the sum of their residuals, and the residuals of the first.
pub(super) async fn controlnet(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: ControlNetModelConfig = case.config("")?;
    config.validate(&case.name)?;
    let call: ControlCall = case.config("")?;
    let mut sums: Vec<ControlResiduals> = Vec::new();
    for (i, &conditioning_scale) in call.conditioning_scales.iter().enumerate() {
        let net = run.load_part(&format!("nets.{i}."), config.init(device), controlnet::KEYS)?;
        let residuals = net.forward(ControlNetInput {
            sample: run.input("sample")?,
            timesteps: vec![call.timestep],
            encoder_hidden_states: run.input("encoder_hidden_states")?,
            control: run.input(&format!("control_images.{i}"))?,
            conditioning_scale,
            guess_mode: call.guess_mode,
        });
        sums.push(match sums.last() {
            Some(sum) => sum.clone() + residuals,
            None => residuals,
        });
    }
    let (Some(first), Some(all)) = (sums.first().cloned(), sums.pop()) else {
        return Err(case.error("has no ControlNet"));
    };
    let mut compared = run.compare_levels("", all.down, all.mid).await?;
    if run.outputs.contains("first_only_mid") {
        compared.extend(run.compare_levels("first_only_", first.down, first.mid).await?);
    }
    Ok(compared)
}

/// A small pose guider.
pub(super) async fn pose_guider(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: PoseGuiderConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), pose_guider::KEYS)?;
    Ok(vec![run.outputs.compare("out", model.forward(run.input("x")?)).await?])
}

/// A small image encoder.
pub(super) async fn clip_vision(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: CLIPVisionConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), vision::KEYS)?;
    let output = model.forward(run.input("pixel_values")?);
    Ok(vec![
        run.outputs.compare("image_embeds", output.image_embeds).await?,
        run.outputs.compare("last_hidden_state", output.last_hidden_state).await?,
        run.outputs.compare("penultimate", output.penultimate_hidden_state).await?,
    ])
}

/// A small projection of CLIP embeddings.
pub(super) async fn ip_image_proj(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: ImageProjModelConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), image_proj::KEYS)?;
    run.compare_tokens(run.input("image_embeds")?, |embeds| model.forward(embeds)).await
}

/// A small projection of face embeddings.
pub(super) async fn ip_faceid_proj(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: FaceIDProjModelConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), face_id::KEYS)?;
    run.compare_tokens(run.input("id_embeds")?, |embeds| model.forward(embeds)).await
}

/// A small resampler of patches.
pub(super) async fn ip_plus_resampler(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: ResamplerConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), resampler::KEYS)?;
    Ok(vec![run.outputs.compare("tokens", model.forward(run.input("hidden")?)).await?])
}

impl Run<'_> {
    /// Compares the tokens of embeddings, and those of embeddings of zeros.
    async fn compare_tokens(
        &self,
        embeds: Tensor<2>,
        tokens: impl Fn(Tensor<2>) -> Tensor<3>,
    ) -> Result<Vec<Comparison>> {
        let nothing = tokens(embeds.zeros_like());
        Ok(vec![
            self.outputs.compare("tokens", tokens(embeds)).await?,
            self.outputs.compare("uncond_tokens", nothing).await?,
        ])
    }

    /// Compares features of every level with `down.0`, `down.1` and so on, and those of the middle
    /// with `mid`; all names begin with `prefix`.
    async fn compare_levels<const D: usize>(
        &self,
        prefix: &str,
        down: Vec<Tensor<D>>,
        mid: Tensor<D>,
    ) -> Result<Vec<Comparison>> {
        if self.outputs.contains(&format!("{prefix}down.{}", down.len())) {
            return Err(self.case.error(format!("more than {} outputs {prefix}down", down.len())));
        }
        let mut compared = vec![self.outputs.compare(&format!("{prefix}mid"), mid).await?];
        for (i, feature) in down.into_iter().enumerate() {
            compared.push(self.outputs.compare(&format!("{prefix}down.{i}"), feature).await?);
        }
        Ok(compared)
    }
}
