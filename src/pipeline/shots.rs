//! A video of any number of shots: each continues the end of the one before.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::media::{Filter, Video, crop_resize, match_video_to_first_frame};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{
    ConditionFrames, Guidance, Mode, NoiseType, Pipeline, Request, Shot, VisionCondition,
};
use crate::random::Generator;

/// What `text2video` makes: one or several chained shots.
#[derive(Clone, Debug)]
pub struct Text2Video {
    /// The shot that is repeated. Its `vision` is the given condition, if any.
    pub shot: Request,
    /// Number of chained shots.
    pub shots: usize,
    /// How a first frame is made, or a given one made anew.
    pub first_frame: FirstFrame,
    /// Whether the given condition image is redrawn before it is animated.
    pub redraw_condition_image: bool,
    /// Frames carried from shot to shot; 0 for shots without any condition.
    pub n_vision_condition: usize,
    /// Whether every shot begins with the given condition instead of the end of the one before.
    pub fix_condition_images: bool,
    /// Whether the colours of every frame are matched to the first frame's.
    pub need_hist_match: bool,
    /// Frames a second of the written video.
    pub fps: f32,
}

/// How a first frame is made when none is given.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstFrame {
    /// Negative prompt.
    pub negative: String,
    /// Denoising steps.
    pub steps: usize,
    /// Constant guidance scale.
    pub guidance_scale: f64,
}

impl Default for FirstFrame {
    fn default() -> Self {
        Self { negative: String::new(), steps: 30, guidance_scale: 7.5 }
    }
}

impl Pipeline {
    /// All shots, one after the other.
    ///
    /// # Errors
    /// When the request cannot be carried out, the device fails or `watch` breaks.
    pub async fn text2video(&self, video: &Text2Video, watch: &mut dyn Watch) -> Result<Video> {
        let sampling = video.shot.sampling;
        let mut generator = Generator::new(sampling.rng, sampling.seed);
        let mut shot = self.first_shot(video, &mut generator, watch).await?;
        let text = self.text(&shot).await?;
        let mut frames = Vec::new();
        for index in 0..video.shots {
            report(watch, Event::Shot { index, of: video.shots })?;
            let done = self.engine.denoise(&shot, text.clone(), &mut generator, watch).await?;
            let seen = if index == 0 { 0 } else { video.n_vision_condition };
            frames.extend(self.engine.decode(&done.without_head(seen), watch).await?);
            shot = next_shot(shot, &done, video);
        }
        let mut made = Video::new(frames, video.fps)?;
        if video.need_hist_match {
            match_video_to_first_frame(&mut made);
        }
        Ok(made)
    }

    /// The first shot with its condition: given, redrawn or generated.
    async fn first_shot(
        &self,
        video: &Text2Video,
        generator: &mut Generator,
        watch: &mut dyn Watch,
    ) -> Result<Request> {
        let mut shot = video.shot.clone();
        if video.shots == 0 {
            return Err(Error::request("n_batch", "at least one shot has to be made"));
        }
        if video.shots > 1 && video.n_vision_condition > shot.frames {
            let reason = format!("{} frames of {}", video.n_vision_condition, shot.frames);
            return Err(Error::request("n_vision_condition", format!("a shot has no {reason}")));
        }
        if video.n_vision_condition == 0 {
            shot.vision = None;
            return Ok(shot);
        }
        if let Some(VisionCondition { frames: ConditionFrames::Pictures(pictures), .. }) =
            &mut shot.vision
        {
            for picture in pictures {
                *picture = crop_resize(picture, shot.size.width, shot.size.height, Filter::Lanczos);
            }
        }
        match &shot.vision {
            None => {
                let first = self.still(video, None, generator, watch).await?;
                shot.vision = Some(VisionCondition::latents(first));
                // The generated frame counts as one of the first shot's.
                shot.frames =
                    shot.frames.checked_sub(1).filter(|&rest| rest > 0).ok_or_else(|| {
                        Error::request("time_size", "a video without an image needs 2 frames")
                    })?;
            }
            Some(given) if video.redraw_condition_image => {
                let redrawn =
                    self.still(video, Some(given.frames.clone()), generator, watch).await?;
                shot.vision = Some(VisionCondition {
                    frames: ConditionFrames::Latents(redrawn),
                    positions: given.positions.clone(),
                });
            }
            Some(_) => {}
        }
        Ok(shot)
    }

    /// Latents `[1, 4, t, h, w]` of pictures made with the temporal layers skipped. With `source`,
    /// noise of full strength is added to these frames: the original's redraw, whose strength has
    /// no effect (quirk Q-11).
    async fn still(
        &self,
        video: &Text2Video,
        source: Option<ConditionFrames>,
        generator: &mut Generator,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<5>> {
        let mut request = video.shot.clone();
        request.mode = Mode::Image;
        request.vision = None;
        request.frames = source.as_ref().map_or(1, ConditionFrames::len);
        request.source = source;
        request.prompt.negative.clone_from(&video.first_frame.negative);
        request.sampling.steps = video.first_frame.steps;
        request.sampling.noise.noise_type = NoiseType::Random;
        request.guidance =
            Guidance { scale: video.first_frame.guidance_scale, end: None, ..Guidance::default() };
        let text = self.text(&request).await?;
        Ok(self.engine.denoise(&request, text, generator, watch).await?.latents)
    }

    async fn text(&self, request: &Request) -> Result<Tensor<3>> {
        let guidance = request.guidance.is_on();
        self.text_encoder.encode(&request.prompt, guidance, &self.engine.device).await
    }
}

/// The request of the shot that follows `done`.
fn next_shot(mut shot: Request, done: &Shot, video: &Text2Video) -> Request {
    shot.frames = video.shot.frames;
    if video.n_vision_condition > 0 && !video.fix_condition_images {
        shot.vision = Some(VisionCondition::latents(done.tail(video.n_vision_condition)));
    }
    shot
}
