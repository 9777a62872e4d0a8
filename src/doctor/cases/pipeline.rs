//! Whole denoising loops: condition image and noise in, video out.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

use super::{Case, Comparison, Tensors};
use crate::checkpoint::{KeyRename, LoadOptions, load};
use crate::error::{Error, Result};
use crate::media::Frame;
use crate::models::controlnet::{self, ControlNetModelConfig};
use crate::models::ip_adapter::image_proj::{self, ImageProjModelConfig};
use crate::models::referencenet::{self, ReferenceNet2DConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::pipeline::{
    ConditionFrames, Conditioners, Control, ControlInterval, Engine, Event, Guidance,
    GuidanceMethod, ImageAdapter, ImageProjection, Mode, Noise, NoiseType, PicturePrompt,
    PromptPictures, Request, Sampling, Size, VisionCondition, Window, WindowSchedule,
};
use crate::random::Generator;
use crate::schedulers::{SchedulerConfig, SchedulerKind};

/// The settings of one recorded run.
#[derive(Deserialize)]
struct Run {
    #[serde(flatten)]
    latents: Latents,
    num_frames: usize,
    scheduler: String,
    steps: usize,
    guidance_scale: f64,
    guidance_scale_end: Option<f64>,
    guidance_scale_method: GuidanceMethod,
    context_schedule: WindowSchedule,
    context_frames: usize,
    context_overlap: usize,
    motion_speed: f64,
    ip_adapter_scale: f64,
    text2image: bool,
    w_ind_noise: Option<f64>,
    img_weight: Option<f64>,
    conditioning_scales: Option<Vec<f64>>,
    control_guidance_start: f64,
    control_guidance_end: f64,
    #[serde(default)]
    guess_mode: bool,
}

/// The size of a recorded video.
#[derive(Deserialize)]
pub(super) struct Latents {
    latent_height: usize,
    latent_width: usize,
    vae_scale_factor: usize,
}

impl Latents {
    pub(super) fn size(&self) -> Size {
        Size {
            width: self.latent_width * self.vae_scale_factor,
            height: self.latent_height * self.vae_scale_factor,
        }
    }
}

/// The networks of one recorded run.
#[derive(Deserialize)]
struct Networks {
    vae: AutoencoderKLConfig,
    unet: UNet3DConditionModelConfig,
    referencenet: Option<ReferenceNet2DConfig>,
    image_proj: Option<ImageProjModelConfig>,
    controlnet: Option<ControlNetModelConfig>,
    #[serde(default)]
    n_controlnets: usize,
    scheduler_config: SchedulerConfig,
}

/// Latents after every step, at the end, and the decoded video.
pub(super) async fn end_to_end(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run: Run = case.config("")?;
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let engine = engine(case, device)?;
    let text = text(&inputs, "", run.guidance_scale, device)?;
    let draws = draws(&inputs, "noise", ["common_noise", "individual_noise"])?;
    let mut generator = Generator::recorded(draws);
    let mut steps = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Step { latents, .. } = event {
            steps.push(latents.clone());
        }
        ControlFlow::Continue(())
    };
    let request = request(&inputs, &run, device)?;
    let shot = engine.denoise(&request, text, &mut generator, &mut watch).await?;
    let video = engine.decode_latents(shot.latents.clone());
    Ok(vec![
        outputs.compare("latents_after_step", Tensor::stack::<6>(steps, 0)).await?,
        outputs.compare("latents", shot.latents).await?,
        outputs.compare("video", as_recorded(video)).await?,
    ])
}

pub(super) fn scheduler(class: &str) -> Result<SchedulerKind> {
    SchedulerKind::of_class(class)
        .ok_or_else(|| Error::request("scheduler", format!("the class {class} is unknown")))
}

/// `[t, 3, h, w]` to `[1, 3, t, h, w]`
pub(super) fn as_recorded(video: Tensor<4>) -> Tensor<5> {
    video.swap_dims(0, 1).unsqueeze_dim(0)
}

pub(super) fn engine(case: &Case, device: &Device) -> Result<Engine> {
    let networks: Networks = case.config("")?;
    let unet = UNet3DConditionModelConfig { variant: case.config("/unet")?, ..networks.unet };
    let load = Parts { case, device };
    let reference_net = networks
        .referencenet
        .map(|config| load.part("referencenet", config.init(device), referencenet::KEYS))
        .transpose()?;
    let projection = networks
        .image_proj
        .map(|config| load.part("ip_adapter_image_proj", config.init(device), image_proj::KEYS))
        .transpose()?;
    let control_net = |config: &ControlNetModelConfig, i: usize| {
        let part = match networks.n_controlnets {
            1 => "controlnet".to_owned(),
            _ => format!("controlnet.nets.{i}"),
        };
        load.part(&part, config.init(device), controlnet::KEYS)
    };
    let control_nets = (0..networks.n_controlnets)
        .flat_map(|i| networks.controlnet.iter().map(move |config| control_net(config, i)));
    Ok(Engine {
        vae: load.part("vae", networks.vae.init(device), vae::KEYS)?,
        unet: load.part("unet", unet.init(device), unet_3d::KEYS)?,
        conditioners: Conditioners {
            reference_net: reference_net.map(Into::into),
            image_adapter: projection.map(|projection| ImageAdapter {
                encoder: None,
                projection: ImageProjection::Whole(projection.into()),
            }),
            face_adapter: None,
            control_nets: control_nets.collect::<Result<_>>()?,
            pose_guider: None,
        },
        dtype: FloatDType::F32,
        scheduler: networks.scheduler_config,
        device: device.clone(),
    })
}

