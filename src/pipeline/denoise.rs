//! One denoising step: every window through the UNet, averaged, guided, and the scheduler's update.

use burn::tensor::{FloatDType, Tensor};

use crate::error::Result;
use crate::kernels::{self, GuidedStep};
use crate::models::controlnet::{ControlNetInput, ControlResiduals};
use crate::models::unet_3d::{UNet3DConditions, UNet3DInput};
use crate::nn::frames::{fold, unfold};
use crate::pipeline::conditioning::Conditioning;
use crate::pipeline::latents::{insert_condition, mean_frame, remove_condition, select_frames};
use crate::pipeline::look::Look;
use crate::pipeline::serial::Serial;
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::window::last_positions;
use crate::pipeline::{Engine, Mode, Plan};
use crate::schedulers::{LinearUpdate, Scheduler};

/// The networks with everything about a shot that stays the same from step to step.
pub(crate) struct Denoiser<'a> {
    pub(crate) engine: &'a Engine,
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

impl State {
    /// The state after step `index` of `scheduler`, its fresh noise not yet added.
    ///
    /// # Shapes
    /// - `predicted`: a sum of predictions `[g, 4, t, h, w]` and how many there are of each frame
    ///   `[t]`; g is 2 with a guidance scale
    pub(crate) fn advanced(
        self,
        scheduler: &dyn Scheduler,
        index: usize,
        (sum, counter): (Tensor<5>, Tensor<1>),
        guidance_scale: Option<f64>,
    ) -> Self {
        let Self { latents, kept } = self;
        let combine = |update: LinearUpdate| {
            let step = GuidedStep {
                guidance_scale,
                sample_coefficient: update.sample,
                output_coefficient: update.output,
            };
            kernels::guided_step(latents.clone(), sum.clone(), counter.clone(), step)
        };
        let step = scheduler.step(index);
        let next = combine(step.linear);
        Self {
            latents: match kept {
                Some(kept) => next + kept * step.kept,
                None => next,
            },
            kept: scheduler.keeps(index).map(combine),
        }
    }
}

