//! `musev detect`: the control maps of a video or picture.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use musev::{Detector, DetectorKind, Format, Resolutions, Video};
use serde_json::json;

use super::options::values::count;
use crate::progress::Interrupt;
use crate::report;

/// What shows where the input is transparent.
const WHITE: [u8; 3] = [255; 3];

/// Options of `musev detect`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Examples:\n  \
    musev detect dance.mp4 --controlnet-name canny -o edges.mp4\n  \
    musev detect cat.jpg --controlnet-name canny --image-resolution 768 -o edges.png"
)]
pub(crate) struct DetectArgs {
    /// Look at this video or picture: MP4 with H.264, GIF, WebP, PNG, JPEG, BMP, a folder of
    /// pictures, or with ffmpeg on the PATH anything that it reads.
    #[arg(value_name = "VIDEO")]
    input: PathBuf,
    /// Write the maps to this file, .mp4, .gif, .webp (lossless) or .png (a folder, of a picture one
    /// file); an older one is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Find this: canny, tile or content; an unknown name lists all.
    #[arg(long, value_name = "NAME")]
    controlnet_name: DetectorKind,
    /// Look at frames whose short side has this many pixels; both sides are rounded to multiples of
    /// 64.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count(8192), allow_negative_numbers = true)]
    detect_resolution: u32,
    /// Make maps whose short side has this many pixels, rounded likewise.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count(8192), allow_negative_numbers = true)]
    image_resolution: u32,
    /// Leave to chance what this seed decides.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
}

/// Makes the maps; Ctrl-C ends it after the current frame, and leaves nothing behind.
pub(crate) fn run(args: &DetectArgs, json: bool, bar: &ProgressBar) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let interrupt = Interrupt::listen(bar, "frame")?;
    let resolutions = Resolutions {
        detect: args.detect_resolution as usize,
        image: args.image_resolution as usize,
    };
    let detector = Detector::new(args.controlnet_name, resolutions, args.seed)?;
    let format = Format::from_extension(&args.output)?;
    musev::check_file(&args.output)?;
    let video = musev::read_video(&args.input, WHITE)?;
    let is_picture = format == Format::Png && video.frames.len() == 1;
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} % · {eta} left");
    bar.set_style(style.expect("the template is well-formed").progress_chars("━╸ "));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_length(video.frames.len() as u64);
    let mut maps = Vec::with_capacity(video.frames.len());
    for frame in &video.frames {
        interrupt.check()?;
        let map = pollster::block_on(detector.detect(frame))?;
        // The first map tells the size of them all.
        if maps.is_empty() && !is_picture {
            musev::check_output(&args.output, format, (map.width, map.height))?;
        }
        maps.push(map);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let maps = Video::new(maps, video.fps)?;
    let path = if is_picture {
        musev::write_file(&args.output, &musev::encode(&maps, format)?)?;
        args.output.clone()
    } else {
        musev::write_video(&maps, &args.output, format)?;
        musev::output_path(&args.output, format)
    };
    let (path, frames, seconds) =
        (path.display().to_string(), maps.frames.len(), start.elapsed().as_secs_f64());
    if json {
        report::json_line(&json!({
            "event": "done", "path": path, "frames": frames, "seconds": seconds,
        }))?;
    } else {
        report::say(format_args!("{path}: {frames} frames in {seconds:.1} s"));
    }
    Ok(ExitCode::SUCCESS)
}
