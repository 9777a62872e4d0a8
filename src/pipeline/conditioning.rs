//! What a shot goes by: everything that is the same from step to step, made before the first.

use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{
    CLIP_SIZE, Filter, Frame, clip_pixel_values, crop_resize, crop_resize_bilinear,
};
use crate::models::clip::vision::CLIPVisionModelWithProjection;
use crate::models::controlnet::ControlNetModel;
use crate::models::ip_adapter::image_proj::ImageProjModel;
use crate::models::pose_guider::PoseGuider;
use crate::models::referencenet::{ReferenceFeatures, ReferenceNet2D};
use crate::nn::attention::ImagePrompt;
use crate::nn::frames::fold;
use crate::pipeline::engine::{fitted, picture_at};
use crate::pipeline::{Engine, Plan, PromptPictures, Request, Size};

/// The networks of conditions; a model has those that it was trained with.
#[derive(Debug, Default)]
pub struct Conditioners {
    /// For [`Request::reference`].
    pub reference_net: Option<ReferenceNet2D>,
    /// For [`Request::image_prompt`].
    pub image_adapter: Option<ImageAdapter>,
    /// For [`Request::controls`], in their order.
    pub control_nets: Vec<ControlNetModel>,
    /// For [`Request::pose`].
    pub pose_guider: Option<PoseGuider>,
}

/// From pictures to tokens that the denoiser reads like text.
#[derive(Debug)]
pub struct ImageAdapter {
    /// What CLIP sees in a picture; without it only embeddings can be given.
    pub encoder: Option<CLIPVisionModelWithProjection>,
    /// Embeddings to tokens.
    pub projection: ImageProjModel,
}

/// The inputs of the denoiser that no step changes. g is 2 with guidance, the unconditional half
/// first, otherwise 1.
#[derive(Clone, Debug)]
pub(crate) struct Conditioning {
    /// Text states `[g, n, c]`.
    pub(crate) text: Tensor<3>,
    /// Latents of the condition frames `[1, 4, k, h, w]`, scaled, without noise.
    pub(crate) vision: Option<Tensor<5>>,
    /// Tokens `[g, m, c]` of the image prompt.
    pub(crate) image_prompt: Option<ImagePrompt>,
    /// What the ReferenceNet finds, `[g, c, r, h', w']` for every feature.
    pub(crate) reference: Option<ReferenceFeatures>,
    /// [`Request::motion_speed`].
    pub(crate) motion_speed: f64,
    /// What each ControlNet follows.
    pub(crate) controls: Vec<FollowedFrames>,
    /// What the pose guider follows, one for every frame of the clip.
    pub(crate) pose: Vec<Frame>,
}

/// What a ControlNet follows. The frames stay on the CPU: as tensors they would take more room than
/// the latents of the clip, and each window needs few of them.
#[derive(Clone, Debug)]
pub(crate) struct FollowedFrames {
    /// One for every frame of the clip, of its size.
    pub(crate) frames: Vec<Frame>,
    /// How strongly they are followed at each step.
    pub(crate) scales: Vec<f64>,
    pub(crate) guess_mode: bool,
}

