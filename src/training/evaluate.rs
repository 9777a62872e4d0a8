//! How good a model is: measured on clips that were not trained on.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::clips::{Clip, Clips};
use super::config::TrainConfig;
use super::frechet::frechet;
use super::model::{Denoiser, ModelFolder};
use super::objective::{DenoiserBatch, NoiseSchedule};
use super::sample::{Sampler, sheet, spread};
use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{self, Frame, write_file};
use crate::models::vae::AutoencoderKL;
use crate::nn::frames::unfold;
use crate::random::{Generator, Rng};

/// Clips of the contact sheet.
const SHEET: usize = 12;
/// Pictures of each clip that the autoencoder is tried on.
const PICTURES: usize = 2;
/// A pixel moves if its grey level changes by more than this within the clip.
const MOVES: f64 = 12.0;
/// Pictures that are animated with different words and with different seeds.
const PICTURES_PROMPTED: usize = 10;
/// Words for motion that the captions have often.
const MOTIONS: [&str; 3] = ["nodding", "shaking", "turning"];
/// As many seeds.
const SEEDS: [u64; 3] = [0, 1, 2];
/// Strengths of noise that the denoiser is tried at.
const TIMESTEPS: [usize; 7] = [20, 100, 250, 450, 650, 850, 999];
/// A place of the latents has moved if its mean squared difference to the condition frame is more.
const MOVED: f64 = 0.1;
/// Cells along either side that latents are pooled over.
const CELLS: usize = 2;

/// A real clip and the generated one, both from the same first frame.
type Pair = (Vec<Frame>, Vec<Frame>);

/// What an evaluation found. Distances are comparable within one evaluation only.
#[derive(Clone, Debug, Default, Serialize)]
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
    /// Between real clips and the first frame with another real clip's motion, of equal energy: as much
    /// of it as the generated clip has.
    pub frechet_other_motion: f64,
    /// Between real clips and the first frame with how the same clip moves later.
    pub frechet_later_motion: f64,
    /// The same where all clips are told how much to move: as much as the real one.
    pub frechet_at_real_energy: FrechetAtRealEnergy,
    /// How much clips of the same hands and faces, with the same seed, differ by the words for
    /// their motion: mean absolute difference, in grey levels.
    pub change_by_words: f64,
    /// How much they differ by the seed, with the same words.
    pub change_by_seed: f64,
    /// How well clips are seen through noise.
    pub denoising: DenoisingErrors,
}

/// Fréchet distances of condition and motion to real clips, every motion scaled to the energy of the
/// real clip: by where it moves and not by how much.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FrechetAtRealEnergy {
    /// Of generated clips.
    pub generated: f64,
    /// Of the first frame with another clip's motion.
    pub other_motion: f64,
    /// Of the first frame with how the same clip moves later.
    pub later_motion: f64,
}

/// How far what the denoiser takes noisy clips for is from those clips, in latents.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DenoisingErrors {
    /// Mean squared error of the condition frame repeated, to compare with.
    pub of_still: f64,
    /// Share of the places of the latents that differ from the condition frame's.
    pub moved: f64,
    /// The denoiser's, at noise of each strength.
    pub timesteps: Vec<DenoisingError>,
}

/// The denoiser's error at one strength of noise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DenoisingError {
    /// Strength of the noise.
    pub timestep: usize,
    /// Mean squared error of the prediction, the loss of training.
    pub loss: f64,
    /// The same at places that moved; NaN without any.
    pub loss_moved: f64,
    /// The same at all others; NaN without any.
    pub loss_unmoved: f64,
    /// Mean squared error of the clip that follows from it.
    pub of_clip: f64,
}

