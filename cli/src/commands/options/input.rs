//! What a video is to show.

use std::path::PathBuf;

use clap::Args;

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
    /// a key of the table (V1 to V5, Empty), or words [default: V2; mini: none]
    #[arg(long, value_name = "KEY|TEXT", allow_hyphen_values = true)]
    pub(crate) negative_prompt: Option<String>,
    /// Avoid this in the video: a key or words, as above.
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