impl Conditioners {
    /// Whether the networks that `request` needs are there.
    fn check(&self, request: &Request) -> Result<()> {
        let missing = |option, network: &str| {
            let reason = format!("the model has no {network}, which this picture is for");
            Err(Error::request(option, reason))
        };
        if request.reference.is_some() && self.reference_net.is_none() {
            return missing("refer-image", "ReferenceNet");
        }
        if let Some(prompt) = &request.image_prompt {
            let encoder = self.image_adapter.as_ref().map(|adapter| adapter.encoder.is_some());
            match (encoder, &prompt.pictures) {
                (None, _) => return missing("ipadapter-image", "IP-Adapter"),
                (Some(false), PromptPictures::Pictures(_)) => {
                    return missing("ipadapter-image", "image encoder");
                }
                _ => {}
            }
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
}

impl Engine {
    /// Everything that `request` is to go by in `steps` steps, beside `text`.
    pub(super) fn conditioning(
        &self,
        request: &Request,
        plan: &Plan,
        text: Tensor<3>,
        steps: usize,
    ) -> Result<Conditioning> {
        self.conditioners.check(request)?;
        let vision = request.vision.as_ref().filter(|vision| !vision.frames.is_empty());
        let vision = vision.map(|vision| self.encode(&vision.frames, request.size, picture_at));
        let image_prompt = self.image_prompt(request, plan);
        let tokens = image_prompt.as_ref().map_or(&text, |prompt| &prompt.tokens);
        let reference = self.reference(request, plan, tokens.clone());
        let controls = request.controls.iter().zip(&self.conditioners.control_nets);
        let controls = controls.map(|(control, net)| FollowedFrames {
            frames: video_at(&control.frames, request.size),
            scales: control.interval.factors(steps).iter().map(|on| on * control.scale).collect(),
            guess_mode: control.guess_mode || net.only_guesses(),
        });
        Ok(Conditioning {
            vision,
            image_prompt,
            reference,
            motion_speed: request.motion_speed,
            controls: controls.collect(),
            pose: video_at(&request.pose, request.size),
            text,
        })
    }

    /// The tokens of the image prompt. Those of the unconditional half stand for embeddings of
    /// zeros.
    fn image_prompt(&self, request: &Request, plan: &Plan) -> Option<ImagePrompt> {
        let adapter = self.conditioners.image_adapter.as_ref()?;
        let prompt = request.image_prompt.as_ref()?;
        let embeds = match (&prompt.pictures, &adapter.encoder) {
            (PromptPictures::Embeddings(embeds), _) => embeds.clone().cast(self.dtype),
            (PromptPictures::Pictures(pictures), Some(encoder)) => {
                encoder.forward(self.clip_images(pictures, request.size)).image_embeds
            }
            (PromptPictures::Pictures(_), None) => return None,
        };
        let mut halves = vec![embeds.zeros_like(), embeds];
        let tokens = halves.split_off(2 - plan.guidance_batch()).into_iter().map(|embeds| {
            // The tokens of several pictures follow each other.
            let tokens = adapter.projection.forward(embeds);
            let [pictures, count, channels] = tokens.dims();
            tokens.reshape([1, pictures * count, channels])
        });
        Some(ImagePrompt { tokens: Tensor::cat(tokens.collect(), 0), scale: prompt.scale })
    }

    /// Pictures as CLIP takes them, `[k, 3, 224, 224]`. Like the original this crops twice (quirk
    ///
    fn clip_images(&self, pictures: &[Frame], size: Size) -> Tensor<4> {
        let values = pictures.iter().flat_map(|picture| {
            let picture = fitted(picture, size, picture_at);
            clip_pixel_values(&crop_resize(&picture, size.width, size.height, Filter::Bicubic))
        });
        let shape = [pictures.len(), 3, CLIP_SIZE, CLIP_SIZE];
        let values = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::<4>::from_data(values, &self.device).cast(self.dtype)
    }

    /// What the ReferenceNet finds in the reference pictures: both halves of guidance look at the
    /// same latents, each with its own `tokens` `[g, n, c]`.
    fn reference(
        &self,
        request: &Request,
        plan: &Plan,
        tokens: Tensor<3>,
    ) -> Option<ReferenceFeatures> {
        let net = self.conditioners.reference_net.as_ref()?;
        let pictures = request.reference.as_ref().filter(|pictures| !pictures.is_empty())?;
        let latents = fold(self.encode(pictures, request.size, picture_at));
        let latents = latents.repeat_dim(0, plan.guidance_batch()).cast(self.dtype);
        Some(net.forward(latents, 0.0, tokens.cast(self.dtype), pictures.len()))
    }

    /// The frames of `all` at `places` in order, values in [0, 1], `[places, 3, height, width]`.
    pub(super) fn control_images(&self, all: &[Frame], places: &[usize]) -> Tensor<4> {
        let frames: Vec<Frame> = places.iter().map(|&place| all[place].clone()).collect();
        (image_tensor::from_frames(&frames, &self.device) / 2.0 + 0.5).cast(self.dtype)
    }
}

/// Frames of a video at `size`.
fn video_at(frames: &[Frame], size: Size) -> Vec<Frame> {
    frames.iter().map(|frame| fitted(frame, size, crop_resize_bilinear).into_owned()).collect()
}
