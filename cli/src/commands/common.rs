//! What commands that make videos have in common: from options to the library's settings.

use musev::{Length, ModelSettings, NegativePrompts, TaskDefaults};

use super::options::{
    DeviceOptions, FirstFrame, Input, Model, Motion, Output, Pictures, Sampling, Windows,
};

/// The groups of options that these commands share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common<'a> {
    pub(crate) input: &'a Input,
    pub(crate) output: &'a Output,
    pub(crate) model: &'a Model,
    pub(crate) pictures: &'a Pictures,
    pub(crate) sampling: &'a Sampling,
    pub(crate) first_frame: &'a FirstFrame,
    pub(crate) motion: &'a Motion,
    pub(crate) windows: &'a Windows,
    pub(crate) device: &'a DeviceOptions,
}

/// What the model is run with: what `args` say, and where they say nothing, what suits the model.
pub(crate) fn in_force(args: Common<'_>, model: &ModelSettings) -> ModelSettings {
    let whole = |given: Option<u32>| given.map(|number| number as usize);
    let (sampling, first_frame) = (args.sampling, args.first_frame);
    ModelSettings {
        width: whole(args.motion.width).or(model.width),
        height: whole(args.motion.height).or(model.height),
        fps: args.output.fps.unwrap_or(model.fps),
        steps: whole(sampling.steps).unwrap_or(model.steps),
        scheduler: sampling.scheduler.unwrap_or(model.scheduler),
        video_guidance_scale: sampling.video_guidance_scale.unwrap_or(model.video_guidance_scale),
        image_guidance_scale: sampling.image_guidance_scale.unwrap_or(model.image_guidance_scale),
        image_guidance_scale_end: (sampling.image_guidance_scale_end)
            .or(sampling.image_guidance_scale)
            .or(model.image_guidance_scale_end),
        motion_guidance_scale: sampling
            .motion_guidance_scale
            .unwrap_or(model.motion_guidance_scale),
        w_ind_noise: sampling.w_ind_noise.unwrap_or(model.w_ind_noise),
        img_weight: sampling.img_weight.unwrap_or(model.img_weight),
        keep_img_weight: model.keep_img_weight,
        s_noise: sampling.s_noise.unwrap_or(model.s_noise),
        num_inference_steps: whole(first_frame.num_inference_steps)
            .unwrap_or(model.num_inference_steps),
        guidance_scale: first_frame.guidance_scale.unwrap_or(model.guidance_scale),
        negative_prompt: (args.input.negative_prompt.as_ref())
            .unwrap_or(&model.negative_prompt)
            .clone(),
    }
}

/// What the videos of a run have in common.
///
/// # Errors
/// When the table of negative prompts cannot be read.
pub(crate) fn defaults(
    args: Common<'_>,
    settings: &ModelSettings,
    length: Length,
) -> anyhow::Result<TaskDefaults> {
    let (sampling, motion) = (args.sampling, args.motion);
    let mut defaults = TaskDefaults::of(settings, length)?;
    defaults.img_length_ratio = motion.img_length_ratio;
    defaults.add_static_video_prompt = args.input.add_static_video_prompt;
    if let Some(negative) = &args.input.video_negative_prompt {
        defaults.video_negative_prompt.clone_from(negative);
    }
    if let Some(path) = &args.input.negprompt_cfg_path {
        defaults.negative_prompts = NegativePrompts::open(path)?;
    }
    let video = &mut defaults.video;
    video.shots = motion.n_batch as usize;
    video.redraw_condition_image = args.first_frame.redraw_condition_image;
    video.first_frame.redraw_strength = args.first_frame.redraw_strength.unwrap_or(1.0);
    video.n_vision_condition = motion.n_vision_condition as usize;
    video.fix_condition_images = motion.fix_condition_images;
    video.need_hist_match = motion.need_hist_match;
    args.pictures.apply(video)?;
    video.shot.window = args.windows.into();
    video.shot.guidance.end = sampling.video_guidance_scale_end;
    video.shot.guidance.method = sampling.video_guidance_scale_method;
    video.shot.sampling.rng = sampling.rng;
    video.shot.sampling.eta = sampling.eta;
    let noise = &mut video.shot.sampling.noise;
    noise.noise_type = sampling.noise_type;
    if sampling.no_img_based_video_noise {
        noise.img_weight = None;
    }
    Ok(defaults)
}
