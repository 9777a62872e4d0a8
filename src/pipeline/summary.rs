//! The settings of a video as JSON, for the comment of its file.

use serde_json::{Map, Value, json};

use crate::detectors::DetectorKind;
use crate::pipeline::{Request, Text2Video, Video2Video};

impl Request {
    /// The settings of a shot; `model` is the model's name.
    fn summary(&self, model: &str) -> Map<String, Value> {
        let sampling = &self.sampling;
        let settings = json!({
            "musev": env!("CARGO_PKG_VERSION"),
            "model": model,
            "prompt": self.prompt.positive,
            "negative_prompt": self.prompt.negative,
            "width": self.size.width,
            "height": self.size.height,
            "frames": self.frames,
            "steps": sampling.steps,
            "scheduler": sampling.scheduler,
            "eta": sampling.eta,
            "video_guidance_scale": self.guidance.scale,
            "image_guidance_scale": self.guidance.image_scale,
            "image_guidance_scale_end": self.guidance.image_end,
            "motion_guidance_scale": self.guidance.motion_scale,
            "img_weight": sampling.noise.img_weight,
            "keep_img_weight": sampling.noise.keep_img_weight,
            "s_noise": sampling.noise.s_noise,
            "w_ind_noise": sampling.noise.w_ind_noise,
            "seed": sampling.seed,
            "rng": sampling.rng,
        });
        match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }
}

impl Text2Video {
    /// The settings as JSON, for the comment of the video's file. `model` is the model's name.
    pub fn summary(&self, model: &str) -> String {
        let mut summary = self.shot.summary(model);
        summary.insert("shots".to_owned(), self.shots.into());
        summary.insert("fps".to_owned(), self.fps.into());
        Value::Object(summary).to_string()
    }
}

impl Video2Video {
    /// The settings as JSON, for the comment of the video's file. `model` is the model's name.
    pub fn summary(&self, model: &str) -> String {
        let controls = &self.source.controls;
        let mut summary = self.base.shot.summary(model);
        summary.extend([
            ("chunks".to_owned(), self.chunk_count().into()),
            ("fps".to_owned(), self.base.fps.into()),
            ("sample_rate".to_owned(), self.source.sample_rate.into()),
            ("need_video2video".to_owned(), self.source.need_video2video.into()),
            ("source_strength".to_owned(), self.source.strength.into()),
            (
                "controlnet_name".to_owned(),
                controls
                    .iter()
                    .map(|control| control.kind.name())
                    .chain(self.source.pose.map(DetectorKind::name))
                    .collect(),
            ),
            (
                "controlnet_conditioning_scale".to_owned(),
                controls.iter().map(|control| control.scale).collect(),
            ),
        ]);
        Value::Object(summary).to_string()
    }
}
