//! Faces in the pictures of a video.

use std::fmt::Debug;

#[cfg(feature = "face")]
use crate::detectors::face::FaceEmbedder;
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::Frame;
use crate::pipeline::{ConditionFrames, Engine, FacePrompt, Request, Text2Video};

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

impl Engine {
    /// Makes the faces in `frames` the face prompt of `shot`, if the model reads faces and `video`
    /// can find them.
    pub(super) async fn show_face(
        &self,
        shot: &mut Request,
        frames: &ConditionFrames,
        video: &Text2Video,
    ) -> Result<()> {
        let (Some(finder), Some(_)) = (&video.find_face, &self.conditioners.face_adapter) else {
            return Ok(());
        };
        let pictures = match frames {
            ConditionFrames::Latents(latents) => {
                image_tensor::to_frames(self.decode_latents(latents.clone())).await?
            }
            ConditionFrames::Pictures(pictures) => pictures.clone(),
        };
        let embedding = |picture| {
            finder.embedding(picture)?.ok_or_else(|| {
                let reason = "no face is found in a frame that the video goes on from; give a \
                              picture or an embedding of the face, and keep it for all shots";
                Error::request("face-image-path", reason)
            })
        };
        let embeddings = pictures.iter().map(embedding).collect::<Result<_>>()?;
        shot.face_prompt = Some(FacePrompt { embeddings, scale: video.ip_adapter_face_scale });
        Ok(())
    }
}
