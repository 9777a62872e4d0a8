//! How a video looks like its own pictures: those that it begins with and those that it goes on from
//! are its reference, its image prompt and its faces.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::Frame;
use crate::pipeline::{
    ConditionFrames, Engine, FacePrompt, FindFace, PicturePrompt, PromptPictures, Request,
};

/// What becomes of a video's own pictures where no others are given.
#[derive(Clone, Debug)]
pub struct OwnPictures {
    /// Whether all shots have the reference of the first, not the end of the one before. Default
    /// true.
    pub fixed_refer_image: bool,
    /// The same of the image prompt. Default true.
    pub fixed_ip_adapter_image: bool,
    /// The same of the faces, where they can be found. Default true.
    pub fixed_refer_face_image: bool,
    /// How faces are found in frames of the video; without it, the default, only given ones are
    /// read.
    pub find_face: Option<Arc<dyn FindFace>>,
    /// How much faces count that are found. Default 1.
    pub ip_adapter_face_scale: f64,
    /// How much pictures count that become the image prompt. Default 1.
    pub ip_adapter_scale: f64,
    /// Whether they stand in place of the words ([`PicturePrompt::only`]). Default false.
    pub prompt_only_use_image_prompt: bool,
}

impl Default for OwnPictures {
    fn default() -> Self {
        Self {
            fixed_refer_image: true,
            fixed_ip_adapter_image: true,
            fixed_refer_face_image: true,
            find_face: None,
            ip_adapter_face_scale: 1.0,
            ip_adapter_scale: 1.0,
            prompt_only_use_image_prompt: false,
        }
    }
}

impl OwnPictures {
    /// Which of reference, image prompt and faces follow the end of the shot before.
    pub(super) fn renewed(&self) -> [bool; 3] {
        [!self.fixed_refer_image, !self.fixed_ip_adapter_image, !self.fixed_refer_face_image]
    }
}

impl Engine {
    /// Makes the condition frames of `shot` its reference, its image prompt and its faces: where it
    /// has none, or in the place of `all` that it has.
    pub(super) async fn show_condition(
        &self,
        shot: &mut Request,
        own: &OwnPictures,
        all: bool,
    ) -> Result<()> {
        let Some(vision) = &shot.vision else { return Ok(()) };
        let seen = vision.frames.clone();
        if all || shot.reference.is_none() {
            self.show_reference(shot, &seen);
        }
        if all || shot.image_prompt.is_none() {
            self.show_image_prompt(shot, &seen, own).await?;
        }
        if all || shot.face_prompt.is_none() {
            self.show_face(shot, &seen, own).await?;
        }
        Ok(())
    }

    /// Makes `frames` the reference, the image prompt and the faces of `shot`, if it has them and if
    /// so wanted.
    pub(super) async fn show_anew(
        &self,
        shot: &mut Request,
        frames: &ConditionFrames,
        own: &OwnPictures,
        [reference, image_prompt, face]: [bool; 3],
    ) -> Result<()> {
        if reference && shot.reference.is_some() {
            self.show_reference(shot, frames);
        }
        if image_prompt && shot.image_prompt.is_some() {
            self.show_image_prompt(shot, frames, own).await?;
        }
        if face && shot.face_prompt.is_some() {
            self.show_face(shot, frames, own).await?;
        }
        Ok(())
    }

    /// Makes `frames` the reference of `shot`, if the model has a network for it. Of latents it is
    /// the pictures that count, as the VAE decodes them.
    fn show_reference(&self, shot: &mut Request, frames: &ConditionFrames) {
        if self.conditioners.reference_net.is_some() {
            shot.reference = Some(match frames {
                ConditionFrames::Latents(latents) => {
                    ConditionFrames::Latents(self.encode_decoded(latents))
                }
                ConditionFrames::Pictures(_) => frames.clone(),
            });
        }
    }

    /// Makes `frames` the image prompt of `shot`, if the model can see pictures.
    async fn show_image_prompt(
        &self,
        shot: &mut Request,
        frames: &ConditionFrames,
        own: &OwnPictures,
    ) -> Result<()> {
        let adapter = self.conditioners.image_adapter.as_ref();
        if adapter.is_none_or(|adapter| adapter.encoder.is_none()) {
            return Ok(());
        }
        let pictures = PromptPictures::Pictures(self.pictures(frames).await?);
        let (scale, only) = (own.ip_adapter_scale, own.prompt_only_use_image_prompt);
        shot.image_prompt = Some(PicturePrompt { pictures, scale, only });
        Ok(())
    }

    /// Makes the faces in `frames` the face prompt of `shot`, if the model reads faces and `own`
    /// can find them.
    async fn show_face(
        &self,
        shot: &mut Request,
        frames: &ConditionFrames,
        own: &OwnPictures,
    ) -> Result<()> {
        let (Some(finder), Some(_)) = (&own.find_face, &self.conditioners.face_adapter) else {
            return Ok(());
        };
        let embedding = |picture| {
            finder.embedding(picture)?.ok_or_else(|| {
                let reason = "no face is found in a frame that the video goes on from; give a \
                              picture or an embedding of the face, and keep it for all shots";
                Error::request("face-image-path", reason)
            })
        };
        let pictures = self.pictures(frames).await?;
        let embeddings = pictures.iter().map(embedding).collect::<Result<_>>()?;
        shot.face_prompt = Some(FacePrompt { embeddings, scale: own.ip_adapter_face_scale });
        Ok(())
    }

    /// What `frames` show.
    async fn pictures(&self, frames: &ConditionFrames) -> Result<Vec<Frame>> {
        match frames {
            ConditionFrames::Latents(latents) => {
                image_tensor::to_frames(self.decode_latents(latents.clone())).await
            }
            ConditionFrames::Pictures(pictures) => Ok(pictures.clone()),
        }
    }
}
