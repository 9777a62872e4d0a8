//! Training, on the very networks of inference.
//!
//! A run is decided by its configuration: every random choice of an update follows from the seed
//! and the update's number, and the state is saved now and then, so that a run that was stopped
//! goes on as if it had not been. What it writes is a model folder like any other.

mod clips;
mod config;
mod draw;
pub mod emoji;
mod evaluate;
mod files;
mod frechet;
mod latents;
mod log;
mod model;
mod muon;
mod objective;
mod optimizer;
mod resumable;
mod sample;
mod state;
mod tasks;
mod views;
pub mod vocabulary;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

pub use config::{
    AutoencoderConfig, DataConfig, DenoiserConfig, OptimizerConfig, OptimizerKind, Stage,
    TrainConfig,
};
pub use evaluate::{DenoisingError, DenoisingErrors, Evaluation, FrechetAtRealEnergy, evaluate};
pub use log::Record;

use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::media;

use draw::Draw;
use files::create_folder;
use log::Log;
use model::ModelFolder;
use optimizer::{averaged, clip_norm, numbered, optimizer};
use state::{StateFolder, Tensors};
use tasks::{AutoencoderTask, DenoiserTask};

/// What a run has just done.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainEvent {
    /// Clips were read.
    Read {
        /// Clips so far.
        done: usize,
        /// Clips in all.
        of: usize,
    },
    /// Frames were encoded.
    Encoded {
        /// Frames so far.
        done: usize,
        /// Frames in all.
        of: usize,
    },
    /// An update was made.
    Step(Record),
    /// The state and the checkpoint were written.
    Saved {
        /// Updates done.
        step: usize,
    },
    /// A sheet of samples was written.
    Sampled {
        /// The picture.
        path: PathBuf,
    },
}

/// Hears of a run; `ControlFlow::Break` ends it: after the update, saved.
pub type TrainWatch<'a> = dyn FnMut(TrainEvent) -> ControlFlow<()> + 'a;

/// Hears how many of how many are done.
type Told<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

/// Tells `watch` an event; an error if it wants no more.
fn heard(watch: &mut TrainWatch, event: TrainEvent) -> Result<()> {
    if watch(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// What a stage trains, and on what.
trait Task {
    type Model: Module;

    /// The networks, new or from the model folder.
    fn build(&self, device: &Device) -> Result<Self::Model>;

    /// The networks with the tensors that [`Task::tensors`] told.
    fn restored(
        &self,
        model: Self::Model,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self::Model>;

    /// All tensors.
    fn tensors(&self, model: &Self::Model) -> Tensors;

    /// The loss of one update, `[1]`.
    fn loss(&self, model: &Self::Model, draw: &mut Draw) -> Result<Tensor<1>>;

    /// Writes `model` as a model folder.
    fn write(&self, model: &Self::Model, folder: &Path) -> Result<()>;

    /// A sheet that shows what `model` can do.
    fn sample(&self, model: &Self::Model) -> Result<media::Frame>;
}

/// Carries out `config` on `device` in float32, from where an earlier run with the same output
/// folder stopped.
///
/// # Errors
/// When a file cannot be read or written, does not fit, or the loss is no number any more.
pub fn train(config: &TrainConfig, device: &Device, watch: &mut TrainWatch) -> Result<()> {
    create_folder(&config.output.join("samples"))?;
    let model = ModelFolder::open(&config.model)?;
    let on = (config, device);
    match config.stage {
        Stage::Autoencoder => run(&AutoencoderTask::new(on, model, watch)?, on, watch),
        Stage::Denoiser | Stage::Motion => run(&DenoiserTask::new(on, model, watch)?, on, watch),
    }
}

fn run<T: Task>(
    task: &T,
    (config, plain): (&TrainConfig, &Device),
    watch: &mut TrainWatch,
) -> Result<()> {
    let device = plain.clone().autodiff();
    // Initial weights are drawn from the device's own generator.
    device.seed(config.seed);
    let folder = StateFolder::new(&config.output);
    let mut model = numbered(task.build(&device)?);
    let mut mean = model.valid();
    let mut optimizer = optimizer(&config.optimizer, &model);
    let mut step = 0;
    if let Some(saved) = folder.open()? {
        model = task.restored(model, &saved.weights, &device)?;
        mean = task.restored(mean, &saved.mean, plain)?;
        optimizer = saved.restore(optimizer)?;
        step = saved.step;
    }
    let mut log = Log::open(&config.output.join("log.csv"), step)?;
    while step < config.steps {
        let begin = Instant::now();
        let mut draw = Draw::new(config.seed, step);
        let loss = task.loss(&model, &mut draw)?;
        let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
        let norm = clip_norm(&model, &mut gradients, config.optimizer.max_grad_norm);
        let learning_rate = config.optimizer.learning_rate_at(step, config.steps);
        model = optimizer.step(learning_rate, model, gradients);
        mean = averaged(mean, &model, config.optimizer.ema_decay_at(step));
        // Only now: a device has much to do before anyone waits for it.
        let loss = f64::from(loss.into_scalar::<f32>());
        let gradient_norm = f64::from(norm.into_scalar::<f32>());
        if !(loss + gradient_norm).is_finite() {
            let reason = format!(
                "at update {step} the loss is {loss} and the gradients' norm {gradient_norm}; lower \
                 the learning rate"
            );
            return Err(Error::config("optimizer.learning_rate", reason));
        }
        step += 1;
        let seconds = begin.elapsed().as_secs_f64();
        let record = Record { step, loss, gradient_norm, learning_rate, seconds };
        log.push(record)?;
        let stop = watch(TrainEvent::Step(record)).is_break();
        let last = stop || step == config.steps;
        if last || step.is_multiple_of(config.save_every) {
            folder.save(step, (task.tensors(&model), task.tensors(&mean)), &optimizer)?;
            task.write(&mean, &config.output.join("checkpoint"))?;
            log.draw(&config.output.join("curves.png"))?;
            let _ = watch(TrainEvent::Saved { step });
        }
        if stop {
            return Err(Error::Cancelled);
        }
        if config.sample_every > 0 && (last || step.is_multiple_of(config.sample_every)) {
            let path = config.output.join(format!("samples/{step:06}.png"));
            media::write_file(&path, &media::png::encode(&task.sample(&mean)?)?)?;
            let _ = watch(TrainEvent::Sampled { path });
        }
    }
    Ok(())
}
