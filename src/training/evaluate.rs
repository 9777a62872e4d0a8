//! How good a model is: measured on clips that were not trained on.

use std::path::Path;

use burn::tensor::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::clips::{Clip, Clips};
use super::config::TrainConfig;
use super::files::write_whole;
use super::model::ModelFolder;
use super::sample::{Sampler, sheet, spread};
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{self, Frame};
use crate::models::vae::AutoencoderKL;

/// Clips of the contact sheet.
const SHEET: usize = 12;
/// Pictures of each clip that the autoencoder is tried on.
const PICTURES: usize = 2;
/// A pixel moves if its grey level changes by more than this within the clip.
const MOVES: f64 = 12.0;
/// Sweeps of a singular value decomposition; far fewer do.
const SWEEPS: usize = 30;
/// Cells along either side that latents are pooled over.
const CELLS: usize = 2;

/// A real clip and the generated one, both from the same first frame.
type Pair = (Vec<Frame>, Vec<Frame>);

/// What an evaluation found. Distances are comparable within one evaluation only.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Clips that were compared.
    pub clips: usize,
    /// Mean PSNR of pictures to what the autoencoder makes of them, in dB.
    pub autoencoder_psnr: f64,
    /// Mean PSNR of the frames of real clips to their first frame, in dB.
    pub subject_psnr_real: f64,
    /// The same for generated clips, their condition frame as decoded.
    pub subject_psnr_generated: f64,
    /// Mean absolute difference of consecutive frames where real clips move, in grey levels.
    pub motion_energy_real: f64,
    /// The same for generated clips.
    pub motion_energy_generated: f64,
    /// Fréchet distance of condition and motion, between real and generated clips.
    pub frechet_generated: f64,
    /// Between real clips and the first frame repeated.
    pub frechet_still: f64,
    /// Between real clips and the first frame with another clip's motion.
    pub frechet_other_motion: f64,
}

/// Measures the checkpoint that `config` trained on at most `count` clips that were held out, and
/// writes a contact sheet: real clips, and below each the generated one.
///
/// # Errors
/// When a file cannot be read or written, or fewer than two clips are held out.
pub fn evaluate(config: &TrainConfig, count: usize, sheet_path: &Path) -> Result<Evaluation> {
    let device = Device::flex();
    let model = ModelFolder::open(&config.output.join("checkpoint"))?;
    let clips = Clips::open(&config.data, &mut |_, _| Ok(()))?;
    let chosen = evenly(&clips.held_out, count);
    if chosen.len() < 2 {
        let reason = "fewer than two clips are held out; list some in data.held_out";
        return Err(Error::config(config.data.folder.display().to_string(), reason));
    }
    let vae = model.autoencoder(&device)?;
    let denoiser = model.denoiser(&device)?;
    let tokenizer = model.tokenizer()?;
    let sampler = Sampler { vae: vae.clone(), scheduler: model.scheduler()? };
    let frames = config.denoiser.frames;
    let stride = config.denoiser.strides[0];
    let mut pairs = Vec::with_capacity(chosen.len());
    for &index in &chosen {
        let clip = &clips.clips[index];
        let real = real_frames(&clips, clip, 1 + frames, stride)?;
        let text = denoiser.text(&tokenizer, &[String::new(), clip.caption.clone()], &device)?;
        let made = sampler.clip(&denoiser.unet, &real[0], text, frames)?;
        pairs.push((real, made));
    }
    write_sheet(&pairs, sheet_path)?;
    Ok(compare(&pairs, &vae, autoencoder_psnr(&clips, &chosen, &vae)?))
}

/// `count` of `places`, evenly over all.
fn evenly(places: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(places.len());
    (0..count).map(|i| places[i * places.len() / count]).collect()
}

/// The first frames of a clip at a stride; short clips begin again.
fn real_frames(clips: &Clips, clip: &Clip, count: usize, stride: usize) -> Result<Vec<Frame>> {
    let all = clips.read(clip.first, clip.frames)?;
    Ok((0..count).map(|i| all[i * stride % all.len()].clone()).collect())
}

