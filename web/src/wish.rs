//! What the visitor asks for.

use musev::{
    Length, ModelSettings, Result, SchedulerKind, Task, TaskDefaults, Text2Video, Window,
    WindowSchedule,
};
use serde::Deserialize;

use crate::picture::Picture;

/// The form of the page. What it leaves out is the model's to say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wish {
    prompt: String,
    #[serde(default)]
    negative_prompt: Option<String>,
    seconds: f64,
    #[serde(default)]
    fps: Option<f64>,
    #[serde(default)]
    width: Option<usize>,
    #[serde(default)]
    height: Option<usize>,
    #[serde(default)]
    steps: Option<usize>,
    #[serde(default)]
    guidance: Option<f64>,
    #[serde(default)]
    scheduler: Option<SchedulerKind>,
    seed: u64,
    #[serde(default)]
    pub(crate) preview: bool,
    #[serde(default)]
    closed_loop: bool,
}

impl Wish {
    pub(crate) fn parse(json: &str) -> std::result::Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The video that is asked for.
    ///
    /// # Errors
    /// Names the setting that cannot work.
    pub(crate) fn video(
        &self,
        model: &ModelSettings,
        picture: Option<Picture>,
    ) -> Result<Text2Video> {
        let fps = self.fps.unwrap_or(model.fps);
        let negative_prompt = self.negative_prompt.as_ref().unwrap_or(&model.negative_prompt);
        let settings = ModelSettings {
            width: self.width.or(model.width),
            height: self.height.or(model.height),
            fps,
            steps: self.steps.unwrap_or(model.steps),
            scheduler: self.scheduler.unwrap_or(model.scheduler),
            video_guidance_scale: self.guidance.unwrap_or(model.video_guidance_scale),
            // For the video and for a first frame that is made, as --negative-prompt.
            negative_prompt: negative_prompt.clone(),
            ..model.clone()
        };
        // As many frames as the picture, which the video begins with, and one at least.
        let frames = ((self.seconds * fps).round() as usize).max(2);
        let mut defaults = TaskDefaults::of(&settings, Length::Whole(frames))?;
        if self.closed_loop {
            defaults.video.shot.window =
                Window { schedule: WindowSchedule::Uniform, ..Window::default() };
        }
        defaults.video.shot.sampling.seed = self.seed;
        let task = Task { prompt: self.prompt.clone(), ..Task::default() };
        let pictures: Vec<_> = picture.into_iter().map(|picture| picture.frame).collect();
        Ok(defaults.prepare(&task, pictures)?.remove(0))
    }
}
