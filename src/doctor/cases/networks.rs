//! Cases of networks and their parts.

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

use super::{Case, Comparison, Tensors};
use crate::checkpoint::{KeyRename, LoadOptions, load};
use crate::error::Result;
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::controlnet::ControlResiduals;
use crate::models::referencenet::ReferenceFeatures;
use crate::models::unet_3d::{self, UNet3DConditionModelConfig, UNet3DConditions, UNet3DInput};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::nn::attention::{CrossContext, ImageBranches, ImagePrompt};
use crate::nn::resnet_2d::ResnetBlock2DConfig;
use crate::nn::temporal_conv::TemporalConvLayerConfig;
use crate::nn::temporal_transformer::TransformerTemporalModelConfig;
use crate::nn::transformer_2d::Transformer2DModelConfig;
use crate::nn::transformer_block::SpatialContext;
use crate::pipeline::encode_chunks;
use crate::prompt::{SpecialTokens, WeightedIds, chunk_prompts};

/// A case in the middle of being run.
pub(super) struct Run<'a> {
    pub(super) case: &'a Case,
    pub(super) device: &'a Device,
    pub(super) inputs: Tensors,
    pub(super) outputs: Tensors,
}

impl<'a> Run<'a> {
    pub(super) fn new(case: &'a Case, device: &'a Device) -> Result<Self> {
        Ok(Self { case, device, inputs: case.inputs()?, outputs: case.outputs()? })
    }

    /// `module` with the weights of the case.
    pub(super) fn load<M: Module>(&self, module: M, keys: &[KeyRename]) -> Result<M> {
        self.load_part("", module, keys)
    }

    /// `module` with those weights of the case whose names begin with `prefix`.
    pub(super) fn load_part<M: Module>(
        &self,
        prefix: &str,
        module: M,
        keys: &[KeyRename],
    ) -> Result<M> {
        let weights = self.case.weights()?.with_prefix_removed(prefix);
        let options =
            LoadOptions { part: &self.case.name, keys, allow_missing: &[], dtype: FloatDType::F32 };
        load(module, &weights, &options, self.device)
    }

    /// The input `name`.
    pub(super) fn input<const D: usize>(&self, name: &str) -> Result<Tensor<D>> {
        self.inputs.float(name, self.device)
    }

