//! What a caller asks for: small structs, each with the defaults of the original's scripts.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::config::ModelSettings;
use crate::media::{Filter, Frame, crop_resize};
use crate::models::unet_3d::UNet3DConditions;
use crate::pipeline::{Control, Guidance, Noise, Window};
use crate::random::Rng;
use crate::schedulers::SchedulerKind;

/// One shot: a clip denoised as a whole, in overlapping windows.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to show, and what not.
    pub prompt: Prompt,
    /// Size of the video in pixels.
    pub size: Size,
    /// Frames to generate, condition frames not counted.
    pub frames: usize,
    /// Steps and noise.
    pub sampling: Sampling,
    /// Classifier-free guidance.
    pub guidance: Guidance,
    /// How the clip is cut into overlapping windows.
    pub window: Window,
    /// The frames that the clip continues, or none.
    pub vision: Option<VisionCondition>,
    /// The frames that the noise is added to, as many as `frames`; `None` begins with noise alone.
    pub source: Option<ConditionFrames>,
    /// Whether the motion module takes part, or every frame is a picture of its own.
    pub mode: Mode,
    /// How many frames of a real video lie between two frames of this one; only the ReferenceNet
    /// variants know it. Default 8.
    pub motion_speed: f64,
    /// Pictures whose look the clip takes by way of a ReferenceNet, or none.
    pub reference: Option<ConditionFrames>,
    /// Pictures that are read like words, or none.
    pub image_prompt: Option<PicturePrompt>,
    /// Faces that are read like words, or none.
    pub face_prompt: Option<FacePrompt>,
    /// What the ControlNets follow: one for each of them, or none at all.
    pub controls: Vec<Control>,
    /// What the pose guider follows: pictures as in [`Control::frames`], or none.
    pub pose: Vec<Frame>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            prompt: Prompt::default(),
            size: Size::default(),
            frames: 0,
            sampling: Sampling::default(),
            guidance: Guidance::default(),
            window: Window::default(),
            vision: None,
            source: None,
            mode: Mode::default(),
            motion_speed: UNet3DConditions::default().motion_speed,
            reference: None,
            image_prompt: None,
            face_prompt: None,
            controls: Vec::new(),
            pose: Vec::new(),
        }
    }
}

impl Request {
    /// The same, its pictures cropped and resized: also those that have its size already, which then
    /// lose their last row or column (quirk Q-9).
    pub(super) fn fitted(&self) -> Self {
        let mut shot = self.clone();
        let Size { width, height } = shot.size;
        let fit = |pictures: &mut Vec<Frame>| {
            for picture in pictures {
                *picture = crop_resize(picture, width, height, Filter::Lanczos);
            }
        };
        let given = shot.vision.iter_mut().map(|vision| &mut vision.frames);
        for frames in given.chain(&mut shot.reference) {
            if let ConditionFrames::Pictures(pictures) = frames {
                fit(pictures);
            }
        }
        if let Some(PicturePrompt { pictures: PromptPictures::Pictures(pictures), .. }) =
            &mut shot.image_prompt
        {
            fit(pictures);
        }
        shot
    }
}

/// Positive and negative prompt, with weights in parentheses: `(red hair:1.3)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// What the video shows.
    pub positive: String,
    /// What it must not show.
    pub negative: String,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { width: 512, height: 512 }
    }
}

/// Steps and noise of one shot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Denoising steps.
    pub steps: usize,
    /// Which sampler takes them.
    pub scheduler: SchedulerKind,
    /// DDIM: share of fresh noise in every step, 0 to 1.
    pub eta: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Which generator turns the seed into noise.
    pub rng: Rng,
    /// How the initial noise is mixed.
    pub noise: Noise,
    /// How much of given [`Request::source`] frames is made anew, above 0 and up to 1: this share of
    /// the steps is taken, the last ones, from frames with as much noise as the first of them
    /// expects. Default 1: every step, from nearly nothing but noise, as the original does whatever
    /// strength it is told (quirk Q-11).
    pub strength: f64,
}