fn write_sheet(pairs: &[Pair], path: &Path) -> Result<()> {
    let places: Vec<usize> = (0..pairs.len()).collect();
    let rows: Vec<Vec<Frame>> = evenly(&places, SHEET)
        .into_iter()
        .flat_map(|i| [spread(&pairs[i].0), spread(&pairs[i].1)])
        .collect();
    write_whole(path, &media::png::encode(&sheet(&rows))?)
}

fn autoencoder_psnr(clips: &Clips, chosen: &[usize], vae: &AutoencoderKL) -> Result<f64> {
    let mut found = Vec::new();
    for &index in chosen {
        let clip = &clips.clips[index];
        for part in 0..PICTURES {
            let frames = clips.read(clip.first + part * clip.frames / PICTURES, 1)?;
            let images = image_tensor::from_frames(&frames, &Device::flex());
            let decoded = (vae.decode(vae.encode(images).mean) / 2.0 + 0.5).clamp(0.0, 1.0);
            let decoded = pollster::block_on(image_tensor::to_frames(decoded))?;
            found.push(psnr(&frames[0], &decoded[0]));
        }
    }
    Ok(mean(&found))
}

fn compare(pairs: &[Pair], vae: &AutoencoderKL, autoencoder_psnr: f64) -> Evaluation {
    let to_first = |frames: &[Frame]| {
        let found: Vec<f64> = frames[1..].iter().map(|frame| psnr(&frames[0], frame)).collect();
        mean(&found)
    };
    let all = |of: &dyn Fn(&Pair) -> f64| mean(&pairs.iter().map(of).collect::<Vec<_>>());
    let features = |frames: &Vec<Frame>| Features::of(frames, vae);
    let real: Vec<Features> = pairs.iter().map(|pair| features(&pair.0)).collect();
    let made: Vec<Features> = pairs.iter().map(|pair| features(&pair.1)).collect();
    let joined = |condition: &Features, motion: &[f32]| [&condition.subject, motion].concat();
    let real_joined: Vec<Vec<f32>> = real.iter().map(|f| joined(f, &f.motion)).collect();
    let distance = |motion: &dyn Fn(usize) -> Vec<f32>| {
        let other: Vec<Vec<f32>> =
            real.iter().enumerate().map(|(i, f)| joined(f, &motion(i))).collect();
        frechet(&real_joined, &other)
    };
    Evaluation {
        clips: pairs.len(),
        autoencoder_psnr,
        subject_psnr_real: all(&|pair| to_first(&pair.0)),
        subject_psnr_generated: all(&|pair| to_first(&pair.1)),
        motion_energy_real: all(&|pair| motion_energy(&pair.0, &pair.0)),
        motion_energy_generated: all(&|pair| motion_energy(&pair.1, &pair.0)),
        frechet_generated: distance(&|i| made[i].motion.clone()),
        frechet_still: distance(&|i| vec![0.0; real[i].motion.len()]),
        frechet_other_motion: distance(&|i| {
            let other = &real[(i + real.len() / 2) % real.len()].motion;
            let factor = energy(&real[i].motion) / energy(other).max(1e-6);
            other.iter().map(|value| value * factor).collect()
        }),
    }
}

/// A clip in numbers: what it shows, and where and how much it changes from frame to frame.
struct Features {
    subject: Vec<f32>,
    motion: Vec<f32>,
}

impl Features {
    fn of(frames: &[Frame], vae: &AutoencoderKL) -> Self {
        let images = image_tensor::from_frames(frames, &Device::flex());
        let latents = vae.encode(images).mean * vae.scaling_factor();
        let count = frames.len();
        let changes =
            latents.clone().narrow(0, 1, count - 1) - latents.clone().narrow(0, 0, count - 1);
        let values = |x: Tensor<4>| pooled(x).into_data().iter::<f32>().collect();
        Self { subject: values(latents.narrow(0, 0, 1)), motion: values(changes.abs().mean_dim(0)) }
    }
}

/// Means over [`CELLS`] x [`CELLS`] cells: `[1, c, h, w]` to `[c·CELLS·CELLS]`.
fn pooled(x: Tensor<4>) -> Tensor<1> {
    let [_, c, h, w] = x.dims();
    let (rows, columns) = (h / CELLS, w / CELLS);
    let cells = x.reshape([c, CELLS, rows, CELLS, columns]);
    cells.mean_dim(4).mean_dim(2).reshape([c * CELLS * CELLS])
}

