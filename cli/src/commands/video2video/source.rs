//! From options to the video that another is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use musev::{Error, Frame, Result, SerialDenoise, SourceVideo, Task, Text2Video, Video2Video};

use super::options::{Video2videoArgs, Which};

/// What shows where a source video is transparent.
const WHITE: [u8; 3] = [255; 3];

/// Source videos that have been read.
#[derive(Default)]
pub(crate) struct SourceVideos(BTreeMap<PathBuf, Arc<Vec<Frame>>>);

impl SourceVideos {
    /// The frames of the video that `args` or else `task` name, read once.
    ///
    /// # Errors
    /// When none is named, or it cannot be read.
    pub(crate) fn frames(
        &mut self,
        args: &Video2videoArgs,
        task: &Task,
    ) -> Result<Arc<Vec<Frame>>> {
        let path = args.source.video.as_ref().or(task.video.video_path.as_ref());
        let path = path.ok_or_else(|| {
            Error::request("video_path", "the task has none; it names the video to transform")
        })?;
        if let Some(frames) = self.0.get(path) {
            return Ok(frames.clone());
        }
        let frames = Arc::new(musev::read_video(path, WHITE)?.frames);
        self.0.insert(path.clone(), frames.clone());
        Ok(frames)
    }
}

impl Video2videoArgs {
    /// What videos of `task` are made of.
    ///
    /// # Errors
    /// When what is to be followed is told in numbers that do not fit each other.
    pub(crate) fn source(&self, task: &Task, frames: Arc<Vec<Frame>>) -> Result<SourceVideo> {
        let options = &self.source;
        let poses = self.followed.pose_guider_model_path.is_some();
        Ok(SourceVideo {
            frames,
            sample_rate: options.sample_rate as usize,
            is_middle: task.video.video_is_middle.unwrap_or(options.video_is_middle),
            has_condition: (task.video.video_has_condition)
                .unwrap_or(!options.no_video_has_condition),
            need_video2video: options.need_video2video || options.which2video == Which::Video,
            strength: options.source_strength.unwrap_or(1.0),
            controls: if poses { Vec::new() } else { self.followed.controls()? },
            pose: self.followed.controlnet_name.first().copied().filter(|_| poses),
        })
    }

    /// A video of `source`, otherwise made as `base` says.
    pub(crate) fn video(&self, base: Text2Video, source: SourceVideo) -> Video2Video {
        Video2Video {
            base,
            source,
            serial: SerialDenoise {
                latents: self.serial.record_mid_video_latents,
                noises: self.serial.record_mid_video_noises,
                overlap: self.serial.video_overlap as usize,
            },
            need_return_videos: self.shown.need_return_videos,
            need_return_condition: self.shown.need_return_condition,
        }
    }
}
