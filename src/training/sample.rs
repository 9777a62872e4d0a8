//! Sheets of pictures that show how far a run is.

use burn::tensor::{Device, FloatDType, Tensor};

use super::clips::Clips;
use crate::error::Result;
use crate::image_tensor;
use crate::media::Frame;
use crate::models::unet_3d::UNet3DConditionModel;
use crate::models::vae::AutoencoderKL;
use crate::pipeline::{
    Engine, Guidance, Prompt, Request, Sampling, Size, Unwatched, VisionCondition,
};
use crate::random::{Generator, Rng};
use crate::schedulers::EulerDiscreteSchedulerConfig;

/// Frames beside each other.
const COLUMNS: usize = 8;
/// Clips below each other.
const CLIPS: usize = 4;
/// Steps of a sample.
const STEPS: usize = 20;
/// Guidance of a sample.
const GUIDANCE: f64 = 2.0;

/// What a sample needs besides the denoiser.
pub(super) struct Sampler {
    pub(super) vae: AutoencoderKL,
    pub(super) scheduler: EulerDiscreteSchedulerConfig,
}

/// Pictures that are not trained on, and what the autoencoder makes of them below.
pub(super) fn reconstructions(vae: &AutoencoderKL, clips: &Clips) -> Result<Frame> {
    let mut rows = Vec::new();
    for chunk in shown(clips, CLIPS * COLUMNS).chunks(COLUMNS) {
        let mut pictures = Vec::new();
        for &clip in chunk {
            let clip = &clips.clips[clip];
            pictures.extend(clips.read(clip.first + clip.frames / 2, 1)?);
        }
        let images = image_tensor::from_frames(&pictures, &Device::flex());
        let decoded = vae.decode(vae.encode(images).mean);
        let decoded = (decoded / 2.0 + 0.5).clamp(0.0, 1.0);
        rows.push(pictures);
        rows.push(pollster::block_on(image_tensor::to_frames(decoded))?);
    }
    Ok(sheet(&rows))
}

impl Sampler {
    /// Clips that are not trained on, and below each what the denoiser makes of its first frame.
    /// `states` tells the text states of a prompt, the negative one first.
    pub(super) fn sheet(
        self: &Sampler,
        unet: &UNet3DConditionModel,
        clips: &Clips,
        frames: usize,
        states: &dyn Fn(&Prompt) -> Result<Tensor<3>>,
    ) -> Result<Frame> {
        let engine = Engine {
            vae: self.vae.clone(),
            unet: unet.clone(),
            dtype: FloatDType::F32,
            scheduler: self.scheduler.clone(),
            device: Device::flex(),
        };
        let size = Size { width: clips.size, height: clips.size };
        let mut rows = Vec::new();
        for clip in shown(clips, CLIPS) {
            let clip = &clips.clips[clip];
            let real = clips.read(clip.first, clip.frames.min(frames + 1))?;
            let prompt = Prompt { positive: clip.caption.clone(), negative: String::new() };
            let text = states(&prompt)?;
            let request = Request {
                prompt,
                size,
                frames,
                sampling: Sampling { steps: STEPS, ..Sampling::default() },
                guidance: Guidance { scale: GUIDANCE, ..Guidance::default() },
                vision: Some(VisionCondition::pictures(real[..1].to_vec())),
                ..Request::default()
            };
            let mut generator = Generator::new(Rng::TorchCpu, 0);
            let shot =
                pollster::block_on(engine.denoise(&request, text, &mut generator, &mut Unwatched))?;
            let made = pollster::block_on(engine.decode(&shot, &mut Unwatched))?;
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
fn spread(frames: &[Frame]) -> Vec<Frame> {
    let last = frames.len().saturating_sub(1);
    (0..COLUMNS).map(|i| frames[i * last / (COLUMNS - 1)].clone()).collect()
}

fn sheet(rows: &[Vec<Frame>]) -> Frame {
    let side = rows.first().and_then(|row| row.first()).map_or(1, |frame| frame.width);
    let mut picture = Frame::filled(COLUMNS * side, rows.len().max(1) * side, [255; 3]);
    for (y, row) in rows.iter().enumerate() {
        for (x, frame) in row.iter().enumerate() {
            picture.paste(frame, x * side, y * side);
        }
    }
    picture
}
