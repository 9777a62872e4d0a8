//! What a run needs to go on after it was stopped.

use std::path::{Path, PathBuf};

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{FloatDType, TensorData};
use serde::{Deserialize, Serialize};

use super::files::{create_folder, remove_folder, write_json};
use crate::checkpoint::{Weights, to_safetensors};
use crate::error::{Error, Result};
use crate::media::write_file;

/// The folder of a run's state. It is replaced whole: a run that is killed while it writes goes on
/// from the state before.
pub(super) struct StateFolder {
    current: PathBuf,
    next: PathBuf,
    last: PathBuf,
}

/// The tensors of a network, named.
pub(super) type Tensors = Vec<(String, TensorData)>;

/// What was read from a state folder.
pub(super) struct Saved {
    /// Updates done.
    pub(super) step: usize,
    /// Weights as the optimiser sees them.
    pub(super) weights: Weights,
    /// Their running mean.
    pub(super) mean: Weights,
    optimizer: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    step: usize,
}

const PROGRESS: &str = "progress.json";
const WEIGHTS: &str = "weights.safetensors";
const MEAN: &str = "mean.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";

impl StateFolder {
    /// The state of the run that writes to `output`.
    pub(super) fn new(output: &Path) -> Self {
        let folder = |name: &str| output.join(name);
        Self { current: folder("state"), next: folder("state.next"), last: folder("state.last") }
    }

    /// The state that was saved last, if any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(&self) -> Result<Option<Saved>> {
        let folder = [&self.current, &self.last].into_iter().find(|f| f.join(PROGRESS).is_file());
        let Some(folder) = folder else { return Ok(None) };
        let path = folder.join(PROGRESS);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        let Progress { step } = serde_json::from_str(&text)
            .map_err(|error| Error::config(path.display().to_string(), error.to_string()))?;
        Ok(Some(Saved {
            step,
            weights: Weights::open(&folder.join(WEIGHTS))?,
            mean: Weights::open(&folder.join(MEAN))?,
            optimizer: folder.join(OPTIMIZER),
        }))
    }

    /// Saves the state after update `step`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn save(
        &self,
        step: usize,
        (weights, mean): (Tensors, Tensors),
        optimizer: &ModuleOptimizer,
    ) -> Result<()> {
        let next = &self.next;
        remove_folder(next)?;
        create_folder(next)?;
        write_file(&next.join(WEIGHTS), &to_safetensors(weights, FloatDType::F32))?;
        write_file(&next.join(MEAN), &to_safetensors(mean, FloatDType::F32))?;
        let path = next.join(OPTIMIZER);
        optimizer.save(&path).map_err(|error| Error::checkpoint(&path, error.to_string()))?;
        write_json(&next.join(PROGRESS), &Progress { step })?;
        remove_folder(&self.last)?;
        if self.current.is_dir() {
            rename(&self.current, &self.last)?;
        }
        rename(next, &self.current)?;
        remove_folder(&self.last)
    }
}

impl Saved {
    /// `optimizer` with the state that was saved.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn restore(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let record = OptimizerRecord::load(&self.optimizer)
            .map_err(|error| Error::checkpoint(&self.optimizer, error.to_string()))?;
        Ok(optimizer.load_record(record))
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| Error::io("write", to, error))
}
