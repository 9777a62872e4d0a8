//! Making a video of another one, chunk by chunk: each continues the end of the one before.

use crate::error::Result;
use crate::media::{Frame, Video, match_video_to_first_frame};
use crate::pipeline::chunks::Chunk;
use crate::pipeline::look::Look;
use crate::pipeline::serial::{Serial, Trace};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{
    ConditionFrames, Pipeline, Request, Shot, Transformed, Video2Video, VisionCondition,
};
use crate::random::Generator;

/// What one chunk hands to the next.
#[derive(Default)]
struct Before {
    done: Option<Shot>,
    /// The map of each network that belongs to the frame the next one begins with.
    maps: Vec<Frame>,
    /// What pictures say to the denoiser.
    look: Look,
    trace: Trace,
}

impl Pipeline {
    /// All chunks, one after the other.
    ///
    /// # Errors
    /// When the request cannot be carried out, the device fails or `watch` breaks.
    pub async fn video2video(
        &self,
        video: &Video2Video,
        watch: &mut dyn Watch,
    ) -> Result<Transformed> {
        video.check()?;
        let chunks = video.chunk_places();
        let sampling = video.base.shot.sampling;
        let mut generator = Generator::new(sampling.rng, sampling.seed);
        let mut shot = self.prepared(video).await?;
        let still = video.makes_still().then(|| video.base.first_frame.still(shot.clone(), None));
        let (text, mut still_text) = self.texts(&shot, still.as_ref(), watch).await?;
        let given = picture(&shot);
        let (mut before, mut kept, mut frames) = (Before::default(), Kept::default(), Vec::new());
        for (index, places) in chunks.iter().enumerate() {
            let first = index == 0;
            let leading = given.as_ref().filter(|_| first && video.picture_comes_before());
            let chunk = video.source.chunk(places, &shot, leading).await?;
            if let Some(text) = still_text.take() {
                let still = video.still(&shot, &chunk);
                let made = self.engine.denoise(&still, text, &mut generator, watch).await?;
                shot = self.begun_by(shot, made, video).await?;
            }
            if let Some(done) = &before.done {
                shot = self.continued(shot, done, video).await?;
            }
            if first || !video.base.keeps_look() {
                before.look = self.engine.look(&shot, &text, watch).await?;
            }
            report(watch, Event::Shot { index, of: chunks.len() })?;
            video.fill(&mut shot, &chunk, (first, &before.maps));
            let known = (text.clone(), before.look.clone());
            let mut serial = Serial::after(std::mem::take(&mut before.trace), video.serial);
            let done =
                self.engine.denoise_serially(&shot, known, &mut generator, &mut serial, watch);
            let done = done.await?;
            let seen = usize::from(!first && video.base.n_vision_condition > 0);
            frames.extend(self.engine.decode(&done.without_head(seen), watch).await?);
            if first || !video.base.fix_condition_images {
                before.maps = video.carried(&chunk);
            }
            before.done = Some(done);
            before.trace = serial.into_trace();
            kept.extend(video, chunk, leading);
        }
        let mut made = Video::new(frames, video.base.fps)?;
        if video.base.need_hist_match {
            match_video_to_first_frame(&mut made);
        }
        kept.beside(made)
    }

    /// The first shot as far as the video has no part in it: pictures cropped and resized. A
    /// condition picture is its reference and image prompt too, where nothing else is given.
    async fn prepared(&self, video: &Video2Video) -> Result<Request> {
        let mut shot = video.base.shot.fitted();
        shot.motion_speed = video.source.sample_rate as f64;
        if let Some(vision) = &mut shot.vision {
            vision.positions.clear();
        }
        self.engine.show_condition(&mut shot, &video.base.own_pictures, false).await?;
        if video.base.n_vision_condition == 0 {
            shot.vision = None;
        }
        Ok(shot)
    }

    /// `shot` with the first frame that was `made` for it; its reference and image prompt, where it
    /// has them, become this frame.
    async fn begun_by(
        &self,
        mut shot: Request,
        made: Shot,
        video: &Video2Video,
    ) -> Result<Request> {
        let frames = ConditionFrames::Latents(made.latents);
        let own = &video.base.own_pictures;
        self.engine.show_anew(&mut shot, &frames, own, [true; 3]).await?;
        shot.vision = Some(VisionCondition { frames, positions: Vec::new() });
        Ok(shot)
    }

