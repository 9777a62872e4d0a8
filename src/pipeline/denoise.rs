//! One denoising step: every window through the UNet, averaged, guided, and the scheduler's update.

use burn::tensor::{FloatDType, Int, Tensor};

use crate::error::Result;
use crate::kernels::{self, GuidedStep};
use crate::models::unet_3d::{UNet3DConditionModel, UNet3DConditions, UNet3DInput};
use crate::pipeline::engine::Conditioning;
use crate::pipeline::latents::{insert_condition, remove_condition};
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::window::last_positions;
use crate::pipeline::{Mode, Plan};
use crate::schedulers::{LinearUpdate, Scheduler};

/// The UNet with everything about a shot that stays the same from step to step.
pub(crate) struct Denoiser<'a> {
    pub(crate) unet: &'a UNet3DConditionModel,
    /// Precision in which the UNet computes; latents stay float32.
    pub(crate) dtype: FloatDType,
    pub(crate) conditioning: &'a Conditioning,
    pub(crate) plan: &'a Plan,
    pub(crate) scheduler: &'a dyn Scheduler,
}

/// What one step hands to the next.
pub(crate) struct State {
    /// `[1, 4, t, h, w]`
    pub(crate) latents: Tensor<5>,
    /// What the scheduler keeps of the step before, in the same shape.
    pub(crate) kept: Option<Tensor<5>>,
}

impl Denoiser<'_> {
    /// Latents of the generated frames after step `index`, its fresh noise not yet added.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when `watch` breaks.
    pub(crate) fn step(
        &self,
        State { latents, kept }: State,
        index: usize,
        watch: &mut dyn Watch,
    ) -> Result<State> {
        let scheduler = self.scheduler;
        let scaled = latents.clone() * scheduler.input_scale(index);
        let (sum, counter) = self.predict_noise(scaled, scheduler.timesteps()[index], watch)?;
        let combine = |update: LinearUpdate| {
            let step = GuidedStep {
                guidance_scale: self.plan.guidance.get(index).copied(),
                sample_coefficient: update.sample,
                output_coefficient: update.output,
            };
            kernels::guided_step(latents.clone(), sum.clone(), counter.clone(), step)
        };
        let step = scheduler.step(index);
        let next = combine(step.linear);
        Ok(State {
            latents: match kept {
                Some(kept) => next + kept * step.kept,
                None => next,
            },
            kept: scheduler.keeps(index).map(combine),
        })
    }

    /// The UNet's predictions summed over all windows, and how many windows saw each frame.
    ///
    /// # Shapes
    /// - `latents`: `[1, 4, t, h, w]`, scaled for the UNet
    /// - output: `[g, 4, t, h, w]`, g copies for guidance; `[t]`
    fn predict_noise(
        &self,
        latents: Tensor<5>,
        timestep: f64,
        watch: &mut dyn Watch,
    ) -> Result<(Tensor<5>, Tensor<1>)> {
        let device = latents.device();
        let [_, channels, frames, height, width] = latents.dims();
        let copies = self.plan.guidance_batch();
        let mut sum = Tensor::zeros([copies, channels, frames, height, width], &device);
        let mut counter = Tensor::zeros([frames], &device);
        let mut done = 0;
        for group in self.plan.window_groups() {
            let prediction = self.predict_windows(&latents, group, timestep);
            for (row, window) in group.iter().enumerate() {
                // Rows of one window: one for each guidance half, a group apart.
                let rows: Vec<Tensor<5>> = (0..copies)
                    .map(|half| prediction.clone().narrow(0, half * group.len() + row, 1))
                    .collect();
                let rows = Tensor::cat(rows, 0);
                let (rows, frames) = distinct(rows, window);
                (sum, counter) = kernels::window_scatter(sum, counter, rows, &frames);
                let of = self.plan.windows.len();
                report(watch, Event::Window { index: done, of })?;
                done += 1;
            }
        }
        Ok((sum, counter))
    }

    /// The UNet on the windows of `group` at once.
    ///
    /// # Shapes
    /// - output: `[g · windows, 4, frames of a window, h, w]`, unconditional half first
    fn predict_windows(
        &self,
        latents: &Tensor<5>,
        group: &[Vec<usize>],
        timestep: f64,
    ) -> Tensor<5> {
        let device = latents.device();
        let positions = &self.plan.condition_positions;
        let window = |frames: &Vec<usize>| {
            let indices: Vec<i32> = frames.iter().map(|&frame| frame as i32).collect();
            let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &device);
            let generated = latents.clone().select(2, indices);
            match &self.conditioning.vision {
                Some(condition) => insert_condition(condition.clone(), generated, positions),
                None => generated,
            }
        };
        let sample = Tensor::cat(group.iter().map(window).collect(), 0);
        let sample = sample.repeat_dim(0, self.plan.guidance_batch());
        let prediction = self.unet.forward(UNet3DInput {
            sample: sample.cast(self.dtype),
            timesteps: vec![timestep],
            encoder_hidden_states: self.text(group.len()).cast(self.dtype),
            vision_condition_index: positions.clone(),
            skip_temporal_layers: self.plan.mode == Mode::Image,
            conditions: UNet3DConditions::default(),
        });
        remove_condition(prediction.cast(FloatDType::F32), positions)
    }

    /// Text states for `windows` windows: each guidance half repeated for every one of them.
    fn text(&self, windows: usize) -> Tensor<3> {
        let [halves, tokens, channels] = self.conditioning.text.dims();
        self.conditioning
            .text
            .clone()
            .reshape([halves, 1, tokens, channels])
            .repeat_dim(1, windows)
            .reshape([halves * windows, tokens, channels])
    }
}

/// A dilated window of the `uniform` schedule can come round to the same frame twice; the later
/// prediction counts.
fn distinct(prediction: Tensor<5>, window: &[usize]) -> (Tensor<5>, Vec<usize>) {
    let kept = last_positions(window);
    if kept.len() == window.len() {
        return (prediction, window.to_vec());
    }
    let frames = kept.iter().map(|&position| window[position]).collect();
    let indices: Vec<i32> = kept.into_iter().map(|position| position as i32).collect();
    let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &prediction.device());
    (prediction.select(2, indices), frames)
}
