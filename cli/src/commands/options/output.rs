//! Where the videos go.

use std::path::PathBuf;

use clap::Args;
use musev::Format;

use super::values::{count, format, rate};

/// Where the videos go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write the video to this file, .mp4, .gif, .webp (lossless) or .png (a folder of frames); an
    /// older one is replaced.
    #[arg(short, long, value_name = "FILE", conflicts_with = "output_dir")]
    pub(crate) output: Option<PathBuf>,
    /// Write into this folder, under names that tell the settings.
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub(crate) output_dir: PathBuf,
    /// Choose the format in --output-dir: mp4, gif, webp or png (also called images).
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "mp4",
        value_parser = format,
        conflicts_with = "output"
    )]
    pub(crate) save_filetype: Format,
    /// Write the frames as PNG files too, in a folder named like the video.
    #[arg(long)]
    pub(crate) save_images: bool,
    /// Write the task's name and the frame's number onto every frame.
    #[arg(long)]
    pub(crate) write_info: bool,
    /// Make videos again that --output-dir has already.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Tell how much memory each video needs, and make none.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Show this many frames a second [default: 4; mini: 12]
    #[arg(long, value_name = "N", value_parser = rate, allow_negative_numbers = true)]
    pub(crate) fps: Option<f64>,
    /// Make every video this many times, each with a seed of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(10_000), allow_negative_numbers = true)]
    pub(crate) n_repeat: u32,
}