impl Sampling {
    /// What suits a model, with the noise of `seed`.
    pub fn of(settings: &ModelSettings, seed: u64) -> Self {
        let noise = Noise {
            w_ind_noise: settings.w_ind_noise,
            img_weight: Some(settings.img_weight),
            keep_img_weight: settings.keep_img_weight,
            s_noise: settings.s_noise,
            ..Noise::default()
        };
        let ModelSettings { steps, scheduler, .. } = *settings;
        Self { steps, scheduler, seed, noise, ..Self::default() }
    }

    /// How many steps are taken of given frames: `strength` of all, rounded down as diffusers does.
    pub fn taken_steps(&self) -> usize {
        (self.steps as f64 * self.strength) as usize
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            steps: 10,
            scheduler: SchedulerKind::default(),
            eta: 0.0,
            seed: 0,
            rng: Rng::default(),
            noise: Noise::default(),
            strength: 1.0,
        }
    }
}

/// Frames that stay as they are and that every window attends to.
#[derive(Clone, Debug)]
pub struct VisionCondition {
    /// The frames.
    pub frames: ConditionFrames,
    /// Their positions among all frames of the clip, -1 being the last; empty for the beginning.
    pub positions: Vec<i64>,
}

/// Frames given to the pipeline, as pictures or already encoded.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one stands for a whole shot")]
pub enum ConditionFrames {
    /// Pictures, cropped and resized to the request's size.
    Pictures(Vec<Frame>),
    /// Latents `[1, 4, k, h, w]` of the VAE, scaled: the end of the shot before.
    Latents(Tensor<5>),
}

impl ConditionFrames {
    /// Number of frames.
    pub fn len(&self) -> usize {
        match self {
            Self::Pictures(frames) => frames.len(),
            Self::Latents(latents) => latents.dims()[2],
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl VisionCondition {
    /// Pictures that the clip begins with.
    pub fn pictures(frames: Vec<Frame>) -> Self {
        Self { frames: ConditionFrames::Pictures(frames), positions: Vec::new() }
    }

    /// Latents `[1, 4, k, h, w]` that the clip begins with.
    pub fn latents(latents: Tensor<5>) -> Self {
        Self { frames: ConditionFrames::Latents(latents), positions: Vec::new() }
    }
}

/// Pictures that are read like words (IP-Adapter).
#[derive(Clone, Debug)]
pub struct PicturePrompt {
    /// At least one picture.
    pub pictures: PromptPictures,
    /// How much they count beside the words. Default 1.
    pub scale: f64,
    /// Whether they stand in place of the words, where the denoiser has no branch to read them beside
    /// the words. Default false.
    pub only: bool,
}

impl PicturePrompt {
    /// Counts as much as the words.
    pub fn new(pictures: PromptPictures) -> Self {
        Self { pictures, scale: 1.0, only: false }
    }
}

/// Faces that are read like words (IP-Adapter FaceID).
#[derive(Clone, Debug)]
pub struct FacePrompt {
    /// Whose faces they are: ArcFace's normalised embedding of each.
    pub embeddings: Vec<Vec<f32>>,
    /// How much they count beside the words. Default 1.
    pub scale: f64,
}

/// Pictures of a prompt, as they are or as CLIP sees them.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one stands for a whole shot")]
pub enum PromptPictures {
    /// Pictures, cropped and resized to the request's size and then to CLIP's.
    Pictures(Vec<Frame>),
    /// CLIP's embeddings of k pictures, `[k, clip_embeddings_dim]`.
    Embeddings(Tensor<2>),
}

impl PromptPictures {
    /// Number of pictures.
    pub fn len(&self) -> usize {
        match self {
            Self::Pictures(pictures) => pictures.len(),
            Self::Embeddings(embeddings) => embeddings.dims()[0],
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether the motion module takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A video.
    #[default]
    Video,
    /// Pictures: temporal layers are skipped.
    Image,
}
