//! From options to the library's settings.

use musev::{
    FirstFrame, Guidance, Length, NegativePrompts, Noise, Request, Sampling, TaskDefaults,
    Text2Video, Window,
};

use super::options::{Motion, Text2videoArgs, Windows};

/// What the videos of a run have in common.
///
/// # Errors
/// When the length is no whole number of frames or the table of negative prompts cannot be read.
pub(crate) fn defaults(args: &Text2videoArgs) -> anyhow::Result<TaskDefaults> {
    let side = |pixels: Option<u32>| pixels.map(|pixels| pixels as usize);
    let negative = &args.input.negative_prompt;
    let video_negative = args.input.video_negative_prompt.as_ref().unwrap_or(negative);
    Ok(TaskDefaults {
        video: args.into(),
        length: length(&args.motion, args.output.fps)?,
        width: side(args.motion.width),
        height: side(args.motion.height),
        img_length_ratio: args.motion.img_length_ratio,
        negative_prompt: negative.clone(),
        video_negative_prompt: video_negative.clone(),
        add_static_video_prompt: args.input.add_static_video_prompt,
        negative_prompts: match &args.input.negprompt_cfg_path {
            Some(path) => NegativePrompts::open(path)?,
            None => NegativePrompts::builtin()?,
        },
    })
}

impl From<&Text2videoArgs> for Text2Video {
    fn from(args: &Text2videoArgs) -> Self {
        let sampling = &args.sampling;
        Self {
            shot: Request {
                sampling: Sampling {
                    steps: sampling.steps as usize,
                    seed: 0,
                    rng: sampling.rng,
                    noise: Noise {
                        noise_type: sampling.noise_type,
                        w_ind_noise: sampling.w_ind_noise,
                        img_weight: (!sampling.no_img_based_video_noise)
                            .then_some(sampling.img_weight),
                    },
                },
                guidance: Guidance {
                    scale: sampling.video_guidance_scale,
                    end: sampling.video_guidance_scale_end,
                    method: sampling.video_guidance_scale_method,
                },
                window: (&args.windows).into(),
                ..Request::default()
            },
            shots: args.motion.n_batch as usize,
            first_frame: FirstFrame {
                negative: String::new(),
                steps: args.first_frame.num_inference_steps as usize,
                guidance_scale: args.first_frame.guidance_scale,
            },
            redraw_condition_image: args.first_frame.redraw_condition_image,
            n_vision_condition: args.motion.n_vision_condition as usize,
            fix_condition_images: args.motion.fix_condition_images,
            need_hist_match: args.motion.need_hist_match,
            fps: args.output.fps as f32,
        }
    }
}

impl From<&Windows> for Window {
    fn from(windows: &Windows) -> Self {
        Self {
            schedule: windows.context_schedule,
            frames: windows.context_frames as usize,
            overlap: windows.context_overlap as usize,
            stride: windows.context_stride as usize,
            batch_size: windows.context_batch_size as usize,
        }
    }
}

fn length(motion: &Motion, fps: f64) -> musev::Result<Length> {
    let Some(seconds) = motion.seconds else {
        return Ok(match motion.frames {
            Some(frames) => Length::Whole(frames as usize),
            None => Length::Shot(motion.time_size as usize),
        });
    };
    // The cast of a float stops at the largest integer; what is too long is refused as such later.
    match (seconds * fps).round() as usize {
        0 => Err(musev::Error::request(
            "seconds",
            format!("{seconds} at {fps} frames a second (fps) is less than a frame"),
        )),
        frames => Ok(Length::Whole(frames)),
    }
}
