//! What a training run is told: a YAML file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::yaml;
use crate::error::{Error, Result};
use crate::pipeline::Noise;

/// A training run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What is trained.
    pub stage: Stage,
    /// Folder of the model: `config.json` of every part, the tokenizer and the scheduler. Parts
    /// that have weights begin with them, the others at random.
    pub model: PathBuf,
    /// Folder that the run writes: `checkpoint`, `state`, `log.csv`, `curves.png` and `samples`.
    pub output: PathBuf,
    /// The clips.
    pub data: DataConfig,
    /// Updates of the weights.
    pub steps: usize,
    /// Pictures or clips of one update.
    pub batch_size: usize,
    /// Decides every random choice; the same seed gives the same run.
    #[serde(default)]
    pub seed: u64,
    /// How weights are updated.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// What the autoencoder is to do.
    #[serde(default)]
    pub autoencoder: AutoencoderConfig,
    /// What the denoiser is to do.
    #[serde(default)]
    pub denoiser: DenoiserConfig,
    /// Updates between two savings of the state.
    #[serde(default = "save_every")]
    pub save_every: usize,
    /// Updates between two sample sheets; 0 for none.
    #[serde(default = "sample_every")]
    pub sample_every: usize,
}

fn save_every() -> usize {
    200
}

fn sample_every() -> usize {
    1000
}

/// What a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The autoencoder, on single frames.
    Autoencoder,
    /// Text encoder and UNet, on clips that begin with a condition frame.
    Denoiser,
    /// The temporal layers of the UNet alone, everything else as it is: how a production
    /// checkpoint is fine-tuned.
    Motion,
}

/// The clips and how they are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of clips (WebP, GIF, MP4, or a folder of pictures each), captions beside them in
    /// text files of the same name.
    pub folder: PathBuf,
    /// File that lists the clips that are not trained on, one a line.
    pub held_out: Option<PathBuf>,
    /// Folder for the decoded frames and their latents, which are made once.
    pub cache: PathBuf,
    /// Side of the square frames in pixels.
    pub size: usize,
    /// Every how many frames of a clip one is kept.
    #[serde(default = "one")]
    pub keep_every: usize,
    /// The most frames kept of a clip.
    pub max_frames: usize,
    /// Use only this many clips, the first by name; all without it.
    pub max_clips: Option<usize>,
    /// Whether half of the pictures that are trained on, and of the other views of clips, are turned
    /// left to right, but for clips whose caption tells the sides apart, or what is read from one to
    /// the other.
    #[serde(default = "yes")]
    pub mirror: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// What makes an update of gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW for all weights (Loshchilov & Hutter 2019, arXiv:1711.05101).
    #[default]
    AdamW,
    /// Muon for the weights that are matrices, AdamW for the others (Jordan et al. 2024; Liu et al.
    /// 2025, arXiv:2502.16982). Costs a few products of matrices an update.
    Muon,
}

/// The optimiser, with warm-up and cosine decay.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// What makes updates of gradients.
    pub kind: OptimizerKind,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The learning rate at the end, as a share of the highest.
    pub final_share: f64,
    /// Updates until the highest learning rate.
    pub warmup_steps: usize,
    /// Weight decay.
    pub weight_decay: f32,
    /// AdamW's decay of the mean of the gradients.
    pub beta_1: f32,
    /// AdamW's decay of the mean of their squares.
    pub beta_2: f32,
    /// Gradients of all parameters together are scaled down to this norm.
    pub max_grad_norm: f64,
    /// Decay of the running mean of the weights, which is what is written.
    pub ema_decay: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::default(),
            learning_rate: 1e-4,
            final_share: 0.1,
            warmup_steps: 200,
            weight_decay: 0.01,
            beta_1: 0.9,
            beta_2: 0.99,
            max_grad_norm: 1.0,
            ema_decay: 0.999,
        }
    }
}

/// The autoencoder's loss: squared error, absolute error, logarithm of the squared error, and KL
/// divergence, weighted.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Weight of the squared error.
    pub squared_weight: f64,
    /// Weight of the absolute error.
    pub absolute_weight: f64,
    /// Weight of the mean logarithm of each picture's squared error: of what PSNR measures. Easy
    /// pictures then count as much as hard ones.
    pub log_weight: f64,
    /// Weight of the KL divergence a latent value.
    pub kl_weight: f64,
    /// Share of the pictures whose colours are changed: pictures that people bring stand before
    /// other backgrounds than clips do.
    pub recolored_share: f64,
    /// Train the decoder alone: latents stay what they are, and with them what was trained on them.
    pub frozen_encoder: bool,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        Self {
            squared_weight: 1.0,
            absolute_weight: 0.1,
            log_weight: 0.0,
            kl_weight: 1e-6,
            recolored_share: 0.0,
            frozen_encoder: false,
        }
    }
}

