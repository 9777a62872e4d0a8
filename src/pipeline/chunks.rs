//! A video in chunks: which frames each has, and what the clip that is made of it follows.

use std::sync::Arc;

use crate::detectors::{Detector, DetectorKind, Resolutions};
use crate::error::{Error, Result};
use crate::media::{Filter, Frame, crop_resize, crop_resize_bilinear};
use crate::pipeline::plan::skipped_by;
use crate::pipeline::{Control, ControlInterval, Request, Sampling, Size};

/// The video that another one is made of.
#[derive(Clone, Debug)]
pub struct SourceVideo {
    /// All its frames; several videos may be made of them.
    pub frames: Arc<Vec<Frame>>,
    /// Every how many frames one is taken. It is the motion speed too, as in the original (quirk
    ///
    pub sample_rate: usize,
    /// Whether its frames are control maps already, so that no detector has to make them.
    pub is_middle: bool,
    /// Whether its first frame is that of the condition picture; if not, the picture comes before
    /// it.
    pub has_condition: bool,
    /// Whether the noise is added to its frames, and not all there is in the beginning.
    pub need_video2video: bool,
    /// How much of its frames is made anew where the noise is added to them
    /// ([`Sampling::strength`](crate::Sampling::strength)); 1 as the original does.
    pub strength: f64,
    /// What the ControlNets follow, in their order.
    pub controls: Vec<FollowedControl>,
    /// What the pose guider follows.
    pub pose: Option<DetectorKind>,
}

/// What a ControlNet follows of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowedControl {
    /// Which maps.
    pub kind: DetectorKind,
    /// How strongly. Default 1.
    pub scale: f64,
    /// During which steps. Default all.
    pub interval: ControlInterval,
    /// As in [`Control::guess_mode`]. Default false.
    pub guess_mode: bool,
}

impl FollowedControl {
    /// The maps `kind`, followed at every step and at the usual strength.
    pub fn new(kind: DetectorKind) -> Self {
        Self { kind, scale: 1.0, interval: ControlInterval::default(), guess_mode: false }
    }

    /// The same of given maps.
    pub(super) fn of(self, frames: Vec<Frame>) -> Control {
        let Self { scale, interval, guess_mode, .. } = self;
        Control { frames, scale, interval, guess_mode }
    }
}

/// What one chunk goes by.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// The frames, at the size of the clip.
    pub(super) frames: Vec<Frame>,
    /// For each ControlNet, and then for the pose guider, a map of every frame; of the first chunk
    /// one of the condition picture first where that comes before the video.
    pub(super) maps: Vec<Vec<Frame>>,
}

/// The frames of each chunk of a video of `total` frames: `time_size` of those that are left where
/// one in `sample_rate` is taken. What is left over at the end makes no chunk.
pub(super) fn chunk_places(total: usize, time_size: usize, sample_rate: usize) -> Vec<Vec<usize>> {
    let taken: Vec<usize> = (0..total).step_by(sample_rate).collect();
    taken.chunks_exact(time_size).map(<[usize]>::to_vec).collect()
}

impl SourceVideo {
    /// Every kind of map that is followed.
    fn kinds(&self) -> impl Iterator<Item = DetectorKind> {
        self.controls.iter().map(|control| control.kind).chain(self.pose)
    }

    /// How many networks follow it.
    pub(super) fn networks(&self) -> usize {
        self.kinds().count()
    }

    /// The detectors for maps of `size`, one for each kind; none where the video has the maps.
    fn detectors(&self, size: Size, seed: u64) -> Result<Vec<Detector>> {
        let resolutions = Resolutions::of(size.width, size.height);
        self.kinds().map(|kind| Detector::new(kind, resolutions, seed)).collect()
    }

    /// What `sampling` is for a clip made of the video.
    pub(super) fn sampling(&self, sampling: Sampling) -> Sampling {
        Sampling { strength: if self.need_video2video { self.strength } else { 1.0 }, ..sampling }
    }

