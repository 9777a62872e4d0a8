//! The clips as latents, encoded once.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, f16};
use rayon::prelude::*;

use super::Told;
use super::clips::{Clip, Clips};
use super::config::DenoiserConfig;
use super::draw::Draw;
use super::views::{DRIFTING, View};
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{Frame, write_file};
use crate::models::vae::AutoencoderKL;

/// Frames read at once.
const AT_ONCE: usize = 16;
/// Clips that kept latents are tried on.
const TRIED: usize = 16;

/// Latents of every frame of a set, in its order, of each from all its views.
pub(super) struct Latents {
    values: Vec<f16>,
    views: usize,
    /// `[c, h, w]` of one frame.
    shape: [usize; 3],
}

/// Clips of one update.
pub(super) struct Batch {
    /// `[b, c, 1 + t, h, w]`: the condition frame, then the clip; of pictures `[b, c, 1, h, w]`.
    pub(super) clean: Tensor<5>,
    /// What each clip shows.
    pub(super) captions: Vec<String>,
}

impl Latents {
    /// The latents of all frames of `clips`, for training by `config`, made with `vae`, which is on
    /// `device`, unless that was done before. `told` hears how many frames are encoded.
    ///
    /// # Errors
    /// When a file cannot be read or written, or `told` wants no more.
    pub(super) fn open(
        clips: &Clips,
        config: &DenoiserConfig,
        (vae, device): (&AutoencoderKL, &Device),
        (cache, told): (&Path, &mut Told),
    ) -> Result<Self> {
        let views = config.views;
        let side = clips.size / vae.downscale();
        let shape = [vae.latent_channels(), side, side];
        let path = cache.join("latents.bin");
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
            let values: Vec<f16> = bytemuck::pod_collect_to_vec(&bytes);
            let of_frame = views * shape.iter().product::<usize>();
            if values.len() == clips.total_frames() * of_frame
                && are_of(&values, (clips, views), (vae, device))?
            {
                return Ok(Self { values, views, shape });
            }
        }
        let values = encode_all((clips, views), (vae, device), told)?;
        write_file(&path, bytemuck::cast_slice(&values))?;
        Ok(Self { values, views, shape })
    }

    /// Random clips that are trained on, as the pipeline will ask for them; with `pictures` their first
    /// frames alone.
    pub(super) fn clips(
        &self,
        clips: &Clips,
        config: &DenoiserConfig,
        (count, pictures, draw): (usize, bool, &mut Draw),
        device: &Device,
    ) -> Batch {
        let [c, h, w] = self.shape;
        let least = config.min_frames.unwrap_or(config.frames);
        let length = 1 + least + draw.below(config.frames - least + 1);
        let mut captions = Vec::with_capacity(count);
        let mut values = Vec::with_capacity(count * length * c * h * w);
        for _ in 0..count {
            let clip = &clips.clips[clips.training[draw.below(clips.training.len())]];
            let speed = draw.below(config.strides.len());
            let shape = [length - 1, config.strides[speed]];
            let frames = choose(clip.frames, shape, config.distant_condition, draw);
            let backwards = draw.happens(config.reversed_share);
            let view = if pictures { 0 } else { draw.below(self.views) };
            captions.push(caption(clip, config, (speed, view > 0), draw));
            let places = frames.iter().map(|&at| {
                let at = if backwards { clip.frames - 1 - at } else { at };
                self.views * (clip.first + at) + view
            });
            self.extend_with(&mut values, places);
        }
        // Frames first in memory, channels first in the tensor.
        let clean = TensorData::new(values, [count, length, c, h, w]);
        let clean = Tensor::<5>::from_data(clean, device).swap_dims(1, 2);
        Batch { clean: if pictures { clean.narrow(2, 1, 1) } else { clean }, captions }
    }

    fn extend_with(&self, values: &mut Vec<f32>, places: impl Iterator<Item = usize>) {
        let size = self.shape.iter().product::<usize>();
        for place in places {
            let latents = &self.values[place * size..(place + 1) * size];
            values.extend(latents.iter().map(|value| value.to_f32()));
        }
    }
}

