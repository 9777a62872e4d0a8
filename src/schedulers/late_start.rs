//! Beginning in the middle (SDEdit, Meng et al. 2021, arXiv:2108.01073): pictures that noise of less
//! than full strength was added to are denoised in the last steps of a schedule.

use burn::tensor::Tensor;

use super::{LinearUpdate, Scheduler, Step};

/// The last steps of a sampler.
#[derive(Debug)]
pub struct LateStart {
    whole: Box<dyn Scheduler>,
    /// Steps left out; there are more.
    skipped: usize,
}

impl LateStart {
    /// `whole` without its first `skipped` steps; the last one is always left.
    pub fn new(whole: Box<dyn Scheduler>, skipped: usize) -> Self {
        let skipped = skipped.min(whole.timesteps().len().saturating_sub(1));
        Self { whole, skipped }
    }
}

impl Scheduler for LateStart {
    fn timesteps(&self) -> &[f64] {
        &self.whole.timesteps()[self.skipped..]
    }

    fn init_noise_sigma(&self) -> f64 {
        self.whole.init_noise_sigma()
    }

    fn sigmas(&self) -> &[f64] {
        self.whole.sigmas().get(self.skipped..).unwrap_or_default()
    }

    fn input_scale(&self, index: usize) -> f64 {
        self.whole.input_scale(self.skipped + index)
    }

    fn original(&self, index: usize) -> LinearUpdate {
        self.whole.original(self.skipped + index)
    }

    fn step(&self, index: usize) -> Step {
        match index {
            0 => self.first_step(0),
            _ => self.whole.step(self.skipped + index),
        }
    }

    fn first_step(&self, index: usize) -> Step {
        self.whole.first_step(self.skipped + index)
    }

    fn keeps(&self, index: usize) -> Option<LinearUpdate> {
        self.whole.keeps(self.skipped + index)
    }

    fn draws_noise(&self, index: usize) -> bool {
        self.whole.draws_noise(self.skipped + index)
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.whole.add_noise(original, noise, self.skipped + index)
    }
}
