//! DPM-Solver++ of first and second order (Lu et al. 2022, arXiv:2211.01095, algorithm 2), as
//! MuseV's older copy has it: the last step goes to timestep 0, not to a sample without noise.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::forward_process::ForwardProcess;
use super::sigmas;
use super::{LinearUpdate, Scheduler, SchedulerConfig, Step};

/// Below so many steps the last one is of first order.
const FEW_STEPS: usize = 15;
/// Exponent of the noise levels of Karras et al. 2022, arXiv:2206.00364, equation 5.
const RHO: f64 = 7.0;

/// How the second-order term is weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// At the middle of the step.
    #[default]
    Midpoint,
    /// By the mean of both ends.
    Heun,
}

/// The DPM-Solver++ sampler for a number of steps.
#[derive(Clone, Debug)]
pub(super) struct DPMSolverMultistepScheduler {
    process: ForwardProcess,
    timesteps: Vec<f64>,
    solver_type: SolverType,
    second_order: bool,
    lower_order_final: bool,
}

impl DPMSolverMultistepScheduler {
    /// Timesteps are whole, and those that rounding makes equal are visited once: there can be
    /// fewer than `steps`.
    pub(super) fn new(config: &SchedulerConfig, process: ForwardProcess, steps: usize) -> Self {
        let mut timesteps = if config.use_karras_sigmas.unwrap_or(true) {
            karras_timesteps(&sigmas::train_sigmas(&process), steps)
        } else {
            let last = (process.timesteps() - 1) as f64;
            let timestep = |i: usize| (last * i as f64 / steps as f64).round_ties_even();
            (1..=steps).rev().map(timestep).collect()
        };
        timesteps.dedup();
        Self {
            process,
            timesteps,
            solver_type: config.solver_type,
            second_order: config.solver_order == 2,
            lower_order_final: config.lower_order_final,
        }
    }

    fn timestep(&self, index: usize) -> usize {
        self.timesteps.get(index).map_or(0, |&timestep| timestep as usize)
    }

    fn is_second_order(&self, index: usize) -> bool {
        let count = self.timesteps.len();
        let lower = self.lower_order_final && index + 1 == count && count < FEW_STEPS;
        self.second_order && index > 0 && !lower
    }

    /// The step of first order, with h, the change of λ, and the weight of the predicted picture.
    fn first_order(&self, index: usize) -> (LinearUpdate, f64, f64) {
        let [from, to] = [self.timestep(index), self.timestep(index + 1)];
        let [_, noise_from] = self.process.shares(from);
        let [signal, noise] = self.process.shares(to);
        let h = self.lambda(to) - self.lambda(from);
        let weight = -signal * (-h).exp_m1();
        let sample = LinearUpdate::SAMPLE * (noise / noise_from);
        (sample + self.process.original(from) * weight, h, weight)
    }

    /// ln of signal over noise.
    fn lambda(&self, timestep: usize) -> f64 {
        let [signal, noise] = self.process.shares(timestep);
        (signal / noise).ln()
    }
}

impl Scheduler for DPMSolverMultistepScheduler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn original(&self, index: usize) -> LinearUpdate {
        self.process.original(self.timestep(index))
    }

    fn step(&self, index: usize) -> Step {
        let (linear, h, weight) = self.first_order(index);
        if !self.is_second_order(index) || h == 0.0 {
            return linear.into();
        }
        let to = self.timestep(index + 1);
        let before = self.lambda(self.timestep(index)) - self.lambda(self.timestep(index - 1));
        let derivative = match self.solver_type {
            SolverType::Midpoint => 0.5 * weight,
            SolverType::Heun => self.process.shares(to)[0] * ((-h).exp_m1() / h + 1.0),
        } * h
            / before;
        Step {
            linear: linear + self.original(index) * derivative,
            kept: -derivative,
            ..Step::default()
        }
    }

    fn first_step(&self, index: usize) -> Step {
        self.first_order(index).0.into()
    }

    fn keeps(&self, index: usize) -> Option<LinearUpdate> {
        let needed = index + 1 < self.timesteps.len() && self.is_second_order(index + 1);
        needed.then(|| self.original(index))
    }

    fn add_noise(&self, original: Tensor<5>, noise: Tensor<5>, index: usize) -> Tensor<5> {
        self.process.add_noise(original, noise, self.timestep(index))
    }
}

/// The whole timesteps nearest to the noise levels of Karras et al., descending.
fn karras_timesteps(train_sigmas: &[f32], steps: usize) -> Vec<f64> {
    let root = |sigma: f32| f64::from(sigma).powf(RHO.recip());
    let (least, largest) = (root(train_sigmas[0]), root(train_sigmas[train_sigmas.len() - 1]));
    let logarithms: Vec<f64> = train_sigmas.iter().map(|&sigma| f64::from(sigma.ln())).collect();
    let level = |i: usize| {
        let share = i as f64 / (steps.max(2) - 1) as f64;
        (RHO * (least + share * (largest - least)).ln()).max(logarithms[0])
    };
    (0..steps).rev().map(|i| position(&logarithms, level(i)).round_ties_even()).collect()
}

/// Where `value` lies among the ascending `values`, linearly between two of them.
fn position(values: &[f64], value: f64) -> f64 {
    let above = values.partition_point(|&other| other <= value);
    let low = above.saturating_sub(1).min(values.len().saturating_sub(2));
    let Some(&high) = values.get(low + 1) else { return 0.0 };
    low as f64 + ((value - values[low]) / (high - values[low])).clamp(0.0, 1.0)
}
