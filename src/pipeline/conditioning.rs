//! What a shot goes by: everything that is the same from step to step, made before the first.

use burn::tensor::Tensor;

use crate::image_tensor;
use crate::media::{Frame, crop_resize_bilinear};
use crate::pipeline::engine::{fitted, picture_at};
use crate::pipeline::look::Look;
use crate::pipeline::{Engine, Request, Size};

/// The inputs of the denoiser that no step changes. g is 2 with guidance, the unconditional half
/// first, otherwise 1.
#[derive(Clone, Debug)]
pub(crate) struct Conditioning {
    /// Text states `[g, n, c]`.
    pub(crate) text: Tensor<3>,
    /// Latents of the condition frames `[1, 4, k, h, w]`, scaled, without noise.
    pub(crate) vision: Option<Tensor<5>>,
    /// What its pictures say.
    pub(crate) look: Look,
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

impl Engine {
    /// Everything that `request` is to go by in `steps` steps, beside `text` and `look`.
    pub(super) fn conditioning(
        &self,
        request: &Request,
        (text, look): (Tensor<3>, Look),
        steps: usize,
    ) -> Conditioning {
        let vision = request.vision.as_ref().filter(|vision| !vision.frames.is_empty());
        let vision = vision.map(|vision| self.encode(&vision.frames, request.size, picture_at));
        let controls = request.controls.iter().zip(&self.conditioners.control_nets);
        let controls = controls.map(|(control, net)| FollowedFrames {
            frames: video_at(&control.frames, request.size),
            scales: control.interval.factors(steps).iter().map(|on| on * control.scale).collect(),
            guess_mode: control.guess_mode || net.only_guesses(),
        });
        let only_pictures = request.image_prompt.as_ref().is_some_and(|prompt| prompt.only)
            && !self.unet.variant().ip_adapter_cross_attn;
        let pictures = look.image_prompt.as_ref().filter(|_| only_pictures);
        Conditioning {
            text: pictures.map_or(text, |prompt| prompt.tokens.clone()),
            vision,
            look,
            motion_speed: request.motion_speed,
            controls: controls.collect(),
            pose: video_at(&request.pose, request.size),
        }
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
