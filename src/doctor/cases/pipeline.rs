//! Whole denoising loops: condition image and noise in, video out.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

use super::{Case, Comparison, Tensors};
use crate::checkpoint::{KeyRename, LoadOptions, load};
use crate::error::Result;
use crate::media::Frame;
use crate::models::unet_3d::{self, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::pipeline::{
    Engine, Event, Guidance, GuidanceMethod, Mode, Noise, NoiseType, Request, Sampling, Size,
    VisionCondition, Window, WindowSchedule,
};
use crate::random::Generator;
use crate::schedulers::SchedulerConfig;

/// The settings of one recorded run.
#[derive(Deserialize)]
struct Run {
    num_frames: usize,
    latent_height: usize,
    latent_width: usize,
    vae_scale_factor: usize,
    steps: usize,
    guidance_scale: f64,
    guidance_scale_end: Option<f64>,
    guidance_scale_method: GuidanceMethod,
    context_schedule: WindowSchedule,
    context_frames: usize,
    context_overlap: usize,
    text2image: bool,
    w_ind_noise: Option<f64>,
    img_weight: Option<f64>,
    n_controlnets: usize,
    video2video: bool,
}

/// Whether every network that the run needs is there: variant `musev` without ControlNet, and
/// without a video to start from.
pub(super) fn is_supported(case: &Case) -> bool {
    case.variant() == Some("musev")
        && case.scheduler() == Some("EulerDiscreteScheduler")
        && case.config::<Run>("").is_ok_and(|run| run.n_controlnets == 0 && !run.video2video)
}

/// Latents after every step, at the end, and the decoded video.
pub(super) async fn end_to_end(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run: Run = case.config("")?;
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let engine = engine(case, device)?;
    let text = text(&inputs, &run, device)?;
    let mut generator = Generator::recorded(draws(&inputs)?);
    let mut steps = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Step { latents, .. } = event {
            steps.push(latents.clone());
        }
        ControlFlow::Continue(())
    };
    let request = request(&inputs, &run)?;
    let shot = engine.denoise(&request, text, &mut generator, &mut watch).await?;
    let video = engine.decode_latents(shot.latents.clone());
    // [t, 3, H, W] -> [1, 3, t, H, W]
    let video = video.swap_dims(0, 1).unsqueeze_dim::<5>(0);
    Ok(vec![
        outputs.compare("latents_after_step", Tensor::stack::<6>(steps, 0)).await?,
        outputs.compare("latents", shot.latents).await?,
        outputs.compare("video", video).await?,
    ])
}

fn engine(case: &Case, device: &Device) -> Result<Engine> {
    let vae: AutoencoderKLConfig = case.config("/vae")?;
    let unet: UNet3DConditionModelConfig = case.config("/unet")?;
    Ok(Engine {
        vae: part(case, "vae", vae.init(device), vae::KEYS, device)?,
        unet: part(case, "unet", unet.init(device), unet_3d::KEYS, device)?,
        dtype: FloatDType::F32,
        scheduler: case.config::<SchedulerConfig>("/scheduler_config")?,
        device: device.clone(),
    })
}

fn part<M: Module>(
    case: &Case,
    part: &str,
    module: M,
    keys: &[KeyRename],
    device: &Device,
) -> Result<M> {
    let weights = case.weights()?.with_prefix_removed(&format!("{part}."));
    let options = LoadOptions { part, keys, allow_missing: &[], dtype: FloatDType::F32 };
    load(module, &weights, &options, device)
}

fn text(inputs: &Tensors, run: &Run, device: &Device) -> Result<Tensor<3>> {
    let positive = inputs.float("prompt_embeds", device)?;
    if run.guidance_scale <= 1.0 {
        return Ok(positive);
    }
    Ok(Tensor::cat(vec![inputs.float("negative_prompt_embeds", device)?, positive], 0))
}

/// The recorded noise, in the order in which it is drawn.
fn draws(inputs: &Tensors) -> Result<Vec<f32>> {
    if inputs.contains("noise") {
        return inputs.values("noise");
    }
    Ok([inputs.values("common_noise")?, inputs.values("individual_noise")?].concat())
}

fn request(inputs: &Tensors, run: &Run) -> Result<Request> {
    let vision = if inputs.contains("condition_images") {
        Some(VisionCondition::pictures(pictures(inputs, "condition_images")?))
    } else {
        None
    };
    let fused = inputs.contains("common_noise");
    let noise = Noise {
        noise_type: if fused { NoiseType::VideoFusion } else { NoiseType::Random },
        w_ind_noise: run.w_ind_noise.unwrap_or_default(),
        // The recorded runs mix the condition into fused noise only.
        img_weight: if fused { run.img_weight } else { None },
    };
    Ok(Request {
        size: Size {
            width: run.latent_width * run.vae_scale_factor,
            height: run.latent_height * run.vae_scale_factor,
        },
        frames: run.num_frames,
        sampling: Sampling { steps: run.steps, noise, ..Sampling::default() },
        guidance: Guidance {
            scale: run.guidance_scale,
            end: run.guidance_scale_end,
            method: run.guidance_scale_method,
        },
        window: Window {
            schedule: run.context_schedule,
            frames: run.context_frames,
            overlap: run.context_overlap,
            ..Window::default()
        },
        vision,
        mode: if run.text2image { Mode::Image } else { Mode::Video },
        ..Request::default()
    })
}

/// Frames of a recorded `[1, 3, t, H, W]` tensor of grey levels.
fn pictures(inputs: &Tensors, name: &str) -> Result<Vec<Frame>> {
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