/// Measures the model in the folder `model` on at most `count` clips that `config` holds out, and
/// writes a contact sheet: real clips, and below each the generated one.
///
/// # Errors
/// When a file cannot be read or written, or fewer than two clips are held out.
pub fn evaluate(
    (model, config): (&Path, &TrainConfig),
    device: &Device,
    (count, sheet_path): (usize, &Path),
) -> Result<Evaluation> {
    let model = ModelFolder::open(model)?;
    let clips = Clips::open(&config.data, &mut |_, _| Ok(()))?;
    let chosen = evenly(&clips.held_out, count);
    if chosen.len() < 2 {
        let reason = "fewer than two clips are held out; list some in data.held_out";
        return Err(Error::config(config.data.folder.display().to_string(), reason));
    }
    let vae = model.autoencoder(device)?;
    let animator = Animator {
        denoiser: model.denoiser(device)?,
        sampler: Sampler {
            vae: vae.clone(),
            tokenizer: model.tokenizer()?,
            scheduler: model.scheduler()?,
            settings: model.settings().clone(),
            device: device.clone(),
        },
        frames: config.denoiser.frames,
    };
    let stride = config.denoiser.strides[0];
    let length = 1 + config.denoiser.frames;
    let mut pairs = Vec::with_capacity(chosen.len());
    let mut later = Vec::with_capacity(chosen.len());
    for &index in &chosen {
        let clip = &clips.clips[index];
        let real = real_frames((&clips, clip), 0, [length, stride])?;
        later.push(real_frames((&clips, clip), clip.frames / 2, [length, stride])?);
        let made = animator.clip(&real[0], &config.denoiser.prompt(&clip.caption, 0), 0)?;
        pairs.push((real, made));
    }
    write_sheet(&pairs, sheet_path)?;
    let (change_by_words, change_by_seed) = changes(&animator, &clips, &chosen)?;
    let denoising = denoising(&animator, &pairs, (&clips, &chosen), config)?;
    let autoencoder_psnr = autoencoder_psnr(&clips, &chosen, (&vae, device))?;
    let found = compare(&pairs, &later, (&vae, device));
    Ok(Evaluation { autoencoder_psnr, change_by_words, change_by_seed, denoising, ..found })
}

/// A model that animates pictures.
struct Animator {
    denoiser: Denoiser,
    sampler: Sampler,
    frames: usize,
}

impl Animator {
    fn clip(&self, first: &Frame, prompt: &str, seed: u64) -> Result<Vec<Frame>> {
        self.sampler.clip(&self.denoiser, (first, prompt), (self.frames, seed))
    }
}

/// How much clips of one picture differ by the words for its motion, and by the seed: pictures of
/// hands and faces.
fn changes(animator: &Animator, clips: &Clips, chosen: &[usize]) -> Result<(f64, f64)> {
    let shows = |&index: &usize| {
        let caption = &clips.clips[index].caption;
        ["hand", "face"].iter().any(|word| caption.contains(word))
    };
    let shown: Vec<usize> = chosen.iter().copied().filter(shows).collect();
    let (mut by_words, mut by_seed) = (Vec::new(), Vec::new());
    for index in evenly(&shown, PICTURES_PROMPTED) {
        let clip = &clips.clips[index];
        let first = clips.read(clip.first, 1)?.remove(0);
        let subject = clip.caption.split(", ").next().unwrap_or_default();
        let words = |word: &&str| animator.clip(&first, &format!("{subject}, {word}"), 0);
        let seeds = |seed: &u64| animator.clip(&first, &clip.caption, *seed);
        by_words.push(mean_change(&MOTIONS.iter().map(words).collect::<Result<Vec<_>>>()?));
        by_seed.push(mean_change(&SEEDS.iter().map(seeds).collect::<Result<Vec<_>>>()?));
    }
    Ok((mean(&by_words), mean(&by_seed)))
}

