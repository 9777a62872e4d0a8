//! From a task, and what the tasks of a run have in common, to a video that can be made: prompts,
//! pictures, size and length, all checked before any weights are read.

use crate::config::{ModelSettings, NegativePrompts, Task};
use crate::error::{Error, Result};
use crate::media::Frame;
use crate::pipeline::plan::{MAX_SIDE, VAE_SCALE_FACTOR};
use crate::pipeline::{
    ConditionFrames, FacePrompt, FirstFrame, Guidance, PicturePrompt, Plan, PromptPictures,
    Request, Sampling, Size, Text2Video, VisionCondition,
};
use crate::prompt::fill_template;

/// Sides of videos are multiples of this, as in the original.
const SIDE_MULTIPLE: usize = 64;

/// What the tasks of a run have in common; where a task says something else, the task wins.
#[derive(Clone, Debug)]
pub struct TaskDefaults {
    /// The video. Its prompts, size, frames and pictures are set from each task.
    pub video: Text2Video,
    /// How long the video is to be.
    pub length: Length,
    /// Width in pixels; `None` takes the picture's.
    pub width: Option<usize>,
    /// Height in pixels; `None` takes the picture's.
    pub height: Option<usize>,
    /// Factor of both sides.
    pub img_length_ratio: f64,
    /// Negative prompt of a generated or redrawn first frame: a key of the table, or text.
    pub negative_prompt: String,
    /// Negative prompt of the video: a key of the table, or text.
    pub video_negative_prompt: String,
    /// Whether "static video, " goes in front of the video's *negative* prompt, as in the original
    /// (quirk Q-24).
    pub add_static_video_prompt: bool,
    /// What the keys of negative prompts stand for.
    pub negative_prompts: NegativePrompts,
}

/// The pictures of a task, read. Without a reference or an image prompt the condition pictures are
/// that too, if the model has a network for it.
#[derive(Clone, Debug, Default)]
pub struct TaskPictures {
    /// The first frames.
    pub condition: Vec<Frame>,
    /// For the ReferenceNet.
    pub reference: Vec<Frame>,
    /// For the IP-Adapter.
    pub image_prompt: Vec<Frame>,
    /// For the face adapter.
    pub faces: Option<FacePrompt>,
}

/// Nothing but first frames.
impl From<Vec<Frame>> for TaskPictures {
    fn from(condition: Vec<Frame>) -> Self {
        Self { condition, ..Self::default() }
    }
}

/// How the length of a video is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Frames of every shot, given pictures not counted (quirk Q-12 of the original).
    Shot(usize),
    /// Frames of the whole video, given pictures counted: one shot.
    Whole(usize),
}

impl TaskDefaults {
    /// The videos of `task` with its `pictures`: one, or one for each prompt that its template stands
    /// for.
    ///
    /// # Errors
    /// When a value of the task or of the run cannot work.
    pub fn prepare(
        &self,
        task: &Task,
        pictures: impl Into<TaskPictures>,
    ) -> Result<Vec<Text2Video>> {
        let TaskPictures { condition: pictures, reference, image_prompt, faces } = pictures.into();
        let mut video = self.video.clone();
        video.shot.reference =
            (!reference.is_empty()).then_some(ConditionFrames::Pictures(reference));
        video.shot.image_prompt = (!image_prompt.is_empty()).then(|| PicturePrompt {
            pictures: PromptPictures::Pictures(image_prompt),
            scale: video.own_pictures.ip_adapter_scale,
            only: video.own_pictures.prompt_only_use_image_prompt,
        });
        video.shot.face_prompt = faces;
        video.shot.motion_speed = task.motion_speed.unwrap_or(video.shot.motion_speed);
        video.shot.size = self.size(task, pictures.first())?;
        let negative = task.video_negative_prompt.as_ref().unwrap_or(&self.video_negative_prompt);
        video.shot.prompt.negative = self.negative_prompts.prompt(negative)?;
        if self.add_static_video_prompt {
            video.shot.prompt.negative.insert_str(0, "static video, ");
        }
        let negative = task.negative_prompt.as_ref().unwrap_or(&self.negative_prompt);
        video.first_frame.negative = self.negative_prompts.prompt(negative)?;
        let noise = &mut video.shot.sampling.noise;
        noise.w_ind_noise = task.w_ind_noise.unwrap_or(noise.w_ind_noise);
        noise.img_weight = noise.img_weight.map(|weight| task.img_weight.unwrap_or(weight));
        video.redraw_condition_image =
            task.redraw_condition_image.unwrap_or(video.redraw_condition_image);
        let seen = if video.n_vision_condition > 0 { pictures.len() } else { 0 };
        video.shot.frames = self.length.frames_to_make(seen)?;
        video.shot.vision = (!pictures.is_empty()).then(|| VisionCondition {
            positions: task.images.condition_images_index.clone().unwrap_or_default(),
            ..VisionCondition::pictures(pictures)
        });
        video.check()?;
        let with_prompt = |prompt| {
            let mut video = video.clone();
            video.shot.prompt.positive = prompt;
            video
        };
        Ok(prompts(task)?.into_iter().map(with_prompt).collect())
    }