    /// The inputs `name.0`, `name.1` and so on.
    fn input_list<const D: usize>(&self, name: &str) -> Result<Vec<Tensor<D>>> {
        let names = (0..).map(|i| format!("{name}.{i}"));
        names.take_while(|name| self.inputs.contains(name)).map(|name| self.input(&name)).collect()
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
struct SpatialTransformerCase {
    channels: usize,
    heads: usize,
    groups: usize,
    cross_attention_dim: usize,
    num_frames: usize,
    vision_condition_index: Option<Vec<usize>>,
    ip_adapter_scale: Option<f64>,
    ip_adapter_face_scale: Option<f64>,
}

/// One spatial transformer; which image prompts it can read is told by its weights.
pub(super) async fn spatial_transformer(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: SpatialTransformerCase = case.config("")?;
    let weights = case.weights()?;
    let has = |layer: &str| weights.names().any(|name| name.ends_with(layer));
    let image_branches = match (has(".to_k_ip.weight"), has(".ip_adapter_face_to_k_ip.weight")) {
        (false, _) => ImageBranches::None,
        (true, false) => ImageBranches::Image,
        (true, true) => ImageBranches::ImageAndFace,
    };
    let SpatialTransformerCase { channels, heads, cross_attention_dim, .. } = config;
    let model = Transformer2DModelConfig::new(channels, heads, cross_attention_dim)
        .with_norm_num_groups(config.groups)
        .with_image_branches(image_branches)
        .init(device);
    let model = run.load(model, unet_3d::KEYS)?;
    let condition_frames = config.vision_condition_index.unwrap_or_default();
    let context = SpatialContext {
        frames: config.num_frames,
        condition_frames: if config.num_frames > 1 { &condition_frames } else { &[] },
        reference: run.reference_tokens("refer_emb")?,
        cross: CrossContext {
            text: run.text()?,
            image_prompt: run.image_prompt(config.ip_adapter_scale)?,
            face_prompt: run.face_prompt(config.ip_adapter_face_scale)?,
        },
    };
    let out = model.forward(run.input("x")?, &context);
    Ok(vec![run.outputs.compare("out", out).await?])
}

#[derive(Deserialize)]
struct UNetCall {
    timestep: f64,
    motion_speed: f64,
    vision_condition_index: Option<Vec<usize>>,
    skip_temporal_layers: bool,
    ip_adapter_scale: Option<f64>,
    ip_adapter_face_scale: Option<f64>,
}

/// A small denoiser.
pub(super) async fn unet3d(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run = Run::new(case, device)?;
    let config: UNet3DConditionModelConfig = case.config("")?;
    let config = UNet3DConditionModelConfig { variant: case.config("")?, ..config };
    config.validate(&case.name)?;
    let call: UNetCall = case.config("")?;
    let unet = run.load(config.init(device), unet_3d::KEYS)?;
    let conditions = UNet3DConditions {
        motion_speed: call.motion_speed,
        image_prompt: run.image_prompt(call.ip_adapter_scale)?,
        face_prompt: run.face_prompt(call.ip_adapter_face_scale)?,
        reference: run.reference()?,
        control: run.control()?,
        pose: None,
    };
    let out = unet.forward(UNet3DInput {
        sample: run.input("sample")?,
        timesteps: vec![call.timestep],
        encoder_hidden_states: run.text()?,
        vision_condition_index: call.vision_condition_index.unwrap_or_default(),
        skip_temporal_layers: call.skip_temporal_layers,
        unseen_condition: false,
        conditions,
    });
    Ok(vec![run.outputs.compare("sample", out).await?])
}

impl Run<'_> {
    /// Text states: `[b, n, c]`, or `[b, t, n, c]` with one for every frame.
    fn text(&self) -> Result<Tensor<3>> {
        if self.inputs.data("text")?.shape().num_dims() == 3 {
            return self.input("text");
        }
        let text: Tensor<4> = self.input("text")?;
        Ok(text.flatten(0, 1))
    }

    /// The tokens of a picture, if there are any, with the scale of the call.
    fn image_prompt(&self, scale: Option<f64>) -> Result<Option<ImagePrompt>> {
        self.prompt_tokens(self.inputs.names().find(|name| *name == "ip_tokens"), scale)
    }

    /// The tokens of a face, whatever they are called.
    fn face_prompt(&self, scale: Option<f64>) -> Result<Option<ImagePrompt>> {
        self.prompt_tokens(self.inputs.names().find(|name| name.contains("face")), scale)
    }

    fn prompt_tokens(&self, name: Option<&str>, scale: Option<f64>) -> Result<Option<ImagePrompt>> {
        let prompt =
            |name| Ok(ImagePrompt { tokens: self.input(name)?, scale: scale.unwrap_or(1.0) });
        name.map(prompt).transpose()
    }

    /// The recorded features of a ReferenceNet, if there are any.
    fn reference(&self) -> Result<Option<ReferenceFeatures>> {
        let down = self.input_list("refer_down")?;
        if down.is_empty() {
            return Ok(None);
        }
        Ok(Some(ReferenceFeatures { down, mid: self.input("refer_mid")? }))
    }

    /// The recorded residuals of a ControlNet, if there are any.
    fn control(&self) -> Result<Option<ControlResiduals>> {
        let down = self.input_list("control_down")?;
        if down.is_empty() {
            return Ok(None);
        }
        Ok(Some(ControlResiduals { down, mid: self.input("control_mid")? }))
    }

    /// The pixels of the recorded `[b, c, t, h, w]` as tokens `[b, t·h·w, c]`, if it is there.
    fn reference_tokens(&self, name: &str) -> Result<Option<Tensor<3>>> {
        if !self.inputs.contains(name) {
            return Ok(None);
        }
        let pixels: Tensor<5> = self.input(name)?;
        let [b, c, t, h, w] = pixels.dims();
        Ok(Some(pixels.reshape([b, c, t * h * w]).swap_dims(1, 2)))
    }
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
