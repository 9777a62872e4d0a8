//! The options of `musev text2video`, in the groups in which `--help` shows them.

use clap::Args;

use crate::commands::options::values::finite;
use crate::commands::options::{
    Conditioners, DeviceOptions, FirstFrame, Input, Length, Model, Motion, Output, Pictures,
    Sampling, Windows,
};

/// Options of `musev text2video`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Examples:\n  \
    musev text2video --image cat.jpg --prompt \"a cat, blinking\" -o cat.mp4\n  \
    musev text2video --image sea.jpg --frames 40 --steps 20 --seed 7 -o sea.webp\n  \
    musev text2video -t configs/tasks/example.yaml --target-datas cat --output-dir results"
)]
pub(crate) struct Text2videoArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
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
    pub(crate) length: Length,
    #[command(flatten)]
    pub(crate) motion: Motion,
    #[command(flatten)]
    pub(crate) windows: Windows,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
    #[command(flatten)]
    pub(crate) compatibility: Compatibility,
}

/// Known to the original, without effect on videos of this model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Compatibility: accepted, without effect on these videos")]
pub(crate) struct Compatibility {
    /// Strength of redrawing; it has no effect in the original, but it is in the file name.
    #[arg(long, value_name = "X", default_value_t = 0.8, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) strength: f64,
    /// Width of the text states; the checkpoint tells it.
    #[arg(long, value_name = "N", default_value_t = 768)]
    pub(crate) cross_attention_dim: u32,
    /// Columns of a grid of videos; there is one video a file.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) n_cols: u32,
    /// Frames shared by shots in video2video.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) video_overlap: u32,
    /// Factor of a frame interpolation that the original never does.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) interpolation_factor: u32,
    /// How much FaceIn counts; there is no model of it.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) facein_scale: f64,
    /// Redraw without FaceIn; there is no model of it.
    #[arg(long)]
    pub(crate) no_redraw_with_facein: bool,
    /// Record noise between shots of video2video.
    #[arg(long)]
    pub(crate) record_mid_video_noises: bool,
    /// Record latents between shots of video2video.
    #[arg(long)]
    pub(crate) record_mid_video_latents: bool,
}
