//! How long and how large, and in which windows.

use clap::Args;
use musev::{Window, WindowSchedule};

use super::values::{count, positive};

/// How long a video of one shot is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Size and length")]
pub(crate) struct Length {
    /// Make a video of this many frames as one shot, the given picture counted in.
    #[arg(
        long,
        value_name = "N",
        value_parser = count(100_000),
        conflicts_with_all = ["seconds", "time_size", "n_batch"],
        allow_negative_numbers = true
    )]
    pub(crate) frames: Option<u32>,
    /// Make a video of this many seconds at --fps as one shot.
    #[arg(
        long,
        value_name = "X",
        value_parser = positive,
        conflicts_with_all = ["time_size", "n_batch"],
        allow_negative_numbers = true
    )]
    pub(crate) seconds: Option<f64>,
}

/// How large, and how many shots.
#[derive(Args, Debug)]
#[command(next_help_heading = "Size and length")]
pub(crate) struct Motion {
    /// Make this many frames a shot, the given picture not counted.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = count(100_000), allow_negative_numbers = true)]
    pub(crate) time_size: u32,
    /// Chain this many shots, each beginning with the end of the one before.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(10_000), allow_negative_numbers = true)]
    pub(crate) n_batch: u32,
    /// Carry this many frames from shot to shot; 0 makes every shot without a picture.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) n_vision_condition: u32,
    /// Begin every shot with the given picture instead.
    #[arg(long)]
    pub(crate) fix_condition_images: bool,
    /// Make the video this wide, in pixels [default: the picture's width, or 512; mini: 128]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) width: Option<u32>,
    /// Make the video this high, in pixels [default: the picture's height, or 512; mini: 128]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) height: Option<u32>,
    /// Multiply both sides by this; then each is cut to a multiple of 64.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive, allow_negative_numbers = true)]
    pub(crate) img_length_ratio: f64,
    /// Match the colours of every frame to those of the first.
    #[arg(long)]
    pub(crate) need_hist_match: bool,
}

/// How a long shot is cut into overlapping windows.
#[derive(Args, Debug)]
#[command(next_help_heading = "Windows of a long shot")]
pub(crate) struct Windows {
    /// Denoise this many frames together.
    #[arg(long, value_name = "N", default_value_t = 12, allow_negative_numbers = true)]
    pub(crate) context_frames: u32,
    /// Let neighbouring windows share this many frames.
    #[arg(long, value_name = "N", default_value_t = 4, allow_negative_numbers = true)]
    pub(crate) context_overlap: u32,
    /// Cut so: uniform_v2, or uniform (a closed loop).
    #[arg(long, value_name = "NAME", default_value_t = WindowSchedule::UniformV2)]
    pub(crate) context_schedule: WindowSchedule,
    /// Let uniform pass over the shot up to this many times, with growing gaps between frames.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) context_stride: u32,
    /// Put this many windows through the network at once: faster and hungrier.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) context_batch_size: u32,
}

impl Length {
    /// How long the video is to be, at `fps` frames a second; shots have `time_size` frames.
    pub(crate) fn at(&self, fps: f64, time_size: u32) -> musev::Result<musev::Length> {
        let Some(seconds) = self.seconds else {
            return Ok(match self.frames {
                Some(frames) => musev::Length::Whole(frames as usize),
                None => musev::Length::Shot(time_size as usize),
            });
        };
        // The cast of a float stops at the largest integer; what is too long is refused as such later.
        match (seconds * fps).round() as usize {
            0 => Err(musev::Error::request(
                "seconds",
                format!("{seconds} at {fps} frames a second (fps) is less than a frame"),
            )),
            frames => Ok(musev::Length::Whole(frames)),
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
