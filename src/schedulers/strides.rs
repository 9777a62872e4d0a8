//! The steps of samplers that go down evenly, from whole timestep to whole timestep.

use super::forward_process::ForwardProcess;
use super::{LinearUpdate, SchedulerConfig, TimestepSpacing};

/// The forward process at the timesteps of a run.
#[derive(Clone, Debug)]
pub(super) struct Strides {
    pub(super) process: ForwardProcess,
    pub(super) timesteps: Vec<f64>,
    /// Training timesteps between two steps.
    stride: usize,
}

impl Strides {
    /// `steps` timesteps, spaced by `leading` where `config` says nothing.
    pub(super) fn new(config: &SchedulerConfig, process: ForwardProcess, steps: usize) -> Self {
        let spacing = config.spacing_or(TimestepSpacing::Leading);
        let stride = process.timesteps() / steps;
        Self { process, timesteps: config.whole_timesteps(spacing, steps), stride }
    }

    /// The timestep of step `index`.
    pub(super) fn timestep(&self, index: usize) -> usize {
        self.timesteps[index] as usize
    }

    /// The clean sample that a prediction in step `index` tells.
    pub(super) fn original(&self, index: usize) -> LinearUpdate {
        self.process.original(self.timestep(index))
    }

    /// ā at the beginning of step `index`.
    pub(super) fn alpha(&self, index: usize) -> f64 {
        self.process.alpha_cumprod(self.timestep(index))
    }

    /// The same at its end; `None` when that lies below timestep 0.
    pub(super) fn next_alpha(&self, index: usize) -> Option<f64> {
        let next = self.timestep(index).checked_sub(self.stride)?;
        Some(self.process.alpha_cumprod(next))
    }
}
