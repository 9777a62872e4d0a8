//! First frames that have to be made: pictures, with the temporal layers skipped.

use crate::pipeline::{ConditionFrames, Guidance, Mode, NoiseType, Request, Sampling};

/// How a first frame is made when none is given.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstFrame {
    /// Negative prompt.
    pub negative: String,
    /// Denoising steps.
    pub steps: usize,
    /// Constant guidance scale.
    pub guidance_scale: f64,
    /// [`Sampling::strength`](crate::Sampling::strength) with which a given one is redrawn.
    /// Default 1, as the original redraws.
    pub redraw_strength: f64,
    /// Whether it takes its look from the shot's given reference. Default true.
    pub with_reference: bool,
    /// Whether it goes by the shot's given image prompt. Default true.
    pub with_image_prompt: bool,
    /// Whether it goes by the shot's faces. Default true.
    pub with_face: bool,
}

impl Default for FirstFrame {
    fn default() -> Self {
        Self {
            negative: String::new(),
            steps: 30,
            guidance_scale: 7.5,
            redraw_strength: 1.0,
            with_reference: true,
            with_image_prompt: true,
            with_face: true,
        }
    }
}

impl FirstFrame {
    /// What `sampling` of a video is for its first frame, which is made or `redrawn`.
    pub(super) fn sampling(&self, sampling: Sampling, redrawn: bool) -> Sampling {
        let strength = if redrawn { self.redraw_strength } else { 1.0 };
        Sampling { steps: self.steps, strength, ..sampling }
    }

    /// The pictures that begin `shot`, as many as its frames, with `source` behind the noise.
    pub(super) fn still(&self, shot: Request, source: Option<ConditionFrames>) -> Request {
        let mut still = Request {
            mode: Mode::Image,
            vision: None,
            source,
            guidance: Guidance { scale: self.guidance_scale, end: None, ..Guidance::default() },
            reference: shot.reference.filter(|_| self.with_reference),
            image_prompt: shot.image_prompt.filter(|_| self.with_image_prompt),
            face_prompt: shot.face_prompt.filter(|_| self.with_face),
            ..shot
        };
        still.prompt.negative.clone_from(&self.negative);
        still.sampling = self.sampling(still.sampling, still.source.is_some());
        still.sampling.noise.noise_type = NoiseType::Random;
        // The frames that the video follows begin with those of its first frames.
        let followed = still.controls.iter_mut().map(|control| &mut control.frames);
        for frames in followed.chain([&mut still.pose]) {
            frames.truncate(still.frames);
        }
        still
    }
}