/// Networks with the weights of a case.
struct Parts<'a> {
    case: &'a Case,
    device: &'a Device,
}

impl Parts<'_> {
    /// `module` with those weights whose names begin with `part`.
    fn part<M: Module>(&self, part: &str, module: M, keys: &[KeyRename]) -> Result<M> {
        let weights = self.case.weights()?.with_prefix_removed(&format!("{part}."));
        let options = LoadOptions { part, keys, allow_missing: &[], dtype: FloatDType::F32 };
        load(module, &weights, &options, self.device)
    }
}

/// The recorded text states whose names begin with `prefix`.
pub(super) fn text(
    inputs: &Tensors,
    prefix: &str,
    guidance_scale: f64,
    device: &Device,
) -> Result<Tensor<3>> {
    let positive = inputs.float(&format!("{prefix}prompt_embeds"), device)?;
    if guidance_scale <= 1.0 {
        return Ok(positive);
    }
    let negative = inputs.float(&format!("{prefix}negative_prompt_embeds"), device)?;
    Ok(Tensor::cat(vec![negative, positive], 0))
}

/// The recorded noise of one run, in the order in which it is drawn: `random`, or else the noise
/// that all frames share and then that of each.
pub(super) fn draws(
    inputs: &Tensors,
    random: &str,
    [common, individual]: [&str; 2],
) -> Result<Vec<f32>> {
    if inputs.contains(random) {
        return inputs.values(random);
    }
    Ok([inputs.values(common)?, inputs.values(individual)?].concat())
}

fn request(inputs: &Tensors, run: &Run, device: &Device) -> Result<Request> {
    let given = |name: &str| inputs.contains(name).then(|| pictures(inputs, name)).transpose();
    let fused = inputs.contains("common_noise");
    let noise = Noise {
        noise_type: if fused { NoiseType::VideoFusion } else { NoiseType::Random },
        w_ind_noise: run.w_ind_noise.unwrap_or_default(),
        // The recorded runs mix the condition into fused noise only.
        img_weight: if fused { run.img_weight } else { None },
        ..Noise::default()
    };
    let control = |(i, &scale): (usize, &f64)| {
        let condition = given(&format!("control_condition_images.{i}"))?.unwrap_or_default();
        let generated = pictures(inputs, &format!("control_images.{i}"))?;
        let (start, end) = (run.control_guidance_start, run.control_guidance_end);
        Ok(Control {
            frames: [condition, generated].concat(),
            scale,
            interval: ControlInterval { start, end },
            guess_mode: run.guess_mode,
        })
    };
    let scales = run.conditioning_scales.iter().flatten().enumerate();
    Ok(Request {
        size: run.latents.size(),
        frames: run.num_frames,
        sampling: Sampling {
            steps: run.steps,
            scheduler: scheduler(&run.scheduler)?,
            noise,
            ..Sampling::default()
        },
        guidance: Guidance {
            scale: run.guidance_scale,
            end: run.guidance_scale_end,
            method: run.guidance_scale_method,
            ..Guidance::default()
        },
        window: Window {
            schedule: run.context_schedule,
            frames: run.context_frames,
            overlap: run.context_overlap,
            ..Window::default()
        },
        vision: given("condition_images")?.map(VisionCondition::pictures),
        source: given("video")?.map(ConditionFrames::Pictures),
        mode: if run.text2image { Mode::Image } else { Mode::Video },
        motion_speed: run.motion_speed,
        reference: given("refer_image")?.map(ConditionFrames::Pictures),
        image_prompt: image_prompt(inputs, run.ip_adapter_scale, device)?,
        controls: scales.map(control).collect::<Result<_>>()?,
        ..Request::default()
    })
}

/// The recorded embeddings of the image prompt.
pub(super) fn image_prompt(
    inputs: &Tensors,
    scale: f64,
    device: &Device,
) -> Result<Option<PicturePrompt>> {
    if !inputs.contains("clip_image_embeds") {
        return Ok(None);
    }
    let pictures = PromptPictures::Embeddings(inputs.float("clip_image_embeds", device)?);
    Ok(Some(PicturePrompt { scale, ..PicturePrompt::new(pictures) }))
}

/// Frames of a recorded `[1, 3, t, H, W]` tensor of grey levels.
pub(super) fn pictures(inputs: &Tensors, name: &str) -> Result<Vec<Frame>> {
    let [_, _, frames, height, width] = inputs.float::<5>(name, &Device::flex())?.dims();
    let values = inputs.values(name)?;
    let level = |frame: usize, channel: usize, position: usize| {
        values[(channel * frames + frame) * height * width + position] as u8
    };
    let frame = |frame: usize| Frame {
        width,
        height,
        data: (0..height * width)
            .flat_map(|position| (0..3).map(move |channel| level(frame, channel, position)))
            .collect(),
    };
    Ok((0..frames).map(frame).collect())
}