/// The denoiser's errors on real clips under noise of several strengths.
fn denoising(
    animator: &Animator,
    pairs: &[Pair],
    (clips, chosen): (&Clips, &[usize]),
    config: &TrainConfig,
) -> Result<DenoisingErrors> {
    let Animator { denoiser, sampler, .. } = animator;
    let schedule = NoiseSchedule::new(&sampler.scheduler);
    let vae = &sampler.vae;
    let at = |&timestep| DenoisingError { timestep, ..DenoisingError::default() };
    let timesteps = TIMESTEPS.iter().map(at).collect();
    let mut found = DenoisingErrors { timesteps, ..DenoisingErrors::default() };
    let share = 1.0 / pairs.len() as f64;
    let scalar = |x: Tensor<5>| -> f64 { x.mean().into_scalar() };
    for ((real, _), &index) in pairs.iter().zip(chosen) {
        let images = image_tensor::from_frames(real, &sampler.device);
        let clean = unfold(vae.encode(images).mean * vae.scaling_factor(), real.len());
        let first = clean.clone().narrow(2, 0, 1);
        let still = (clean.clone().narrow(2, 1, real.len() - 1) - first).powi_scalar(2);
        // [1, 1, t, h, w]
        let moved = still.clone().mean_dim(1).greater_elem(MOVED).float();
        found.of_still += scalar(still) * share;
        found.moved += scalar(moved.clone()) * share;
        let prompt = config.denoiser.prompt(&clips.clips[index].caption, 0);
        let text = denoiser.text(&sampler.tokenizer, &[prompt], &sampler.device)?;
        for error in &mut found.timesteps {
            let batch =
                DenoiserBatch { clean: clean.clone(), text: text.clone(), conditioned: true };
            let noise = &mut Generator::new(Rng::TorchCpu, index as u64);
            let (at, config) = ([error.timestep], &config.denoiser);
            let squared = schedule.squared_errors(&denoiser.unet, batch, &at, (config, noise));
            error.loss += scalar(squared.clone()) * share;
            error.loss_moved += scalar(squared.mean_dim(1) * moved.clone()) * share;
        }
    }
    // Sums over places so far.
    for error in &mut found.timesteps {
        error.of_clip = error.loss * schedule.of_clip(error.timestep);
        error.loss_unmoved = (error.loss - error.loss_moved) / (1.0 - found.moved);
        error.loss_moved /= found.moved;
    }
    Ok(found)
}