impl Denoiser<'_> {
    /// Latents of the generated frames after step `index`, its fresh noise not yet added. What
    /// `serial` takes up of the chunk before is in the prediction.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when `watch` breaks.
    pub(crate) fn step(
        &self,
        state: State,
        index: usize,
        serial: &mut Serial,
        watch: &mut dyn Watch,
    ) -> Result<State> {
        let scaled = state.latents.clone() * self.scheduler.input_scale(index);
        let predicted = self.predict_noise(scaled, index, watch)?;
        let steps = self.scheduler.timesteps().len();
        let predicted = serial.noise((index, steps), predicted);
        let guidance_scale = self.plan.guidance.get(index).copied();
        Ok(state.advanced(self.scheduler, index, predicted, guidance_scale))
    }

    /// The UNet's predictions in step `index` summed over all windows, and how many windows saw
    /// each frame.
    ///
    /// # Shapes
    /// - `latents`: `[1, 4, t, h, w]`, scaled for the UNet
    /// - output: `[g, 4, t, h, w]`, g copies for guidance; `[t]`
    fn predict_noise(
        &self,
        latents: Tensor<5>,
        index: usize,
        watch: &mut dyn Watch,
    ) -> Result<(Tensor<5>, Tensor<1>)> {
        let device = latents.device();
        let [_, channels, frames, height, width] = latents.dims();
        let copies = self.plan.guidance_batch();
        let mut sum = Tensor::zeros([copies, channels, frames, height, width], &device);
        let mut counter = Tensor::zeros([frames], &device);
        let mut done = 0;
        for group in self.plan.window_groups() {
            let prediction = self.predict_windows(&latents, group, index);
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
        index: usize,
    ) -> Tensor<5> {
        let positions = &self.plan.condition_positions;
        let window = |frames: &Vec<usize>| {
            let generated = select_frames(latents.clone(), frames);
            match &self.conditioning.vision {
                Some(condition) => insert_condition(condition.clone(), generated, positions),
                None => generated,
            }
        };
        let sample = Tensor::cat(group.iter().map(window).collect(), 0);
        let sample = sample.repeat_dim(0, self.plan.guidance_batch()).cast(self.engine.dtype);
        let seen: Vec<usize> = group.iter().flat_map(|w| self.plan.clip_frames(w)).collect();
        let Conditioning { text, look, .. } = self.conditioning;
        let Look { image_prompt, face_prompt, reference } = look.clone();
        let conditions = UNet3DConditions {
            motion_speed: self.conditioning.motion_speed,
            image_prompt,
            face_prompt,
            reference,
            control: self.control(&sample, &seen, index),
            pose: self.pose(&seen, group.len()),
        };
        let input = UNet3DInput {
            sample: sample.clone(),
            timesteps: vec![self.scheduler.timesteps()[index]],
            encoder_hidden_states: text.clone().cast(self.engine.dtype),
            vision_condition_index: positions.clone(),
            skip_temporal_layers: self.plan.mode == Mode::Image,
            unseen_condition: false,
            conditions,
        };
        self.moved(self.predict(input, index), sample, index)
    }

    /// The UNet in step `index` on `input`, which may have two halves for guidance, away from what it
    /// would predict with the condition frames out of sight, by the scale of image guidance: all frames of a
    /// window in the way that they have in common.
    ///
    /// # Shapes
    /// - output: `[g · windows, 4, frames of a window, h, w]`
    fn predict(&self, input: UNet3DInput, index: usize) -> Tensor<5> {
        let predicted = |input| {
            let prediction = self.engine.unet.forward(input).cast(FloatDType::F32);
            remove_condition(prediction, &self.plan.condition_positions)
        };
        let Some(&scale) = self.plan.image_guidance.get(index).filter(|&&scale| scale != 1.0)
        else {
            return predicted(input);
        };
        let copies = self.plan.guidance_batch();
        let prediction = predicted(input.clone());
        let prompted = if copies == 2 { input.second_half() } else { input };
        let unseeing = predicted(UNet3DInput { unseen_condition: true, ..prompted });
        let windows = unseeing.dims()[0];
        let away = prediction.clone().narrow(0, (copies - 1) * windows, windows) - unseeing;
        // What single frames would go away by is chance, and ends as specks.
        let away = mean_frame(away);
        // Both halves go the same way, so that classifier-free guidance leaves it as it is.
        prediction + away.repeat_dim(0, copies) * (scale - 1.0)
    }

    /// `prediction` in step `index` of a clip that moves more, by the scale of motion guidance: the clip
    /// that it tells goes away that far from the one that stands still, the mean of its frames.
    ///
    /// # Shapes
    /// - `prediction`, output: `[g · windows, 4, frames of a window, h, w]`; `sample`: the same with
    ///   condition frames
    fn moved(&self, prediction: Tensor<5>, sample: Tensor<5>, index: usize) -> Tensor<5> {
        let scale = self.plan.motion_guidance_scale_at(self.scheduler.timesteps()[index]);
        if scale == 1.0 {
            return prediction;
        }
        let sample = remove_condition(sample, &self.plan.condition_positions);
        // The told clip is linear in both. The sample stays what it is: the prediction has to say it all.
        let LinearUpdate { sample: seen, output } = self.scheduler.original(index);
        let more =
            motion(prediction.clone()) + motion(sample.cast(FloatDType::F32)) * (seen / output);
        prediction + more * (scale - 1.0)
    }

    /// What all ControlNets make of `sample` in step `index`. In guess mode the unconditional half
    /// is left alone; condition frames take part in it too, where the original fails (quirk Q-19).
    ///
    /// # Shapes
    /// - `sample`: `[g · windows, 4, frames of a window, h, w]`; `seen`: which frames of the clip
    ///   the windows show
    fn control(
        &self,
        sample: &Tensor<5>,
        seen: &[usize],
        index: usize,
    ) -> Option<ControlResiduals> {
        let (engine, halves) = (self.engine, self.plan.guidance_batch());
        let nets = engine.conditioners.control_nets.iter().zip(&self.conditioning.controls);
        let acting = nets.filter(|(_, control)| control.scales[index] != 0.0);
        let residuals = acting.map(|(net, control)| {
            let given = if control.guess_mode { 1 } else { halves };
            let last = |all: usize| all - all / halves * given..all;
            let rows = last(sample.dims()[0]);
            let text = self.conditioning.text.clone().cast(engine.dtype);
            let residuals = net.forward(ControlNetInput {
                sample: fold(sample.clone().slice([rows])),
                timesteps: vec![self.scheduler.timesteps()[index]],
                encoder_hidden_states: text.slice([last(halves)]),
                control: engine.control_images(&control.frames, seen),
                conditioning_scale: control.scales[index],
                guess_mode: control.guess_mode,
            });
            if given < halves { residuals.for_second_half() } else { residuals }
        });
        residuals.reduce(|sum, residuals| sum + residuals)
    }

    /// What the pose guider makes of the frames that `windows` windows show.
    ///
    /// # Shapes
    /// - output: `[g · windows, c, frames of a window, h, w]`
    fn pose(&self, seen: &[usize], windows: usize) -> Option<Tensor<5>> {
        let guider = self.engine.conditioners.pose_guider.as_ref()?;
        let pose = Some(&self.conditioning.pose).filter(|pose| !pose.is_empty())?;
        let images = self.engine.control_images(pose, seen);
        let features = guider.forward(unfold(images, seen.len() / windows));
        Some(features.repeat_dim(0, self.plan.guidance_batch()))
    }
}

/// How every frame differs from their mean.
///
/// # Shapes
/// - `x`, output: `[b, c, t, h, w]`
fn motion(x: Tensor<5>) -> Tensor<5> {
    x.clone() - mean_frame(x)
}

/// A dilated window of the `uniform` schedule can come round to the same frame twice; the later
/// prediction counts.
fn distinct(prediction: Tensor<5>, window: &[usize]) -> (Tensor<5>, Vec<usize>) {
    let kept = last_positions(window);
    if kept.len() == window.len() {
        return (prediction, window.to_vec());
    }
    let frames = kept.iter().map(|&position| window[position]).collect();
    (select_frames(prediction, &kept), frames)
}
