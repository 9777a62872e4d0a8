//! Cases of networks and their parts.

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

use super::{Case, Comparison, Tensors};
use crate::checkpoint::{KeyRename, LoadOptions, load};
use crate::error::Result;
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig, UNet3DInput};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::nn::resnet_2d::ResnetBlock2DConfig;
use crate::nn::temporal_conv::TemporalConvLayerConfig;
use crate::nn::temporal_transformer::TransformerTemporalModelConfig;
use crate::pipeline::encode_chunks;
use crate::prompt::{SpecialTokens, WeightedIds, chunk_prompts};

/// A case in the middle of being run.
struct Run<'a> {
    case: &'a Case,
    device: &'a Device,
    inputs: Tensors,
    outputs: Tensors,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, device: &'a Device) -> Result<Self> {
        Ok(Self { case, device, inputs: case.inputs()?, outputs: case.outputs()? })
    }

    /// `module` with the weights of the case.
    fn load<M: Module>(&self, module: M, keys: &[KeyRename]) -> Result<M> {
        let options =
            LoadOptions { part: &self.case.name, keys, allow_missing: &[], dtype: FloatDType::F32 };
        load(module, &self.case.weights()?, &options, self.device)
    }

    fn input<const D: usize>(&self, name: &str) -> Result<Tensor<D>> {
        self.inputs.float(name, self.device)
    }
}

#[derive(Deserialize)]
struct TemporalConvCase {
    channels: usize,
    num_frames: usize,
}

/// One temporal convolution block.
pub(super) async fn temporal_conv(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: TemporalConvCase = case.config("")?;
    let layer = TemporalConvLayerConfig::new(config.channels).init(device);
    let layer = run.load(layer, unet_3d::KEYS)?;
    let out = layer.forward(run.input("x")?, config.num_frames);
    Ok(vec![run.outputs.compare("out", out).await?])
}

#[derive(Deserialize)]
struct TemporalTransformerCase {
    channels: usize,
    heads: usize,
    groups: usize,
    femb_channels: usize,
}

/// One temporal transformer.
pub(super) async fn temporal_transformer(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: TemporalTransformerCase = case.config("")?;
    let model =
        TransformerTemporalModelConfig::new(config.channels, config.heads, config.femb_channels)
            .with_norm_num_groups(config.groups)
            .init(device);
    let model = run.load(model, unet_3d::KEYS)?;
    let out = model.forward(run.input("x")?, run.input("femb")?);
    Ok(vec![run.outputs.compare("out", out).await?])
}

#[derive(Deserialize)]
struct ResnetCase {
    in_channels: usize,
    out_channels: usize,
    temb_channels: usize,
    groups: usize,
    skip_time_act: bool,
    eps: f64,
}

/// One residual block.
pub(super) async fn resnet_block(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: ResnetCase = case.config("")?;
    let block = ResnetBlock2DConfig::new(config.in_channels, config.out_channels)
        .with_time_embed_dim(Some(config.temb_channels))
        .with_norm_num_groups(config.groups)
        .with_eps(config.eps)
        .init(device);
    let block = run.load(block, unet_3d::KEYS)?;
    let time = run.input("temb")?;
    let time = if config.skip_time_act { time } else { silu(time) };
    let out = block.forward_with_time(run.input("x")?, time);
    Ok(vec![run.outputs.compare("out", out).await?])
}

#[derive(Deserialize)]
struct UNetCall {
    timestep: f64,
    vision_condition_index: Option<Vec<usize>>,
    skip_temporal_layers: bool,
}

/// A small denoiser.
pub(super) async fn unet3d(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: UNet3DConditionModelConfig = case.config("")?;
    config.validate(&case.name)?;
    let call: UNetCall = case.config("")?;
    let unet = run.load(config.init(device), unet_3d::KEYS)?;
    let out = unet.forward(UNet3DInput {
        sample: run.input("sample")?,
        timesteps: vec![call.timestep],
        encoder_hidden_states: run.input("text")?,
        vision_condition_index: call.vision_condition_index.unwrap_or_default(),
        skip_temporal_layers: call.skip_temporal_layers,
    });
    Ok(vec![run.outputs.compare("sample", out).await?])
}

/// A small autoencoder, both ways.
pub(super) async fn vae(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: AutoencoderKLConfig = case.config("")?;
    config.validate(&case.name)?;
    let vae = run.load(config.init(device), vae::KEYS)?;
    let latents = vae.encode(run.input("image")?);
    let decoded = vae.decode(run.input::<4>("latents")? / vae.scaling_factor());
    let image = (decoded.clone() / 2.0 + 0.5).clamp(0.0, 1.0);
    let condition = latents.mean.clone() * vae.scaling_factor();
    Ok(vec![
        run.outputs.compare("latent_mean", latents.mean).await?,
        run.outputs.compare("latent_logvar", latents.logvar).await?,
        run.outputs.compare("condition_latents", condition).await?,
        run.outputs.compare("decoded", decoded).await?,
        run.outputs.compare("decoded_image", image).await?,
    ])
}

/// A small text encoder.
pub(super) async fn clip_text(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: CLIPTextConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), text::KEYS)?;
    let output = model.forward(run.inputs.int("input_ids", device)?);
    Ok(vec![
        run.outputs.compare("last_hidden_state", output.last_hidden_state).await?,
        run.outputs.compare("pooled", output.pooled).await?,
    ])
}

#[derive(Deserialize)]
struct Specials {
    bos_token_id: u32,
    eos_token_id: u32,
    pad_token_id: u32,
}

/// A prompt and a longer negative prompt with weights, through the text encoder.
pub(super) async fn weighted_prompt(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: CLIPTextConfig = case.config("")?;
    config.validate(&case.name)?;
    let model = run.load(config.init(device), text::KEYS)?;
    let ids: Specials = case.config("")?;
    let special =
        SpecialTokens { bos: ids.bos_token_id, eos: ids.eos_token_id, pad: ids.pad_token_id };
    let (prompt, negative) = (run.prompt("prompt")?, run.prompt("negative")?);
    let chunked = chunk_prompts(&prompt, Some(&negative), special);
    let embeds = encode_chunks(&model, &chunked, device);
    Ok(vec![run.outputs.compare("embeds", embeds).await?])
}

impl Run<'_> {
    /// The tokens and weights called `name`; a single -1 stands for an empty prompt.
    fn prompt(&self, name: &str) -> Result<WeightedIds> {
        let ids = self.inputs.data(&format!("{name}_ids"))?;
        let ids: Vec<u32> = ids.iter::<i64>().filter_map(|id| u32::try_from(id).ok()).collect();
        let mut weights = self.inputs.values(&format!("{name}_weights"))?;
        weights.truncate(ids.len());
        Ok(WeightedIds { ids, weights })
    }
}
