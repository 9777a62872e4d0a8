//! The clips as latents, encoded once.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, f16};
use rayon::prelude::*;

use super::Told;
use super::clips::{Clip, Clips, mirrored, recolor};
use super::config::DenoiserConfig;
use super::draw::Draw;
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{Frame, write_file};
use crate::models::vae::AutoencoderKL;

/// Frames read at once.
const AT_ONCE: usize = 16;
/// Seed of the other colours of clips.
const COLOURS: u64 = 0;

/// Latents of every frame of a set, in its order, of each from all its sides: as it is, then mirrored
/// if clips are; then, if clips are recoloured, both again in the clip's other colours.
pub(super) struct Latents {
    values: Vec<f16>,
    sides: Sides,
    /// `[c, h, w]` of one frame.
    shape: [usize; 3],
}

/// From which sides each frame is seen.
#[derive(Clone, Copy)]
struct Sides {
    mirrored: bool,
    recolored: bool,
}

/// Clips of one update.
pub(super) struct Batch {
    /// `[b, c, 1 + t, h, w]`: the condition frame, then the clip; of pictures `[b, c, 1, h, w]`.
    pub(super) clean: Tensor<5>,
    /// What each clip shows.
    pub(super) captions: Vec<String>,
}

impl Sides {
    fn count(self) -> usize {
        (1 + usize::from(self.mirrored)) * (1 + usize::from(self.recolored))
    }

    /// Where a side stands among those of a frame.
    fn place(self, mirrored: bool, recolored: bool) -> usize {
        usize::from(mirrored) + usize::from(recolored) * (1 + usize::from(self.mirrored))
    }

    /// `frame` of the clip with number `clip` from all sides.
    fn of(self, frame: Frame, clip: usize) -> Vec<Frame> {
        let mut frames = vec![frame];
        if self.mirrored {
            frames.push(mirrored(frames[0].clone()));
        }
        if self.recolored {
            frames.extend_from_within(..);
            for frame in &mut frames[self.place(false, true)..] {
                // All frames of a clip in the same colours.
                recolor(frame, &mut Draw::new(COLOURS, clip));
            }
        }
        frames
    }
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
        let sides = Sides { mirrored: clips.mirror, recolored: config.recolored_share > 0.0 };
        let side = clips.size / vae.downscale();
        let shape = [vae.latent_channels(), side, side];
        let path = cache.join("latents.bin");
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
            let values: Vec<f16> = bytemuck::pod_collect_to_vec(&bytes);
            let whole = sides.count() * clips.total_frames() * shape.iter().product::<usize>();
            // Latents of another autoencoder, or of other clips, begin with other values.
            let first = encode((clips, sides), (vae, device), 0, 1)?;
            if values.len() == whole && are_near(&values[..first.len()], &first) {
                return Ok(Self { values, sides, shape });
            }
        }
        let values = encode_all((clips, sides), (vae, device), told)?;
        write_file(&path, bytemuck::cast_slice(&values))?;
        Ok(Self { values, sides, shape })
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
            captions.push(caption(clip, config, speed, draw));
            let shape = [length - 1, config.strides[speed]];
            let frames = choose(clip.frames, shape, config.distant_condition, draw);
            let recolored =
                self.sides.recolored && !pictures && draw.happens(config.recolored_share);
            let side = self.sides.place(clips.mirrors(clip, draw), recolored);
            let place = |at: &usize| self.sides.count() * (clip.first + at) + side;
            self.extend_with(&mut values, frames.iter().map(place));
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

/// The words for a clip at a speed; none at all for some clips.
fn caption(clip: &Clip, config: &DenoiserConfig, speed: usize, draw: &mut Draw) -> String {
    if draw.happens(config.text_dropout) {
        return String::new();
    }
    if draw.happens(config.stride_word_dropout) {
        return clip.caption.clone();
    }
    config.prompt(&clip.caption, speed)
}

fn encode_all(
    (clips, sides): (&Clips, Sides),
    encoder: (&AutoencoderKL, &Device),
    told: &mut Told,
) -> Result<Vec<f16>> {
    let total = clips.total_frames();
    let mut values = Vec::new();
    for first in (0..total).step_by(AT_ONCE) {
        let count = AT_ONCE.min(total - first);
        values.extend(encode((clips, sides), encoder, first, count)?);
        told(first + count, total)?;
    }
    Ok(values)
}

/// Whether they are the same but for the rounding of the device that made them.
fn are_near(left: &[f16], right: &[f16]) -> bool {
    left.iter().zip(right).all(|(left, right)| (left.to_f32() - right.to_f32()).abs() < 0.02)
}

/// Scaled latents of `count` frames, each from all its sides. Each is encoded alone, so that it does
/// not depend on the others by as much as rounding.
fn encode(
    (clips, sides): (&Clips, Sides),
    (vae, device): (&AutoencoderKL, &Device),
    first: usize,
    count: usize,
) -> Result<Vec<f16>> {
    let frames: Vec<Frame> = (first..)
        .zip(clips.read(first, count)?)
        .flat_map(|(at, frame)| sides.of(frame, clips.clip_of(at)))
        .collect();
    let latents = |frame: Frame| -> Vec<f16> {
        let mean = vae.encode(image_tensor::from_frames(&[frame], device)).mean;
        let scaled = (mean * vae.scaling_factor()).into_data();
        scaled.iter::<f32>().map(f16::from_f32).collect()
    };
    Ok(frames.into_par_iter().flat_map_iter(latents).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_seen_from_all_its_sides() {
        let frame = Frame { width: 2, height: 1, data: vec![0, 0, 0, 255, 120, 30] };
        let both = Sides { mirrored: true, recolored: true };
        let seen = both.of(frame.clone(), 7);
        let at = |mirrored, recolored| &seen[both.place(mirrored, recolored)];
        assert_eq!((seen.len(), both.count()), (4, 4));
        assert_eq!(*at(false, false), frame);
        assert_eq!(*at(true, false), mirrored(frame.clone()));
        assert_ne!(*at(false, true), frame);
        assert_eq!(*at(true, true), mirrored(at(false, true).clone()));

        let colours = Sides { mirrored: false, recolored: true };
        let other = |clip| colours.of(frame.clone(), clip)[colours.place(false, true)].clone();
        assert_eq!(other(7), *at(false, true), "a clip has one set of other colours");
        assert_ne!(other(7), other(8));
    }

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
