//! The clips as latents, encoded once.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, f16};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::clips::{Clip, Clips};
use super::config::DenoiserConfig;
use super::draw::Draw;
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::models::vae::AutoencoderKL;

/// Frames encoded at once.
const AT_ONCE: usize = 16;

/// Latents of every frame of a set, in its order.
pub(super) struct Latents {
    values: Vec<f16>,
    /// `[c, h, w]` of one frame.
    shape: [usize; 3],
}

/// What the latents were made from.
#[derive(PartialEq, Serialize, Deserialize)]
struct Key {
    weights: String,
    frames: usize,
    shape: [usize; 3],
}

/// Clips of one update.
pub(super) struct Batch {
    /// `[b, c, 1 + t, h, w]`: the condition frame, then the clip.
    pub(super) clean: Tensor<5>,
    /// What each clip shows.
    pub(super) captions: Vec<String>,
}

impl Latents {
    /// The latents of all frames of `clips`; made with `vae`, whose weights are the file
    /// `weights`, unless that was done before. `told` hears how many frames are encoded.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn open(
        clips: &Clips,
        vae: &AutoencoderKL,
        weights: &Path,
        cache: &Path,
        told: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let side = clips.size / vae.downscale();
        let shape = [vae.latent_channels(), side, side];
        let bytes = std::fs::read(weights).map_err(|e| Error::io("read", weights, e))?;
        let weights = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = Key { weights, frames: clips.total_frames(), shape };
        let (key_path, path) = (cache.join("latents.json"), cache.join("latents.bin"));
        let known = std::fs::read_to_string(&key_path).ok();
        let known: Option<Key> = known.and_then(|text| serde_json::from_str(&text).ok());
        if known.is_some_and(|known| known == key) {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
            if bytes.len() == 2 * key.frames * shape.iter().product::<usize>() {
                return Ok(Self { values: bytemuck::pod_collect_to_vec(&bytes), shape });
            }
        }
        let values = encode_all(clips, vae, told)?;
        let written = std::fs::write(&path, bytemuck::cast_slice(&values));
        written.map_err(|e| Error::io("write", &path, e))?;
        let text = serde_json::to_string(&key).expect("a key is plain data");
        std::fs::write(&key_path, text).map_err(|e| Error::io("write", &key_path, e))?;
        Ok(Self { values, shape })
    }

    /// Random clips that are trained on, as the pipeline will ask for them.
    pub(super) fn clips(
        &self,
        clips: &Clips,
        config: &DenoiserConfig,
        (count, draw): (usize, &mut Draw),
        device: &Device,
    ) -> Batch {
        let [c, h, w] = self.shape;
        let length = 1 + config.frames;
        let mut captions = Vec::with_capacity(count);
        let mut values = Vec::with_capacity(count * length * c * h * w);
        for _ in 0..count {
            let clip = &clips.clips[clips.training[draw.below(clips.training.len())]];
            let speed = draw.below(config.strides.len());
            captions.push(caption(clip, config, speed, draw));
            let frames = choose(clip, config, config.strides[speed], draw);
            self.extend_with(&mut values, clip, &frames);
        }
        // Frames first in memory, channels first in the tensor.
        let clean = TensorData::new(values, [count, length, c, h, w]);
        Batch { clean: Tensor::<5>::from_data(clean, device).swap_dims(1, 2), captions }
    }

    fn extend_with(&self, values: &mut Vec<f32>, clip: &Clip, frames: &[usize]) {
        let size = self.shape.iter().product::<usize>();
        for frame in frames {
            let at = (clip.first + frame) * size;
            values.extend(self.values[at..at + size].iter().map(|value| value.to_f32()));
        }
    }
}

/// The condition frame and the frames of a training clip. Clips that are too short begin again.
fn choose(clip: &Clip, config: &DenoiserConfig, stride: usize, draw: &mut Draw) -> Vec<usize> {
    let first = draw.below(clip.frames);
    let condition = if draw.happens(config.distant_condition) {
        draw.below(clip.frames)
    } else {
        first + clip.frames - stride % clip.frames
    };
    let clip_frames = (0..config.frames).map(|i| first + i * stride);
    std::iter::once(condition).chain(clip_frames).map(|frame| frame % clip.frames).collect()
}

/// The words for a clip at a speed; none at all for some clips.
fn caption(clip: &Clip, config: &DenoiserConfig, speed: usize, draw: &mut Draw) -> String {
    if draw.happens(config.text_dropout) {
        return String::new();
    }
    match config.stride_words.get(speed).filter(|word| !word.is_empty()) {
        Some(word) => format!("{}, {word}", clip.caption),
        None => clip.caption.clone(),
    }
}

fn encode_all(
    clips: &Clips,
    vae: &AutoencoderKL,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f16>> {
    let device = Device::flex();
    let total = clips.total_frames();
    let mut values = Vec::new();
    for first in (0..total).step_by(AT_ONCE) {
        let frames = clips.read(first, AT_ONCE.min(total - first))?;
        let mean = vae.encode(image_tensor::from_frames(&frames, &device)).mean;
        let scaled = (mean * vae.scaling_factor()).into_data();
        values.extend(scaled.iter::<f32>().map(f16::from_f32));
        told(first + frames.len(), total);
    }
    Ok(values)
}