    /// The task's size, else the run's, else the picture's, else 512; scaled, and cut down to whole
    /// multiples of 64.
    fn size(&self, task: &Task, picture: Option<&Frame>) -> Result<Size> {
        let ratio = task.size.img_length_ratio.unwrap_or(self.img_length_ratio);
        if !(ratio.is_finite() && ratio > 0.0) {
            let reason = format!("{ratio} is not a number above 0");
            return Err(Error::request("img-length-ratio", reason));
        }
        let given = &task.size;
        let asked = |wanted: Option<usize>, run: Option<usize>, seen: Option<usize>, otherwise| {
            wanted.or(run).or(seen).unwrap_or(otherwise)
        };
        let default = Size::default();
        let width = asked(given.width, self.width, picture.map(|p| p.width), default.width);
        let height = asked(given.height, self.height, picture.map(|p| p.height), default.height);
        Ok(Size { width: side("width", width, ratio)?, height: side("height", height, ratio)? })
    }
}

fn side(option: &'static str, pixels: usize, ratio: f64) -> Result<usize> {
    let side = (pixels as f64 * ratio) as usize / SIDE_MULTIPLE * SIDE_MULTIPLE;
    if (SIDE_MULTIPLE..=MAX_SIDE).contains(&side) {
        return Ok(side);
    }
    let scaled = if ratio == 1.0 { String::new() } else { format!(" times {ratio}") };
    let reason = format!(
        "{pixels}{scaled} is not between {SIDE_MULTIPLE} and {MAX_SIDE} pixels; a side is cut down \
         to a multiple of {SIDE_MULTIPLE}"
    );
    Err(Error::request(option, reason))
}

/// The prompts of `task`. Only prompts of task files are templates: these come with attributes.
fn prompts(task: &Task) -> Result<Vec<String>> {
    if task.attributes.is_empty() {
        return Ok(vec![task.prompt.clone()]);
    }
    fill_template(&task.prompt, task.template_name.as_deref(), &task.attributes)
}

impl Length {
    /// Frames of a shot that has `pictures` given pictures at its beginning.
    fn frames_to_make(self, pictures: usize) -> Result<usize> {
        let frames = match self {
            Self::Shot(frames) => return Ok(frames),
            Self::Whole(frames) => frames,
        };
        frames.checked_sub(pictures).filter(|&rest| rest > 0).ok_or_else(|| {
            let reason = format!(
                "{frames} leaves no frame to make besides the {pictures} given; ask for at least {}",
                pictures + 1
            );
            Error::request("frames", reason)
        })
    }
}

impl TaskDefaults {
    /// What a model is asked for by its settings alone: a video of `length` in one shot, everything
    /// else as in the original's scripts.
    ///
    /// # Errors
    /// Never with the table of negative prompts that musev is built from.
    pub fn of(settings: &ModelSettings, length: Length) -> Result<Self> {
        let shot = Request {
            sampling: Sampling::of(settings, 0),
            guidance: Guidance::of(settings),
            ..Request::default()
        };
        Ok(Self {
            video: Text2Video {
                shot,
                first_frame: FirstFrame {
                    steps: settings.num_inference_steps,
                    guidance_scale: settings.guidance_scale,
                    ..FirstFrame::default()
                },
                fps: settings.fps as f32,
                ..Text2Video::default()
            },
            length,
            width: settings.width,
            height: settings.height,
            img_length_ratio: 1.0,
            negative_prompt: settings.negative_prompt.clone(),
            video_negative_prompt: settings.negative_prompt.clone(),
            add_static_video_prompt: false,
            negative_prompts: NegativePrompts::builtin()?,
        })
    }
}

impl Text2Video {
    /// Checks what can be checked before a device works.
    ///
    /// # Errors
    /// An [`Error::Request`] naming the option for a value that cannot work.
    pub fn check(&self) -> Result<()> {
        self.check_chain()?;
        let plan = Plan::new(&self.shot, VAE_SCALE_FACTOR)?;
        if let Some(still) = self.still(&self.shot) {
            Plan::new(&still, VAE_SCALE_FACTOR)?;
        }
        if self.shots > 1 && !(self.shot.controls.is_empty() && self.shot.pose.is_empty()) {
            let reason = "frames to follow are those of a single shot";
            return Err(Error::request("n-batch", reason));
        }
        let generated = self.n_vision_condition > 0 && self.shot.vision.is_none();
        if generated && plan.frames < 2 {
            let reason = "a video without a picture needs 2 frames: its first is one of them";
            return Err(Error::request("frames", reason));
        }
        Ok(())
    }
}
