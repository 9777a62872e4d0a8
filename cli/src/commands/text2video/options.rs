//! The options of `musev text2video`, in the groups in which `--help` shows them.

use std::path::PathBuf;

use clap::Args;

use crate::commands::options::values::finite;
use crate::commands::options::{
    Conditioners, DeviceOptions, FirstFrame, Model, Motion, Output, Pictures, Sampling, Windows,
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
    pub(crate) motion: Motion,
    #[command(flatten)]
    pub(crate) windows: Windows,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
    #[command(flatten)]
    pub(crate) compatibility: Compatibility,
}

/// What to show.
#[derive(Args, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// Begin the video with this picture (PNG, JPEG, WebP, GIF or BMP); may be repeated.
    #[arg(short, long, value_name = "FILE", conflicts_with = "tasks")]
    pub(crate) image: Vec<PathBuf>,
    /// Show this; `(red hair:1.3)` weighs the words in parentheses.
    #[arg(
        short,
        long,
        value_name = "TEXT",
        conflicts_with = "tasks",
        required_unless_present_any = ["image", "tasks"],
        allow_hyphen_values = true
    )]
    pub(crate) prompt: Option<String>,
    /// Avoid this in the first frame, and in the video too unless --video-negative-prompt is given:
    /// a key of the table (V1 to V5, Empty), or several words of text [default: V2; mini: none]
    #[arg(long, value_name = "KEY|TEXT", allow_hyphen_values = true)]
    pub(crate) negative_prompt: Option<String>,
    /// Avoid this in the video: a key or several words, as above.
    #[arg(long, value_name = "KEY|TEXT", allow_hyphen_values = true)]
    pub(crate) video_negative_prompt: Option<String>,
    /// Look keys of negative prompts up in this YAML table instead of the built-in one; `None`
    /// takes every negative prompt as plain text.
    #[arg(long, value_name = "FILE")]
    pub(crate) negprompt_cfg_path: Option<PathBuf>,
    /// Put "static video, " in front of the video's negative prompt.
    #[arg(long)]
    pub(crate) add_static_video_prompt: bool,
    /// Make the videos of this task file, in the original's YAML.
    #[arg(short, long, value_name = "FILE", alias = "test-data-path")]
    pub(crate) tasks: Option<PathBuf>,
    /// Make only the tasks of these names, separated by commas.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "all",
        requires = "tasks",
        conflicts_with_all = ["image", "prompt"]
    )]
    pub(crate) target_datas: String,
    /// Leave the given picture out: a first frame is made from the prompt.
    #[arg(long)]
    pub(crate) no_condition_image: bool,
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