fn energy(values: &[f32]) -> f32 {
    values.iter().map(|value| value.abs()).sum()
}

/// Mean absolute difference of consecutive frames over the pixels that move in `reference`.
fn motion_energy(frames: &[Frame], reference: &[Frame]) -> f64 {
    let grey = |frame: &Frame, at: usize| {
        frame.data[3 * at..3 * at + 3].iter().map(|&v| f64::from(v)).sum::<f64>() / 3.0
    };
    let pixels = reference[0].data.len() / 3;
    let moves = |at: &usize| {
        let levels = reference.iter().map(|frame| grey(frame, *at));
        let (low, high) = levels.fold((255.0f64, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
        high - low > MOVES
    };
    let area: Vec<usize> = (0..pixels).filter(moves).collect();
    if area.is_empty() {
        return 0.0;
    }
    let change = |pair: &[Frame]| {
        area.iter().map(|&at| (grey(&pair[1], at) - grey(&pair[0], at)).abs()).sum::<f64>()
    };
    let total: f64 = frames.windows(2).map(change).sum();
    total / (area.len() * (frames.len() - 1)) as f64
}

fn psnr(a: &Frame, b: &Frame) -> f64 {
    let squares = a.data.iter().zip(&b.data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let error = squares.sum::<f64>() / a.data.len() as f64;
    // Equal pictures count as one level of error in a hundred pixels, not as infinitely alike.
    10.0 * (255.0 * 255.0 / error.max(0.01)).log10()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) of two sets of vectors (Heusel et al. 2017,
/// arXiv:1706.08500).
fn frechet(first: &[Vec<f32>], second: &[Vec<f32>]) -> f64 {
    let (mean_1, covariance_1) = moments(first);
    let (mean_2, covariance_2) = moments(second);
    let sum = |x: Tensor<2>| f64::from(x.sum().into_scalar::<f32>());
    let trace = |x: Tensor<2>| {
        let size = x.dims()[0];
        sum(x * Tensor::eye(size, &Device::flex()))
    };
    let root = square_root(covariance_1.clone());
    let mixed = root.clone().matmul(covariance_2.clone()).matmul(root);
    let (_, values, _) = svd::<2, 1>(mixed, SWEEPS);
    let mixed = f64::from(values.clamp_min(0.0).sqrt().sum().into_scalar::<f32>());
    sum((mean_1 - mean_2).powi_scalar(2)) + trace(covariance_1) + trace(covariance_2) - 2.0 * mixed
}

/// Mean `[1, d]` and covariance `[d, d]`.
fn moments(rows: &[Vec<f32>]) -> (Tensor<2>, Tensor<2>) {
    let (n, d) = (rows.len(), rows[0].len());
    let data = TensorData::new(rows.concat(), [n, d]);
    let x = Tensor::<2>::from_data(data, &Device::flex());
    let mean = x.clone().mean_dim(0);
    let centred = x - mean.clone();
    let covariance = centred.clone().transpose().matmul(centred) / (n - 1) as f64;
    (mean, covariance)
}

/// The square root of a symmetric matrix without negative eigenvalues.
fn square_root(x: Tensor<2>) -> Tensor<2> {
    let (u, values, _) = svd::<2, 1>(x, SWEEPS);
    let scaled = u.clone() * values.clamp_min(0.0).sqrt().unsqueeze_dim(0);
    scaled.matmul(u.transpose())
}

#[cfg(test)]
mod tests {
    use super::frechet;

    fn rows(offset: f32, scale: f32) -> Vec<Vec<f32>> {
        let at = |i: usize| ((i * 37 % 101) as f32 / 50.0 - 1.0) * scale + offset;
        (0..60).map(|i| vec![at(i), at(i * 7 + 3), at(i * 13 + 5)]).collect()
    }

    #[test]
    fn the_distance_of_a_set_to_itself_is_0_and_grows_with_the_mean() {
        assert!(frechet(&rows(0.0, 1.0), &rows(0.0, 1.0)).abs() < 1e-3);
        assert!((frechet(&rows(0.0, 1.0), &rows(2.0, 1.0)) - 12.0).abs() < 1e-2);
        assert!(frechet(&rows(0.0, 1.0), &rows(0.0, 2.0)) > 0.1);
    }
}