/// The condition frame and `count` frames, `stride` apart, of a clip of `available`. Only clips that are
/// too short begin again: of the others an end meets a beginning that it does not belong to.
fn choose(
    available: usize,
    [count, stride]: [usize; 2],
    distant_condition: f64,
    draw: &mut Draw,
) -> Vec<usize> {
    let needed = count * stride + 1;
    let first = if needed <= available {
        stride + draw.below(available - needed + 1)
    } else {
        draw.below(available)
    };
    let condition = if draw.happens(distant_condition) {
        draw.below(available)
    } else {
        first + available - stride % available
    };
    let frames = (0..count).map(|i| first + i * stride);
    std::iter::once(condition).chain(frames).map(|frame| frame % available).collect()
}

/// The words for a clip at a speed, which drifts or does not; none at all for some clips.
fn caption(
    clip: &Clip,
    config: &DenoiserConfig,
    (speed, drifts): (usize, bool),
    draw: &mut Draw,
) -> String {
    if draw.happens(config.text_dropout) {
        return String::new();
    }
    let mut words = if draw.happens(config.stride_word_dropout) {
        clip.caption.clone()
    } else {
        config.prompt(&clip.caption, speed)
    };
    if drifts {
        words.extend([", ", DRIFTING]);
    }
    words
}

fn encode_all(
    (clips, views): (&Clips, usize),
    encoder: (&AutoencoderKL, &Device),
    told: &mut Told,
) -> Result<Vec<f16>> {
    let total = clips.total_frames();
    let mut values = Vec::new();
    for first in (0..total).step_by(AT_ONCE) {
        let count = AT_ONCE.min(total - first);
        values.extend(encode((clips, views), encoder, first, count)?);
        told(first + count, total)?;
    }
    Ok(values)
}

/// Whether `values`, of the right number, are what would be encoded now: tried on a few clips, which
/// tells another autoencoder, other clips, and other views.
fn are_of(
    values: &[f16],
    (clips, views): (&Clips, usize),
    encoder: (&AutoencoderKL, &Device),
) -> Result<bool> {
    for clip in clips.clips.iter().step_by(clips.clips.len().div_ceil(TRIED)) {
        let now = encode((clips, views), encoder, clip.first, 1)?;
        let kept = &values[clip.first * now.len()..][..now.len()];
        if !are_near(kept, &now) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether they are the same but for the rounding of the device that made them.
fn are_near(left: &[f16], right: &[f16]) -> bool {
    left.iter().zip(right).all(|(left, right)| (left.to_f32() - right.to_f32()).abs() < 0.02)
}

/// Scaled latents of `count` frames, each from all its views. Each is encoded alone, so that it does
/// not depend on the others by as much as rounding.
fn encode(
    (clips, views): (&Clips, usize),
    (vae, device): (&AutoencoderKL, &Device),
    first: usize,
    count: usize,
) -> Result<Vec<f16>> {
    let latents = |frame: &Frame| -> Vec<f16> {
        let mean = vae.encode(image_tensor::from_frames(std::slice::from_ref(frame), device)).mean;
        let scaled = (mean * vae.scaling_factor()).into_data();
        scaled.iter::<f32>().map(f16::from_f32).collect()
    };
    let of_all_views = |(i, frame): (usize, Frame)| -> Vec<f16> {
        let index = clips.clip_of(first + i);
        let clip = &clips.clips[index];
        let (at, may_mirror) = (first + i - clip.first, clips.may_mirror(clip));
        let mut values = latents(&frame);
        for number in 1..views {
            let view = View::new([index, number], clip.frames, may_mirror);
            values.extend(latents(&view.of(&frame, at)));
        }
        values
    };
    let frames = clips.read(first, count)?;
    Ok(frames.into_par_iter().enumerate().flat_map_iter(of_all_views).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clips_that_are_too_short_begin_again() {
        let mut draw = Draw::new(0, 0);
        for (available, count, stride) in [(36, 12, 1), (36, 12, 2), (25, 12, 2), (13, 12, 1)] {
            let mut last_seen = 0;
            for _ in 0..200 {
                let frames = choose(available, [count, stride], 0.0, &mut draw);
                assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + stride), "{frames:?}");
                last_seen = last_seen.max(frames[count]);
            }
            assert_eq!(last_seen, available - 1);
        }
        let short = choose(5, [6, 2], 0.0, &mut draw);
        assert!(short.windows(2).all(|pair| pair[1] == (pair[0] + 2) % 5), "{short:?}");
        assert!((0..200).any(|_| choose(36, [4, 1], 1.0, &mut draw)[0] > 35 - 4));
    }
}