/// The clips that the denoiser sees.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenoiserConfig {
    /// Frames of a clip at most, the condition frame not counted.
    pub frames: usize,
    /// Frames of a clip at least: each update draws their number, since the last window of a long
    /// video is shorter than the others. Without it all have `frames`.
    pub min_frames: Option<usize>,
    /// Steps through the kept frames, one chosen for each clip: its speed of motion.
    pub strides: Vec<usize>,
    /// Words added to the caption for each of `strides`.
    pub stride_words: Vec<String>,
    /// Share of the captions without such a word, as most prompts are.
    pub stride_word_dropout: f64,
    /// Share of clips whose condition frame is any frame of the clip; of the others it is the
    /// frame before the first. Later windows of a long video see it from afar.
    pub distant_condition: f64,
    /// Share of clips without their caption, for guidance.
    pub text_dropout: f64,
    /// From how many views each clip is seen: first as it is; then mirrored, in other colours, and
    /// drifting (a word of the caption tells it), each view in its own way. A denoiser that sees only
    /// the first learns the clips by heart, and little of how to draw what has moved. Single pictures
    /// are seen as they are, for captions name colours.
    pub views: usize,
    /// Share of clips that run backwards.
    pub reversed_share: f64,
    /// Share of updates on single pictures without condition and temporal layers: first frames
    /// from a prompt. The stage `motion` has none.
    pub image_share: f64,
    /// The noise, as in the pipeline: clips that are trained with a share of their condition frame in
    /// it, at every strength, are sampled with the same (Lee et al. 2021, arXiv:2106.06406).
    pub noise: Noise,
    /// How much more often strong noise is trained on than weak: of s = 3 half of all timesteps are
    /// above three quarters (Esser et al. 2024, arXiv:2403.03206, section 5.3.2). 1 for all alike.
    pub timestep_shift: f64,
}

impl Default for DenoiserConfig {
    fn default() -> Self {
        Self {
            frames: 12,
            min_frames: None,
            strides: vec![1],
            stride_words: Vec::new(),
            stride_word_dropout: 0.3,
            distant_condition: 0.3,
            text_dropout: 0.1,
            views: 1,
            reversed_share: 0.0,
            image_share: 0.1,
            noise: Noise::default(),
            timestep_shift: 1.0,
        }
    }
}

impl DenoiserConfig {
    /// The timestep, of `count`, that is trained on where without a shift it would be `timestep`.
    pub(super) fn shifted(&self, timestep: usize, count: usize) -> usize {
        let share = (timestep as f64 + 0.5) / count as f64;
        let shift = self.timestep_shift;
        let shifted = shift * share / (1.0 + (shift - 1.0) * share);
        ((shifted * count as f64) as usize).min(count - 1)
    }

    /// The words for a clip with `caption`, seen at the stride of the number `speed`.
    pub(super) fn prompt(&self, caption: &str, speed: usize) -> String {
        match self.stride_words.get(speed).filter(|word| !word.is_empty()) {
            Some(word) => format!("{caption}, {word}"),
            None => caption.to_owned(),
        }
    }
}

impl TrainConfig {
    /// Reads `path`.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key, or a value that cannot be carried out.
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let config: Self = yaml::parse(&yaml::read_text(path)?, &origin)?;
        config.validate().map_err(|reason| Error::config(origin, reason))?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        let positive = [
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("save_every", self.save_every),
            ("data.size", self.data.size),
            ("data.keep_every", self.data.keep_every),
            ("data.max_frames", self.data.max_frames),
            ("denoiser.frames", self.denoiser.frames),
            ("denoiser.views", self.denoiser.views),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{key}` is 0; it must be at least 1"));
        }
        let DenoiserConfig { frames, min_frames, strides, stride_words, .. } = &self.denoiser;
        if min_frames.is_some_and(|least| !(1..=*frames).contains(&least)) {
            return Err(format!("`denoiser.min_frames` must be between 1 and `frames`, {frames}"));
        }
        if strides.is_empty() || strides.contains(&0) {
            return Err("`denoiser.strides` must name at least one stride, none of them 0".into());
        }
        if !stride_words.is_empty() && stride_words.len() != strides.len() {
            let (words, strides) = (stride_words.len(), strides.len());
            return Err(format!(
                "`denoiser.stride_words` has {words} entries for {strides} strides"
            ));
        }
        let shares = [
            ("autoencoder.recolored_share", self.autoencoder.recolored_share),
            ("denoiser.distant_condition", self.denoiser.distant_condition),
            ("denoiser.text_dropout", self.denoiser.text_dropout),
            ("denoiser.stride_word_dropout", self.denoiser.stride_word_dropout),
            ("denoiser.reversed_share", self.denoiser.reversed_share),
            ("denoiser.image_share", self.denoiser.image_share),
            ("optimizer.final_share", self.optimizer.final_share),
            ("optimizer.ema_decay", self.optimizer.ema_decay),
        ];
        if let Some((key, value)) = shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(format!("`{key}` is {value}; it must be between 0 and 1"));
        }
        let OptimizerConfig { learning_rate, max_grad_norm, .. } = self.optimizer;
        if !(learning_rate > 0.0 && max_grad_norm > 0.0) {
            return Err("`optimizer.learning_rate` and `max_grad_norm` must be positive".into());
        }
        let shift = self.denoiser.timestep_shift;
        if !(shift.is_finite() && shift > 0.0) {
            return Err(format!("`denoiser.timestep_shift` is {shift}; it must be positive"));
        }
        let Noise { keep_img_weight, s_noise, .. } = self.denoiser.noise;
        if keep_img_weight || s_noise != Noise::default().s_noise {
            return Err(
                "`denoiser.noise` has `keep_img_weight` or `s_noise`, which training does not \
                        follow; set them in the model's settings.yaml"
                    .into(),
            );
        }
        self.denoiser.noise.validate().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::DenoiserConfig;

    #[test]
    fn a_shift_moves_timesteps_towards_strong_noise() {
        let shifted = |timestep_shift, timestep| {
            DenoiserConfig { timestep_shift, ..Default::default() }.shifted(timestep, 1000)
        };
        assert!((0..1000).all(|timestep| shifted(1.0, timestep) == timestep));
        let by_three: Vec<usize> = (0..1000).map(|timestep| shifted(3.0, timestep)).collect();
        assert!(by_three.is_sorted() && *by_three.last().unwrap() == 999);
        assert!((749..=751).contains(&by_three[500]), "{}", by_three[500]);
    }
}