/// Mean absolute difference between every two of `clips`, in grey levels.
fn mean_change(clips: &[Vec<Frame>]) -> f64 {
    let difference = |a: &Frame, b: &Frame| {
        let sum: u64 = a.data.iter().zip(&b.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.data.len() as f64
    };
    let mut found = Vec::new();
    for (i, first) in clips.iter().enumerate() {
        for second in &clips[i + 1..] {
            found.extend(first.iter().zip(second).map(|(a, b)| difference(a, b)));
        }
    }
    mean(&found)
}

/// `count` of `places`, evenly over all.
fn evenly(places: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(places.len());
    (0..count).map(|i| places[i * places.len() / count]).collect()
}

/// `count` frames of a clip from the one with the number `first`, `stride` apart; its end is followed by
/// its beginning.
fn real_frames(
    (clips, clip): (&Clips, &Clip),
    first: usize,
    [count, stride]: [usize; 2],
) -> Result<Vec<Frame>> {
    let all = clips.read(clip.first, clip.frames)?;
    Ok((0..count).map(|i| all[(first + i * stride) % all.len()].clone()).collect())
}

fn write_sheet(pairs: &[Pair], path: &Path) -> Result<()> {
    let places: Vec<usize> = (0..pairs.len()).collect();
    let rows: Vec<Vec<Frame>> = evenly(&places, SHEET)
        .into_iter()
        .flat_map(|i| [spread(&pairs[i].0), spread(&pairs[i].1)])
        .collect();
    write_file(path, &media::png::encode(&sheet(&rows))?)
}

fn autoencoder_psnr(
    clips: &Clips,
    chosen: &[usize],
    (vae, device): (&AutoencoderKL, &Device),
) -> Result<f64> {
    let mut found = Vec::new();
    for &index in chosen {
        let clip = &clips.clips[index];
        for part in 0..PICTURES {
            let frames = clips.read(clip.first + part * clip.frames / PICTURES, 1)?;
            let images = image_tensor::from_frames(&frames, device);
            let decoded = (vae.decode(vae.encode(images).mean) / 2.0 + 0.5).clamp(0.0, 1.0);
            let decoded = pollster::block_on(image_tensor::to_frames(decoded))?;
            found.push(psnr(&frames[0], &decoded[0]));
        }
    }
    Ok(mean(&found))
}

/// The measures of `pairs`; `later` is how each real clip goes on.
fn compare(
    pairs: &[Pair],
    later: &[Vec<Frame>],
    (vae, device): (&AutoencoderKL, &Device),
) -> Evaluation {
    let to_first = |frames: &[Frame]| {
        let found: Vec<f64> = frames[1..].iter().map(|frame| psnr(&frames[0], frame)).collect();
        mean(&found)
    };
    let all = |of: &dyn Fn(&Pair) -> f64| mean(&pairs.iter().map(of).collect::<Vec<_>>());
    let features = |frames: &Vec<Frame>| Features::of(frames, (vae, device));
    let real: Vec<Features> = pairs.iter().map(|pair| features(&pair.0)).collect();
    let made: Vec<Features> = pairs.iter().map(|pair| features(&pair.1)).collect();
    let later: Vec<Features> = later.iter().map(features).collect();
    let joined = |condition: &Features, motion: &[f32]| [&condition.subject, motion].concat();
    let real_joined: Vec<Vec<f32>> = real.iter().map(|f| joined(f, &f.motion)).collect();
    let distance = |motion: &dyn Fn(usize) -> Vec<f32>| {
        let other: Vec<Vec<f32>> =
            real.iter().enumerate().map(|(i, f)| joined(f, &motion(i))).collect();
        frechet(&real_joined, &other)
    };
    let other = |i: usize| &real[(i + real.len() / 2) % real.len()];
    let at_real = |i: usize, moving: &Features| moving.with_energy_of(&real[i]);
    Evaluation {
        clips: pairs.len(),
        subject_psnr_real: all(&|pair| to_first(&pair.0)),
        subject_psnr_generated: all(&|pair| to_first(&pair.1)),
        motion_energy_real: all(&|pair| motion_energy(&pair.0, &pair.0)),
        motion_energy_generated: all(&|pair| motion_energy(&pair.1, &pair.0)),
        frechet_generated: distance(&|i| made[i].motion.clone()),
        frechet_still: distance(&|i| vec![0.0; real[i].motion.len()]),
        frechet_other_motion: distance(&|i| other(i).with_energy_of(&made[i])),
        frechet_later_motion: distance(&|i| later[i].motion.clone()),
        frechet_at_real_energy: FrechetAtRealEnergy {
            generated: distance(&|i| at_real(i, &made[i])),
            other_motion: distance(&|i| at_real(i, other(i))),
            later_motion: distance(&|i| at_real(i, &later[i])),
        },
        ..Evaluation::default()
    }
}

/// A clip in numbers: what it shows, and where and how much it changes from frame to frame.
struct Features {
    subject: Vec<f32>,
    motion: Vec<f32>,
}

impl Features {
    fn of(frames: &[Frame], (vae, device): (&AutoencoderKL, &Device)) -> Self {
        let images = image_tensor::from_frames(frames, device);
        let latents = vae.encode(images).mean * vae.scaling_factor();
        let count = frames.len();
        let changes =
            latents.clone().narrow(0, 1, count - 1) - latents.clone().narrow(0, 0, count - 1);
        let values = |x: Tensor<4>| pooled(x).into_data().iter::<f32>().collect();
        Self { subject: values(latents.narrow(0, 0, 1)), motion: values(changes.abs().mean_dim(0)) }
    }

    /// How much moves.
    fn energy(&self) -> f32 {
        self.motion.iter().sum()
    }

    /// The motion, scaled to move as much as `other` does.
    fn with_energy_of(&self, other: &Self) -> Vec<f32> {
        let factor = other.energy() / self.energy().max(1e-6);
        self.motion.iter().map(|value| value * factor).collect()
    }
}

/// Means over [`CELLS`] x [`CELLS`] cells: `[1, c, h, w]` to `[c·CELLS·CELLS]`.
fn pooled(x: Tensor<4>) -> Tensor<1> {
    let [_, c, h, w] = x.dims();
    let (rows, columns) = (h / CELLS, w / CELLS);
    let cells = x.reshape([c, CELLS, rows, CELLS, columns]);
    cells.mean_dim(4).mean_dim(2).reshape([c * CELLS * CELLS])
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
