//! How noise becomes pictures.

use clap::Args;
use clap::builder::ArgPredicate;
use musev::{GuidanceMethod, NoiseType, Rng, SchedulerKind};

use super::values::{count, factor, finite, part, share};

/// How noise becomes a picture.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Sampling {
    /// Denoise the video in this many steps [default: 10; mini: 30]
    #[arg(
        long,
        value_name = "N",
        visible_alias = "video-num-inference-steps",
        value_parser = count(1000),
        allow_negative_numbers = true
    )]
    pub(crate) steps: Option<u32>,
    /// Take the steps with this sampler: euler, euler_ancestral, ddim, ddpm, dpmsolver_multistep
    /// (DPM++ 2M) or lcm (for models distilled to few steps)
    /// [default: euler; mini: euler_ancestral]
    #[arg(
        long,
        value_name = "NAME",
        default_value_ifs = [
            ("lcm_model_cfg_path", ArgPredicate::IsPresent, Some("lcm")),
            ("lcm_model_name", ArgPredicate::Equals("None".into()), None),
            ("lcm_model_name", ArgPredicate::IsPresent, Some("lcm")),
        ]
    )]
    pub(crate) scheduler: Option<SchedulerKind>,
    /// Add this share of fresh noise in every step of ddim, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = share, allow_negative_numbers = true)]
    pub(crate) eta: f64,
    /// Multiply the fresh noise of euler_ancestral, ddpm, lcm and ddim with --eta by this: less than 1
    /// is smoother [default: 1; mini: 0.9]
    #[arg(long, value_name = "X", value_parser = factor, allow_negative_numbers = true)]
    pub(crate) s_noise: Option<f64>,
    /// Begin from the noise of this seed; without it a random one is taken and told.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Draw the noise as this PyTorch generator does: torch-cuda or torch-cpu.
    #[arg(long, value_name = "NAME", default_value_t = Rng::TorchCuda)]
    pub(crate) rng: Rng,
    /// Follow the prompts this strongly in the first step; up to 1 the negative one is unused
    /// [default: 3.5; mini: 1]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) video_guidance_scale: Option<f64>,
    /// Follow the prompts this strongly in the last step; without it as in the first.
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) video_guidance_scale_end: Option<f64>,
    /// Go from the first scale to the last so: linear, two_stage, three_stage or fix_two_stage.
    #[arg(long, value_name = "METHOD", default_value_t = GuidanceMethod::Linear)]
    pub(crate) video_guidance_scale_method: GuidanceMethod,
    /// Follow the picture this strongly in the first step: go this many times as far from what would be
    /// made with it out of sight. More keeps shapes together while they move; any but 1 takes up to twice
    /// the time [default: 1; mini: 8]
    #[arg(long, value_name = "X", value_parser = factor, allow_negative_numbers = true)]
    pub(crate) image_guidance_scale: Option<f64>,
    /// Follow the picture this strongly in the last step, and in those between by even steps
    /// [default: as in the first; mini: 4]
    #[arg(long, value_name = "X", value_parser = factor, allow_negative_numbers = true)]
    pub(crate) image_guidance_scale_end: Option<f64>,
    /// Go this many times as far from a clip that stands still while noise is strong (at timesteps of 600
    /// and above): more moves more [default: 1; mini: 2]
    #[arg(long, value_name = "X", value_parser = factor, allow_negative_numbers = true)]
    pub(crate) motion_guidance_scale: Option<f64>,
    /// Mix the noise of the frames so: video_fusion (they share a part) or random (they do not).
    #[arg(long, value_name = "TYPE", default_value_t = NoiseType::VideoFusion)]
    pub(crate) noise_type: NoiseType,
    /// Give every frame this share of noise of its own, 0 to 1: more moves more [default: 0.5; mini: 1]
    #[arg(long, value_name = "X", value_parser = share, allow_negative_numbers = true)]
    pub(crate) w_ind_noise: Option<f64>,
    /// Mix this share of the picture into the noise, 0 to 1: more keeps the picture, and moves less
    /// [default: 0.001; mini: 0.29]
    #[arg(long, value_name = "X", value_parser = share, allow_negative_numbers = true)]
    pub(crate) img_weight: Option<f64>,
    /// Keep the picture out of the noise.
    #[arg(long)]
    pub(crate) no_img_based_video_noise: bool,
}

/// A first frame that has to be made.
#[derive(Args, Debug)]
#[command(next_help_heading = "First frame, where it is made or redrawn")]
pub(crate) struct FirstFrame {
    /// Denoise it in this many steps [default: 30; mini: 20]
    #[arg(long, value_name = "N", value_parser = count(1000), allow_negative_numbers = true)]
    pub(crate) num_inference_steps: Option<u32>,
    /// Follow the prompt this strongly [default: 7.5; mini: 3]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) guidance_scale: Option<f64>,
    /// Redraw the given picture before it is animated.
    #[arg(long)]
    pub(crate) redraw_condition_image: bool,
    /// Redraw it this much, above 0 and up to 1, in as large a share of the steps; without it
    /// wholly, as the original does whatever its --strength.
    #[arg(long, value_name = "X", value_parser = part, allow_negative_numbers = true)]
    pub(crate) redraw_strength: Option<f64>,
}
