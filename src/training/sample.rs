//! Sheets of pictures that show how far a run is.

use burn::tensor::{Device, FloatDType};

use super::clips::Clips;
use super::model::Denoiser;
use crate::config::{ModelSettings, NegativePrompts};
use crate::error::Result;
use crate::image_tensor;
use crate::media::Frame;
use crate::models::vae::AutoencoderKL;
use crate::pipeline::{
    Conditioners, Engine, Guidance, Request, Sampling, Size, Unwatched, VisionCondition,
};
use crate::prompt::ClipTokenizer;
use crate::random::{Generator, Rng};
use crate::schedulers::SchedulerConfig;

/// Frames beside each other.
const COLUMNS: usize = 8;
/// Clips below each other.
const CLIPS: usize = 4;

/// What a sample needs besides the denoiser.
pub(super) struct Sampler {
    pub(super) vae: AutoencoderKL,
    pub(super) tokenizer: ClipTokenizer,
    pub(super) scheduler: SchedulerConfig,
    /// Steps and guidance of the model.
    pub(super) settings: ModelSettings,
    /// Where the networks are.
    pub(super) device: Device,
}

/// Pictures that are not trained on, and what the autoencoder makes of them below.
pub(super) fn reconstructions(
    vae: &AutoencoderKL,
    clips: &Clips,
    device: &Device,
) -> Result<Frame> {
    let mut rows = Vec::new();
    for chunk in shown(clips, CLIPS * COLUMNS).chunks(COLUMNS) {
        let mut pictures = Vec::new();
        for &clip in chunk {
            let clip = &clips.clips[clip];
            pictures.extend(clips.read(clip.first + clip.frames / 2, 1)?);
        }
        let images = image_tensor::from_frames(&pictures, device);
        let decoded = vae.decode(vae.encode(images).mean);
        let decoded = (decoded / 2.0 + 0.5).clamp(0.0, 1.0);
        rows.push(pictures);
        rows.push(pollster::block_on(image_tensor::to_frames(decoded))?);
    }
    Ok(sheet(&rows))
}

impl Sampler {
    /// What `model` makes of the picture `first` and a prompt with `seed`: the condition frame as
    /// decoded, then `frames` frames.
    pub(super) fn clip(
        &self,
        model: &Denoiser,
        (first, prompt): (&Frame, &str),
        (frames, seed): (usize, u64),
    ) -> Result<Vec<Frame>> {
        let guidance = Guidance::of(&self.settings);
        let negative = NegativePrompts::builtin()?.prompt(&self.settings.negative_prompt)?;
        let negative = guidance.is_on().then_some(negative.as_str());
        let text = model.prompt(&self.tokenizer, (prompt, negative), &self.device)?;
        let engine = Engine {
            vae: self.vae.clone(),
            unet: model.unet.clone(),
            conditioners: Conditioners::default(),
            dtype: FloatDType::F32,
            scheduler: self.scheduler.clone(),
            device: self.device.clone(),
        };
        let request = Request {
            size: Size { width: first.width, height: first.height },
            frames,
            sampling: Sampling::of(&self.settings, seed),
            guidance,
            vision: Some(VisionCondition::pictures(vec![first.clone()])),
            ..Request::default()
        };
        let mut generator = Generator::new(Rng::TorchCpu, seed);
        pollster::block_on(async {
            let shot = engine.denoise(&request, text, &mut generator, &mut Unwatched).await?;
            engine.decode(&shot, &mut Unwatched).await
        })
    }

    /// Clips that are not trained on, and below each what the denoiser makes of its first frame.
    pub(super) fn sheet(&self, model: &Denoiser, clips: &Clips, frames: usize) -> Result<Frame> {
        let mut rows = Vec::new();
        for clip in shown(clips, CLIPS) {
            let clip = &clips.clips[clip];
            let real = clips.read(clip.first, clip.frames.min(frames + 1))?;
            let made = self.clip(model, (&real[0], &clip.caption), (frames, 0))?;
            rows.push(spread(&real));
            rows.push(spread(&made));
        }
        Ok(sheet(&rows))
    }
}

/// Clips that are not trained on, evenly over the set; training clips where there are no others.
fn shown(clips: &Clips, count: usize) -> Vec<usize> {
    let from = if clips.held_out.is_empty() { &clips.training } else { &clips.held_out };
    (0..count.min(from.len())).map(|i| from[i * from.len() / count.min(from.len())]).collect()
}

/// As many frames as a sheet has columns, evenly over the clip.
pub(super) fn spread(frames: &[Frame]) -> Vec<Frame> {
    let last = frames.len().saturating_sub(1);
    (0..COLUMNS).map(|i| frames[i * last / (COLUMNS - 1)].clone()).collect()
}

/// Rows of pictures below each other.
pub(super) fn sheet(rows: &[Vec<Frame>]) -> Frame {
    let side = rows.first().and_then(|row| row.first()).map_or(1, |frame| frame.width);
    let mut picture = Frame::filled(COLUMNS * side, rows.len().max(1) * side, [255; 3]);
    for (y, row) in rows.iter().enumerate() {
        for (x, frame) in row.iter().enumerate() {
            picture.paste(frame, x * side, y * side);
        }
    }
    picture
}
