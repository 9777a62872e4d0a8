//! Whole videos of chained shots: condition image or none and noise in, video out.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::pipeline::{
    Latents, as_recorded, draws, engine, image_prompt, pictures, scheduler, text,
};
use super::{Case, Comparison, Tensors};
use crate::error::Result;
use crate::pipeline::{
    FirstFrame, Guidance, Noise, OwnPictures, Request, Sampling, Text2Video, Unwatched,
    VisionCondition, Window,
};
use crate::random::Generator;

/// The settings of a recorded chain of shots.
#[derive(Deserialize)]
struct Chain {
    #[serde(flatten)]
    latents: Latents,
    scheduler: String,
    time_size: usize,
    n_batch: usize,
    steps: usize,
    first_frame_steps: usize,
    first_frame_guidance: f64,
    video_guidance_scale: f64,
    video_guidance_scale_end: Option<f64>,
    condition_given: bool,
    fix_condition_images: bool,
    fixed_refer_image: bool,
    n_vision_condition: usize,
    context_frames: usize,
    context_overlap: usize,
    w_ind_noise: f64,
    img_weight: f64,
    need_img_based_video_noise: bool,
    motion_speed: f64,
}

/// Latents of every run of the denoiser, and the video that they make together.
pub(super) async fn shot_chain(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    let run: Chain = case.config("")?;
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let engine = engine(case, device)?;
    let video = video(&inputs, &run, device)?;
    // What is drawn and not used in the steps of a call is not recorded.
    let noise = |call: usize| {
        let [random, common, individual] =
            ["noise", "common", "individual"].map(|draw| format!("call.{call}.{draw}"));
        draws(&inputs, &random, [&common, &individual]).map(Generator::recorded)
    };
    let fitted = video.fitted_shot();
    let (mut calls, mut pictures) = (Vec::new(), Vec::new());
    let mut made = None;
    if let Some(still) = video.still(&fitted) {
        let text = text(&inputs, "first_", run.first_frame_guidance, device)?;
        let shot = engine.denoise(&still, text, &mut noise(0)?, &mut Unwatched).await?;
        calls.push(shot.latents.clone());
        made = Some(shot);
    }
    let text = text(&inputs, "video_", run.video_guidance_scale, device)?;
    let mut shot = engine.first_shot(fitted, made, &video).await?;
    for index in 0..video.shots {
        let mut noise = noise(calls.len())?;
        let done = engine.denoise(&shot, text.clone(), &mut noise, &mut Unwatched).await?;
        calls.push(done.latents.clone());
        pictures.push(engine.decode_latents(done.without_head(video.seen(index)).latents));
        if index + 1 < video.shots {
            shot = engine.next_shot(shot, &done, &video).await?;
        }
    }
    let shown = as_recorded(Tensor::cat(pictures, 0));
    let mut compared = vec![outputs.compare("video", shown).await?];
    for (j, latents) in calls.into_iter().enumerate() {
        compared.push(outputs.compare(&format!("call_latents.{j}"), latents).await?);
    }
    Ok(compared)
}

fn video(inputs: &Tensors, run: &Chain, device: &Device) -> Result<Text2Video> {
    let vision = if run.condition_given {
        Some(VisionCondition::pictures(pictures(inputs, "condition_image_uint8")?))
    } else {
        None
    };
    let noise = Noise {
        w_ind_noise: run.w_ind_noise,
        img_weight: run.need_img_based_video_noise.then_some(run.img_weight),
        ..Noise::default()
    };
    Ok(Text2Video {
        shot: Request {
            size: run.latents.size(),
            frames: run.time_size,
            sampling: Sampling {
                steps: run.steps,
                scheduler: scheduler(&run.scheduler)?,
                noise,
                ..Sampling::default()
            },
            guidance: Guidance {
                scale: run.video_guidance_scale,
                end: run.video_guidance_scale_end,
                ..Guidance::default()
            },
            window: Window {
                frames: run.context_frames,
                overlap: run.context_overlap,
                ..Window::default()
            },
            vision,
            motion_speed: run.motion_speed,
            image_prompt: image_prompt(inputs, 1.0, device)?,
            ..Request::default()
        },
        shots: run.n_batch,
        first_frame: FirstFrame {
            steps: run.first_frame_steps,
            guidance_scale: run.first_frame_guidance,
            // The recorded embedding is that of the first frame, which is yet to be made.
            with_image_prompt: false,
            ..FirstFrame::default()
        },
        n_vision_condition: run.n_vision_condition,
        fix_condition_images: run.fix_condition_images,
        own_pictures: OwnPictures {
            fixed_refer_image: run.fixed_refer_image,
            ..OwnPictures::default()
        },
        ..Text2Video::default()
    })
}
