//! What a video made of another one is asked for by, and what comes of it.

use crate::error::{Error, Result};
use crate::media::{Video, grid, grid_shape};
use crate::pipeline::chunks::chunk_places;
use crate::pipeline::plan::VAE_SCALE_FACTOR;
use crate::pipeline::{Plan, Request, SerialDenoise, SourceVideo, Text2Video};

/// What `video2video` makes.
#[derive(Clone, Debug)]
pub struct Video2Video {
    /// What it has in common with a video without a source. Its shots are the most chunks, their
    /// frames those of a chunk; what a shot follows, its source and motion speed come from the video.
    /// From `n_vision_condition` 1 on a chunk continues the last frame of the one before, and so many
    /// frames are its reference and image prompt, where these are not fixed.
    pub base: Text2Video,
    /// The video it is made of.
    pub source: SourceVideo,
    /// What chunks take up of the steps of the one before.
    pub serial: SerialDenoise,
    /// Whether the source video is wanted beside the made one.
    pub need_return_videos: bool,
    /// Whether the control maps are.
    pub need_return_condition: bool,
}

/// What came of a video.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The video.
    pub video: Video,
    /// The frames it was made of, as many as it has, if they were wanted.
    pub source: Option<Video>,
    /// What each network followed, as many frames, if wanted.
    pub controls: Vec<Video>,
}

impl Transformed {
    /// The source, the video and the control maps side by side, in at most `columns` columns.
    ///
    /// # Errors
    /// Never for videos of one size.
    pub fn grid(self, columns: usize) -> Result<Video> {
        let tiles: Vec<Video> =
            self.source.into_iter().chain([self.video]).chain(self.controls).collect();
        grid(&tiles, columns)
    }
}

impl Video2Video {
    /// The frames of the source that each chunk has.
    pub(super) fn chunk_places(&self) -> Vec<Vec<usize>> {
        let SourceVideo { frames, sample_rate, .. } = &self.source;
        let mut places = chunk_places(frames.len(), self.base.shot.frames, *sample_rate);
        places.truncate(self.base.shots);
        places
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> usize {
        self.chunk_places().len()
    }

    /// How many steps each chunk takes.
    pub fn steps(&self) -> usize {
        self.source.sampling(self.base.shot.sampling).taken_steps()
    }

    /// How many steps the picture takes that begins the first chunk, if one is made.
    pub fn first_frame_steps(&self) -> usize {
        if !self.makes_still() {
            return 0;
        }
        let Text2Video { first_frame, shot, .. } = &self.base;
        first_frame.sampling(shot.sampling, self.source.need_video2video).taken_steps()
    }

    /// Whether the picture that begins the first chunk has to be made.
    pub(super) fn makes_still(&self) -> bool {
        let Text2Video { n_vision_condition, redraw_condition_image, shot, .. } = &self.base;
        *n_vision_condition > 0 && (shot.vision.is_none() || *redraw_condition_image)
    }

    /// How many videos are shown beside the made one.
    pub(super) fn shown_beside(&self) -> usize {
        let maps = if self.need_return_condition { self.source.networks() } else { 0 };
        usize::from(self.need_return_videos) + maps
    }

    /// Width and height of [`Transformed::grid`].
    pub fn grid_size(&self, columns: usize) -> (usize, usize) {
        let (rows, columns) = grid_shape(1 + self.shown_beside(), columns);
        let size = self.base.shot.size;
        (columns * size.width, rows * size.height)
    }

    /// Checks what can be checked before a device works.
    ///
    /// # Errors
    /// An [`Error::Request`] naming the option for a value that cannot work.
    pub fn check(&self) -> Result<()> {
        let time_size = self.base.shot.frames;
        if self.base.shots == 0 {
            return Err(Error::request("n-batch", "at least one chunk has to be made"));
        }
        let carries = self.base.n_vision_condition > 0;
        let least = if carries && self.source.has_condition { 2 } else { 1 };
        if time_size < least {
            let reason = format!("{time_size} frames are no chunk; at least {least} are");
            return Err(Error::request("time-size", reason));
        }
        let given = self.base.shot.vision.as_ref().map_or(0, |vision| vision.frames.len());
        if given > 1 {
            let reason = format!("a video is transformed with one picture at most, not {given}");
            return Err(Error::request("condition_images", reason));
        }
        self.source.check(&self.base.shot, given > 0 || !carries)?;
        self.check_length()?;
        if self.base.n_vision_condition > time_size {
            let reason = format!(
                "{} frames cannot be carried on from chunks of {time_size} (time-size)",
                self.base.n_vision_condition
            );
            return Err(Error::request("n-vision-condition", reason));
        }
        if self.serial.is_on() && self.serial.overlap >= time_size {
            let reason = format!(
                "{} frames are not less than the {time_size} of a chunk (time-size)",
                self.serial.overlap
            );
            return Err(Error::request("video-overlap", reason));
        }
        if self.makes_still() {
            let sampling = self.base.first_frame.sampling(self.base.shot.sampling, true);
            self.source.check_strength("redraw-strength", sampling)?;
        }
        Plan::new(&self.planned(), VAE_SCALE_FACTOR).map(|_| ())
    }

    /// Checks that the video is long enough for a chunk.
    fn check_length(&self) -> Result<()> {
        if self.chunk_count() > 0 {
            return Ok(());
        }
        let (time_size, rate) = (self.base.shot.frames, self.source.sample_rate);
        let reason = format!(
            "the video has {} frames, and a chunk of {time_size} (time-size), one in {rate} \
             (sample-rate), needs {}; lower one of them",
            self.source.frames.len(),
            (time_size - 1).saturating_mul(rate).saturating_add(1),
        );
        Err(Error::request("video", reason))
    }

    /// A chunk as far as its size goes.
    fn planned(&self) -> Request {
        let mut shot = self.base.shot.clone();
        shot.motion_speed = self.source.sample_rate as f64;
        if let Some(vision) = &mut shot.vision {
            vision.positions.clear();
        }
        shot
    }
}