    /// Checks the strength that `option` told for `sampling`.
    pub(super) fn check_strength(&self, option: &'static str, sampling: Sampling) -> Result<()> {
        let missing = "the video does not go by frames of another; add --need-video2video";
        let missing = (!self.need_video2video).then_some(missing);
        skipped_by(option, sampling, missing).map(drop)
    }

    /// Checks what does not depend on the clip; `given` says whether `shot` has a condition picture or
    /// needs none.
    pub(super) fn check(&self, shot: &Request, given: bool) -> Result<()> {
        let sampling = Sampling { strength: self.strength, ..shot.sampling };
        self.check_strength("source-strength", sampling)?;
        if self.sample_rate == 0 {
            return Err(Error::request("sample-rate", "is 0; it has to be at least 1"));
        }
        if !self.has_condition && !given {
            let reason = "the condition picture comes before the video only where one is given; \
                          give one, or leave the video's first frame in its place";
            return Err(Error::request("video-has-condition", reason));
        }
        if self.is_middle && self.kinds().next().is_none() {
            let reason = "the video's frames are control maps, so a ControlNet or a pose guider \
                          has to follow them; name it with controlnet-name";
            return Err(Error::request("video-is-middle", reason));
        }
        if !self.is_middle || !self.has_condition {
            self.detectors(shot.size, 0)?;
        }
        let mut controls = self.controls.iter();
        controls.try_for_each(|control| control.of(Vec::new()).validate(0))
    }

    /// What a chunk of the frames at `places` goes by. `before` is the condition picture where it
    /// comes before them.
    pub(super) async fn chunk(
        &self,
        places: &[usize],
        request: &Request,
        before: Option<&Frame>,
    ) -> Result<Chunk> {
        let size = request.size;
        let at_size =
            |place: &usize| crop_resize_bilinear(&self.frames[*place], size.width, size.height);
        let frames: Vec<Frame> = places.iter().map(at_size).collect();
        if self.is_middle && before.is_none() {
            let maps = vec![frames.clone(); self.networks()];
            return Ok(Chunk { frames, maps });
        }
        let mut maps = Vec::new();
        for detector in self.detectors(size, request.sampling.seed)? {
            let mut followed = Vec::with_capacity(frames.len() + 1);
            if let Some(picture) = before {
                followed.push(map(&detector, picture, size).await?);
            }
            for frame in &frames {
                followed.push(match self.is_middle {
                    true => frame.clone(),
                    false => map(&detector, frame, size).await?,
                });
            }
            maps.push(followed);
        }
        Ok(Chunk { frames, maps })
    }

    /// Makes `request` follow `maps`, one list for each network.
    pub(super) fn follow(&self, request: &mut Request, maps: &[Vec<Frame>]) {
        let (nets, pose) = maps.split_at(self.controls.len());
        let controls = self.controls.iter().zip(nets);
        request.controls = controls.map(|(control, maps)| control.of(maps.clone())).collect();
        request.pose = pose.concat();
    }
}

/// The map of a frame, which is cropped and resized before, although it has this size: as in the
/// original it loses its last row or column once more (quirk Q-9).
async fn map(detector: &Detector, frame: &Frame, size: Size) -> Result<Frame> {
    let frame = crop_resize(frame, size.width, size.height, Filter::Bicubic);
    detector.detect(&frame).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_and_the_rest_is_dropped() {
        assert_eq!(chunk_places(7, 3, 1), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(chunk_places(6, 3, 1), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(chunk_places(12, 3, 2), [[0, 2, 4], [6, 8, 10]]);
        // The 7th of every second frame is there, the 8th is not.
        assert_eq!(chunk_places(13, 4, 2), [[0, 2, 4, 6]]);
        assert_eq!(chunk_places(5, 2, 4), [[0, 4]]);
        assert!(chunk_places(4, 2, 4).is_empty());
        assert!(chunk_places(0, 2, 1).is_empty());
    }
}
