//! The networks that shots go by, beside text encoder, autoencoder and denoiser.

use crate::error::{Error, Result};
use crate::models::clip::vision::CLIPVisionModelWithProjection;
use crate::models::controlnet::ControlNetModel;
use crate::models::ip_adapter::face_id::FaceIDProjModel;
use crate::models::ip_adapter::image_proj::ImageProjModel;
use crate::models::ip_adapter::resampler::Resampler;
use crate::models::pose_guider::PoseGuider;
use crate::models::referencenet::ReferenceNet2D;
use crate::models::unet_3d::UNet3DVariant;
use crate::pipeline::slot::Slot;
use crate::pipeline::{PicturePrompt, PromptPictures, Request};

/// The networks of conditions; a model has those that it was trained with.
#[derive(Debug, Default)]
pub struct Conditioners {
    /// For [`Request::reference`].
    pub reference_net: Option<Slot<ReferenceNet2D>>,
    /// For [`Request::image_prompt`].
    pub image_adapter: Option<ImageAdapter>,
    /// For [`Request::face_prompt`].
    pub face_adapter: Option<Slot<FaceIDProjModel>>,
    /// For [`Request::controls`], in their order.
    pub control_nets: Vec<ControlNetModel>,
    /// For [`Request::pose`].
    pub pose_guider: Option<PoseGuider>,
}

/// From pictures to tokens that the denoiser reads like text.
#[derive(Debug)]
pub struct ImageAdapter {
    /// What CLIP sees in a picture; without it only embeddings can be given.
    pub encoder: Option<Slot<CLIPVisionModelWithProjection>>,
    /// From there to tokens.
    pub projection: ImageProjection,
}

/// From what CLIP sees in a picture to tokens.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a model")]
pub enum ImageProjection {
    /// None: its embedding is the token, which can only stand in place of the words
    /// ([`PicturePrompt::only`]).
    None,
    /// Of its embedding.
    Whole(Slot<ImageProjModel>),
    /// Of its patches (IP-Adapter Plus).
    Patches(Slot<Resampler>),
}

impl Conditioners {
    /// Whether the networks that `request` needs are there, for a denoiser of `variant`.
    pub(super) fn check(&self, request: &Request, variant: UNet3DVariant) -> Result<()> {
        if request.reference.is_some() && self.reference_net.is_none() {
            return missing("refer-image", "ReferenceNet");
        }
        if let Some(prompt) = &request.image_prompt {
            self.check_image_prompt(prompt, variant)?;
        }
        if request.face_prompt.is_some() && self.face_adapter.is_none() {
            return missing("face-embedding", "face adapter");
        }
        let (nets, controls) = (self.control_nets.len(), request.controls.len());
        if controls != 0 && controls != nets {
            let reason = format!("{controls} videos to follow for {nets} ControlNets");
            return Err(Error::request("controlnet", reason));
        }
        if !request.pose.is_empty() && self.pose_guider.is_none() {
            return missing("pose-guider", "pose guider");
        }
        Ok(())
    }

    fn check_image_prompt(&self, prompt: &PicturePrompt, variant: UNet3DVariant) -> Result<()> {
        let option = "ipadapter-image";
        let Some(adapter) = &self.image_adapter else { return missing(option, "IP-Adapter") };
        let has_branch = variant.ip_adapter_cross_attn;
        if !has_branch && !prompt.only {
            let reason = "the motion model has no branch for pictures; take one that was trained \
                          with it, as musev_referencenet, or let them replace the words \
                          (prompt-only-use-image-prompt)";
            return Err(Error::request(option, reason));
        }
        match (&adapter.projection, &prompt.pictures) {
            (_, PromptPictures::Pictures(_)) if adapter.encoder.is_none() => {
                missing(option, "image encoder")
            }
            (ImageProjection::None, _) if has_branch => missing(option, "IP-Adapter"),
            (ImageProjection::Patches(_), PromptPictures::Embeddings(_)) => {
                let reason = "the IP-Adapter reads the patches of pictures, not an embedding";
                Err(Error::request(option, reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether some of them are loaded for each use, so that there is room to give back.
    pub(super) fn are_emptied(&self) -> bool {
        let adapter = self.image_adapter.as_ref().and_then(|adapter| adapter.encoder.as_ref());
        self.reference_net.as_ref().is_some_and(Slot::is_emptied)
            || adapter.is_some_and(Slot::is_emptied)
    }
}

fn missing(option: &'static str, network: &str) -> Result<()> {
    let reason = format!("the model has no {network}, which this picture is for");
    Err(Error::request(option, reason))
}
