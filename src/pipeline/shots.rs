//! A video of any number of shots: each continues the end of the one before.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::media::{Video, match_video_to_first_frame};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{
    ConditionFrames, Engine, FirstFrame, OwnPictures, Pipeline, Request, Shot, VisionCondition,
};
use crate::random::Generator;

/// What `text2video` makes: one or several chained shots.
#[derive(Clone, Debug)]
pub struct Text2Video {
    /// The shot that is repeated. Its `vision` is the given condition, if any.
    pub shot: Request,
    /// Number of chained shots. Default 1.
    pub shots: usize,
    /// How a first frame is made, or a given one made anew.
    pub first_frame: FirstFrame,
    /// Whether the given condition image is redrawn before it is animated. Default false.
    pub redraw_condition_image: bool,
    /// Frames carried from shot to shot; 0 for shots without any condition. Default 1.
    pub n_vision_condition: usize,
    /// Whether every shot begins with the given condition instead of the end of the one before.
    /// Default false.
    pub fix_condition_images: bool,
    /// How it looks like the pictures that it begins with and goes on from.
    pub own_pictures: OwnPictures,
    /// Whether the colours of every frame are matched to the first frame's. Default false.
    pub need_hist_match: bool,
    /// Frames a second of the written video. Default 4.
    pub fps: f32,
}

impl Default for Text2Video {
    fn default() -> Self {
        Self {
            shot: Request::default(),
            shots: 1,
            first_frame: FirstFrame::default(),
            redraw_condition_image: false,
            n_vision_condition: 1,
            fix_condition_images: false,
            own_pictures: OwnPictures::default(),
            need_hist_match: false,
            fps: 4.0,
        }
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
        video.check_chain()?;
        let mut fitted = video.fitted_shot();
        self.engine.show_condition(&mut fitted, &video.own_pictures, false).await?;
        let still = video.still(&fitted);
        let (text, still_text) = self.texts(&fitted, still.as_ref(), watch).await?;
        let made = match still.zip(still_text) {
            Some((still, text)) => {
                Some(self.engine.denoise(&still, text, &mut generator, watch).await?)
            }
            None => None,
        };
        let mut shot = self.engine.first_shot(fitted, made, video).await?;
        let mut look = self.engine.look(&shot, &text, watch).await?;
        let mut frames = Vec::new();
        for index in 0..video.shots {
            report(watch, Event::Shot { index, of: video.shots })?;
            let known = (text.clone(), look.clone());
            let done = self.engine.denoise_with(&shot, known, &mut generator, watch).await?;
            let seen = video.seen(index);
            frames.extend(self.engine.decode(&done.without_head(seen), watch).await?);
            if index + 1 < video.shots {
                shot = self.engine.next_shot(shot, &done, video).await?;
                if !video.keeps_look() {
                    look = self.engine.look(&shot, &text, watch).await?;
                }
            }
        }
        let mut made = Video::new(frames, video.fps)?;
        if video.need_hist_match {
            match_video_to_first_frame(&mut made);
        }
        Ok(made)
    }

    /// The text states of the shots, and of what is made before them, if anything.
    pub(super) async fn texts(
        &self,
        shot: &Request,
        still: Option<&Request>,
        watch: &mut dyn Watch,
    ) -> Result<(Tensor<3>, Option<Tensor<3>>)> {
        let asked: Vec<_> = std::iter::once(shot)
            .chain(still)
            .map(|request| (&request.prompt, request.guidance.is_on()))
            .collect();
        let mut texts = self.text_encoder.encode(&asked, &self.engine.device, watch).await?;
        let still = still.and_then(|_| texts.pop());
        let shot = texts.pop().expect("every prompt has its states");
        Ok((shot, still))
    }
}

impl Text2Video {
    /// How many steps the first frame takes, if one is made or redrawn.
    pub fn first_frame_steps(&self) -> usize {
        let redrawn = self.shot.vision.is_some();
        self.first_frame.sampling(self.shot.sampling, redrawn).taken_steps()
    }

    /// Frames at the beginning of shot `index` that the one before has shown.
    pub(crate) fn seen(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.n_vision_condition }
    }

    /// Whether all shots have the pictures of the first.
    pub(crate) fn keeps_look(&self) -> bool {
        self.n_vision_condition == 0 || self.own_pictures.renewed() == [false; 3]
    }

    /// Checks what the chain itself relies on.
    pub(super) fn check_chain(&self) -> Result<()> {
        if self.shots == 0 {
            return Err(Error::request("n-batch", "at least one shot has to be made"));
        }
        if self.shots > 1 && self.n_vision_condition > self.shot.frames {
            let reason = format!(
                "{} frames cannot be carried on from shots of {} (time-size)",
                self.n_vision_condition, self.shot.frames
            );
            return Err(Error::request("n-vision-condition", reason));
        }
        Ok(())
    }

    /// The shot that is repeated, its pictures cropped and resized.
    pub(crate) fn fitted_shot(&self) -> Request {
        let mut shot = self.shot.fitted();
        if self.n_vision_condition == 0 {
            shot.vision = None;
        }
        shot
    }

    /// What is made before the first shot, which is `fitted`, if anything: pictures with the temporal
    /// layers skipped. Those that are redrawn have noise of [`FirstFrame::redraw_strength`] added to them.
    pub(crate) fn still(&self, fitted: &Request) -> Option<Request> {
        let shot = fitted.clone();
        let source = match shot.vision {
            _ if self.n_vision_condition == 0 => return None,
            Some(_) if !self.redraw_condition_image => return None,
            given => given.map(|given| given.frames),
        };
        let frames = source.as_ref().map_or(1, ConditionFrames::len);
        Some(self.first_frame.still(Request { frames, vision: None, ..shot }, source))
    }
}

impl Engine {
    /// The first shot, of a [`Text2Video::fitted_shot`]. Its condition frames are those given or those `made` by
    /// [`Text2Video::still`]; where nothing else is given, they are its reference and image prompt
    /// too.
    pub(crate) async fn first_shot(
        &self,
        mut shot: Request,
        made: Option<Shot>,
        video: &Text2Video,
    ) -> Result<Request> {
        let redrawn = made.is_some() && shot.vision.is_some();
        if let Some(made) = made {
            let given = shot.vision.take();
            if given.is_none() {
                // The generated frame counts as one of the first shot's.
                shot.frames =
                    shot.frames.checked_sub(1).filter(|&rest| rest > 0).ok_or_else(|| {
                        Error::request("time-size", "a video without a picture needs 2 frames")
                    })?;
            }
            shot.vision = Some(VisionCondition {
                frames: ConditionFrames::Latents(made.latents),
                positions: given.map_or_else(Vec::new, |given| given.positions),
            });
        }
        self.show_condition(&mut shot, &video.own_pictures, redrawn).await?;
        Ok(shot)
    }

    /// The shot that follows `done`, which `shot` asked for.
    pub(crate) async fn next_shot(
        &self,
        mut shot: Request,
        done: &Shot,
        video: &Text2Video,
    ) -> Result<Request> {
        shot.frames = video.shot.frames;
        if video.n_vision_condition == 0 {
            return Ok(shot);
        }
        let tail = ConditionFrames::Latents(done.tail(video.n_vision_condition));
        let own = &video.own_pictures;
        self.show_anew(&mut shot, &tail, own, own.renewed()).await?;
        if !video.fix_condition_images {
            shot.vision = Some(VisionCondition { frames: tail, positions: Vec::new() });
        }
        Ok(shot)
    }
}
