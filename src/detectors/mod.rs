//! From the frames of a video to what a ControlNet follows: edges, poses, depths and the like.

mod canny;
mod content;
#[cfg(feature = "face")]
pub mod face;
mod kind;
mod resize;

pub use canny::Canny;
pub use content::ContentShuffle;
pub use kind::DetectorKind;

use crate::error::{Error, Result};
use crate::media::Frame;
use resize::{Interpolation, at_short_side, resized};

/// The sides of maps are multiples of this.
const SIDE_MULTIPLE: usize = 64;
/// Larger maps are taken for a mistake.
const MAX_RESOLUTION: usize = 8192;

/// The sizes a detector works at: lengths of the short side, both sides rounded to multiples of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolutions {
    /// Of the picture it looks at. Default 512.
    pub detect: usize,
    /// Of the map it makes. Default 512.
    pub image: usize,
}

impl Default for Resolutions {
    fn default() -> Self {
        Self { detect: 512, image: 512 }
    }
}

impl Resolutions {
    /// Both so that a picture of `width x height`, multiples of 64, keeps its size.
    pub fn of(width: usize, height: usize) -> Self {
        let short = width.min(height);
        Self { detect: short, image: short }
    }

    fn check(self) -> Result<()> {
        let sides = [("detect-resolution", self.detect), ("image-resolution", self.image)];
        for (option, side) in sides {
            if !(SIDE_MULTIPLE..=MAX_RESOLUTION).contains(&side) {
                let reason =
                    format!("{side} is not between {SIDE_MULTIPLE} and {MAX_RESOLUTION} pixels");
                return Err(Error::request(option, reason));
            }
        }
        Ok(())
    }
}

/// A detector, ready to work.
#[derive(Clone, Debug)]
pub enum Detector {
    /// Edges.
    Canny(Canny),
    /// The picture as it is.
    Tile,
    /// The picture's colours in other places.
    Content(ContentShuffle),
}

impl Detector {
    /// The detector `kind`; `seed` decides what it leaves to chance.
    ///
    /// # Errors
    /// When musev does not have this detector yet, or the resolutions cannot work.
    pub fn new(kind: DetectorKind, resolutions: Resolutions, seed: u64) -> Result<Self> {
        resolutions.check()?;
        match kind {
            DetectorKind::Canny => Ok(Self::Canny(Canny { resolutions, ..Canny::default() })),
            DetectorKind::Tile => Ok(Self::Tile),
            DetectorKind::Content => Ok(Self::Content(ContentShuffle { resolutions, seed })),
            _ => {
                let reason = format!(
                    "the detector `{kind}` is not in this musev yet, only {}; make its control \
                     maps elsewhere and give them as the video, with video-is-middle",
                    DetectorKind::built().map(|kind| kind.to_string()).join(", ")
                );
                Err(Error::request("controlnet-name", reason))
            }
        }
    }

    /// What `frame` shows to a ControlNet. All frames of one size give maps of one size.
    ///
    /// # Errors
    /// When the device of a detector that is a network fails.
    pub async fn detect(&self, frame: &Frame) -> Result<Frame> {
        Ok(match self {
            Self::Canny(canny) => canny.detect(frame),
            Self::Tile => frame.clone(),
            Self::Content(shuffle) => shuffle.detect(frame),
        })
    }
}

/// The map that `detect` makes of `frame` at the first resolution, at the second.
fn at_resolutions(
    frame: &Frame,
    resolutions: Resolutions,
    detect: impl FnOnce(&Frame) -> Frame,
) -> Frame {
    let seen = at_short_side(frame, resolutions.detect);
    let map = detect(&seen);
    let (width, height) = resize::sides(&seen, resolutions.image);
    resized(&map, width, height, Interpolation::Linear)
}
