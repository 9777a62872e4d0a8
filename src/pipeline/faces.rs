//! Faces in the pictures of a video.

use std::fmt::Debug;

#[cfg(feature = "face")]
use crate::detectors::face::FaceEmbedder;
use crate::error::Result;
use crate::media::Frame;

/// Finds faces, and tells them apart.
pub trait FindFace: Debug + Send + Sync {
    /// ArcFace's normalised embedding of the surest face in `picture`; `None` if there is no face.
    ///
    /// # Errors
    /// When the networks that look for it fail.
    fn embedding(&self, picture: &Frame) -> Result<Option<Vec<f32>>>;
}

#[cfg(feature = "face")]
impl FindFace for FaceEmbedder {
    fn embedding(&self, picture: &Frame) -> Result<Option<Vec<f32>>> {
        self.embed(picture)
    }
}
