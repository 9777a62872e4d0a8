//! The options of `musev video2video`, in the groups in which `--help` shows them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use musev::DetectorKind;

use crate::commands::options::values::{count, finite, part, share};
use crate::commands::options::{
    Conditioners, DeviceOptions, FirstFrame, Input, Model, Motion, Output, Pictures, Sampling,
    Windows,
};

/// Options of `musev video2video`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Examples:\n  \
    musev video2video --video dance.mp4 --image girl.png --prompt \"a girl\" --which2video \
    video_middle --controlnet-name dwpose_body_hand --video-is-middle -o girl.mp4\n  \
    musev video2video --video street.mp4 --prompt \"a street in winter\" --controlnet-name canny \
    --n-batch 3 -o winter.mp4\n  \
    musev video2video -t tasks.yaml --target-datas dance --controlnet-name canny,tile \
    --need-return-videos --need-return-condition"
)]
pub(crate) struct Video2videoArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) followed: Followed,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) shown: Shown,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) conditioners: Conditioners,
    #[command(flatten)]
    pub(crate) pictures: Pictures,
    #[command(flatten)]
    pub(crate) sampling: Sampling,
    #[command(flatten)]
    pub(crate) first_frame: FirstFrame,
    #[command(flatten)]
    pub(crate) motion: Motion,
    #[command(flatten)]
    pub(crate) serial: Serial,
    #[command(flatten)]
    pub(crate) windows: Windows,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
    #[command(flatten)]
    pub(crate) compatibility: Compatibility,
}

/// The video that another is made of.
#[derive(Args, Debug)]
#[command(next_help_heading = "Source video")]
pub(crate) struct Source {
    /// Make a video of this one: MP4 with H.264, GIF, WebP, a folder of pictures, or with ffmpeg on
    /// the PATH anything that it reads.
    #[arg(long, value_name = "PATH", conflicts_with = "tasks", required_unless_present = "tasks")]
    pub(crate) video: Option<PathBuf>,
    /// Take one in this many of its frames. The motion speed is this too, whatever --motion-speed
    /// says, as in the original.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1000), allow_negative_numbers = true)]
    pub(crate) sample_rate: u32,
    /// Go by the video's own frames too (video: noise is added to them), or by its control maps alone
    /// (video_middle).
    #[arg(long, value_name = "WHICH", default_value = "video")]
    pub(crate) which2video: Which,
    /// Go by the video's own frames with video_middle too.
    #[arg(long)]
    pub(crate) need_video2video: bool,
    /// Make its frames anew this much, above 0 and up to 1, in as large a share of the steps; without
    /// it wholly, as the original does whatever its --video-strength.
    #[arg(long, value_name = "X", value_parser = part, allow_negative_numbers = true)]
    pub(crate) source_strength: Option<f64>,
    /// Take the video's frames for control maps, as a detector makes them.
    #[arg(long)]
    pub(crate) video_is_middle: bool,
    /// Put the given picture before the video's first frame, not in its place.
    #[arg(long)]
    pub(crate) no_video_has_condition: bool,
}

/// Which part of a video guides another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Its frames, and what is found in them.
    Video,
    /// What is found in its frames.
    #[value(name = "video_middle", alias = "video-middle")]
    VideoMiddle,
}

/// What a video follows.
#[derive(Args, Debug)]
#[command(next_help_heading = "ControlNets")]
pub(crate) struct Followed {
    /// Follow this with the ControlNet for it: pose, dwpose_body_hand, canny, tile, depth, hed,
    /// lineart, content and others (an unknown name lists all); several with commas. canny, tile and
    /// content are found in the video; for the others it has to be their maps (--video-is-middle).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) controlnet_name: Vec<DetectorKind>,
    /// Take the ControlNets from these folders or files, in the order of the names, instead of those
    /// of the table; several with commas.
    #[arg(long, value_name = "PATHS", value_delimiter = ',', requires = "controlnet_name")]
    pub(crate) controlnet_model_path: Vec<String>,
    /// Follow this strongly: one number for all ControlNets, or one for each with commas.
    #[arg(
        long,
        value_name = "X",
        value_delimiter = ',',
        default_value = "1.0",
        value_parser = finite,
        allow_negative_numbers = true
    )]
    pub(crate) controlnet_conditioning_scale: Vec<f64>,
    /// Follow from this share of the steps on, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = share, allow_negative_numbers = true)]
    pub(crate) control_guidance_start: f64,
    /// Follow up to this share of the steps, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = share, allow_negative_numbers = true)]
    pub(crate) control_guidance_end: f64,
    /// Let what is followed count for more than the prompt.
    #[arg(long)]
    pub(crate) guess_mode: bool,
    /// Follow with the pose guider in this file, instead of ControlNets, what --controlnet-name
    /// names.
    #[arg(
        long,
        value_name = "PATH",
        requires = "controlnet_name",
        conflicts_with = "controlnet_model_path"
    )]
    pub(crate) pose_guider_model_path: Option<PathBuf>,
}

/// What is shown beside the video.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Shown {
    /// Show the source video beside the made one.
    #[arg(long)]
    pub(crate) need_return_videos: bool,
    /// Show the control maps beside it.
    #[arg(long)]
    pub(crate) need_return_condition: bool,
    /// Show at most this many videos beside each other.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(100), allow_negative_numbers = true)]
    pub(crate) n_cols: u32,
}

/// What a shot takes up of the steps of the one before.
#[derive(Args, Debug)]
#[command(next_help_heading = "Serial denoising")]
pub(crate) struct Serial {
    /// Mix a little of the noise predicted at the end of a shot into the beginning of the next.
    #[arg(long)]
    pub(crate) record_mid_video_noises: bool,
    /// Mix a little of the latents at the end of a shot into the beginning of the next.
    #[arg(long)]
    pub(crate) record_mid_video_latents: bool,
    /// Mix this many frames.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) video_overlap: u32,
    /// Denoise by the schedule with zero terminal SNR, with ddim: for models that predict velocity.
    #[arg(long, help_heading = "Sampling", conflicts_with = "scheduler")]
    pub(crate) enable_zero_snr: bool,
}

/// Known to the original, without effect.
#[derive(Args, Debug)]
#[command(next_help_heading = "Compatibility: accepted, without effect on these videos")]
pub(crate) struct Compatibility {
    /// Strength of redrawing; it has no effect in the original, but it is in the file name.
    #[arg(long, value_name = "X", default_value_t = 0.8, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) strength: f64,
    /// Strength of the change; it has no effect in the original, but it is in the file name.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) video_strength: f64,
    /// Width of the text states; the checkpoint tells it.
    #[arg(long, value_name = "N", default_value_t = 768)]
    pub(crate) cross_attention_dim: u32,
    /// Factor of a frame interpolation that the original never does.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) interpolation_factor: u32,
    /// Chain shots in another way; the original ignores it.
    #[arg(long)]
    pub(crate) no_end_to_end: bool,
    /// How much FaceIn counts; there is no model of it.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) facein_scale: f64,
    /// Redraw without FaceIn; there is no model of it.
    #[arg(long)]
    pub(crate) no_redraw_with_facein: bool,
}