    /// The shot after `done`, which `shot` asked for.
    async fn continued(
        &self,
        mut shot: Request,
        done: &Shot,
        video: &Video2Video,
    ) -> Result<Request> {
        if video.base.n_vision_condition == 0 {
            return Ok(shot);
        }
        let tail = ConditionFrames::Latents(done.tail(video.base.n_vision_condition));
        let own = &video.base.own_pictures;
        self.engine.show_anew(&mut shot, &tail, own, own.renewed()).await?;
        if !video.base.fix_condition_images {
            shot.vision = Some(VisionCondition::latents(done.tail(1)));
        }
        Ok(shot)
    }
}

impl Video2Video {
    /// Whether the first chunk has a frame more than the video: the condition picture.
    fn picture_comes_before(&self) -> bool {
        self.base.n_vision_condition > 0 && !self.source.has_condition
    }

    /// Frames to generate in the first chunk; in the others it is all of them.
    fn first_frames(&self) -> usize {
        let given = self.base.n_vision_condition > 0 && self.source.has_condition;
        self.base.shot.frames - usize::from(given)
    }

    /// The maps that belong to the frame with which the chunk after `chunk` begins.
    fn carried(&self, chunk: &Chunk) -> Vec<Frame> {
        let end = |maps: &Vec<Frame>| match self.base.fix_condition_images {
            true => maps.first().cloned(),
            false => maps.last().cloned(),
        };
        chunk.maps.iter().filter_map(end).collect()
    }

    /// The picture that begins the first chunk where it has to be made: with noise alone, or with the
    /// condition picture or else the video's first frame behind the noise.
    fn still(&self, shot: &Request, chunk: &Chunk) -> Request {
        let behind = self.source.need_video2video.then(|| match &shot.vision {
            Some(vision) => vision.frames.clone(),
            None => ConditionFrames::Pictures(chunk.frames[..1].to_vec()),
        });
        let mut shot = shot.clone();
        let maps: Vec<Vec<Frame>> = chunk.maps.iter().map(|maps| maps[..1].to_vec()).collect();
        self.source.follow(&mut shot, &maps);
        shot.frames = 1;
        shot.motion_speed = Request::default().motion_speed;
        self.base.first_frame.still(shot, behind)
    }

    /// What `shot` takes from its chunk: how many frames it makes, what it follows, and what is
    /// behind its noise. A chunk after the first has no map of its condition frame: that is of
    /// the maps `before`.
    fn fill(&self, shot: &mut Request, chunk: &Chunk, (first, before): (bool, &[Frame])) {
        shot.frames = if first { self.first_frames() } else { self.base.shot.frames };
        if first || self.base.n_vision_condition == 0 {
            self.source.follow(shot, &chunk.maps);
        } else {
            let with_first = |(before, maps): (&Frame, &Vec<Frame>)| {
                [std::slice::from_ref(before), maps.as_slice()].concat()
            };
            let maps: Vec<Vec<Frame>> = before.iter().zip(&chunk.maps).map(with_first).collect();
            self.source.follow(shot, &maps);
        }
        shot.sampling = self.source.sampling(shot.sampling);
        let skipped = self.base.shot.frames - shot.frames;
        shot.source = self
            .source
            .need_video2video
            .then(|| ConditionFrames::Pictures(chunk.frames[skipped..].to_vec()));
    }
}

/// The condition picture of `shot`.
fn picture(shot: &Request) -> Option<Frame> {
    match &shot.vision.as_ref()?.frames {
        ConditionFrames::Pictures(pictures) => pictures.first().cloned(),
        ConditionFrames::Latents(_) => None,
    }
}

/// What is kept of the chunks to be shown beside the video.
#[derive(Default)]
struct Kept {
    frames: Vec<Frame>,
    maps: Vec<Vec<Frame>>,
}

impl Kept {
    /// Keeps what `video` wants of a chunk; `leading` is the condition picture that comes before it.
    fn extend(&mut self, video: &Video2Video, chunk: Chunk, leading: Option<&Frame>) {
        if video.need_return_videos {
            // Beside maps the original shows the map of the picture, not the picture.
            let map = chunk.maps.first().filter(|_| video.source.is_middle);
            let leading = leading.map(|picture| map.map_or(picture, |maps| &maps[0]).clone());
            self.frames.extend(leading.into_iter().chain(chunk.frames));
        }
        if video.need_return_condition {
            self.maps.resize_with(chunk.maps.len(), Vec::new);
            for (all, maps) in self.maps.iter_mut().zip(chunk.maps) {
                all.extend(maps);
            }
        }
    }

    fn beside(self, video: Video) -> Result<Transformed> {
        let fps = video.fps;
        let source = (!self.frames.is_empty()).then(|| Video::new(self.frames, fps));
        let controls = self.maps.into_iter().map(|maps| Video::new(maps, fps));
        Ok(Transformed {
            source: source.transpose()?,
            controls: controls.collect::<Result<_>>()?,
            video,
        })
    }
}
