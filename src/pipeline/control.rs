//! Frames that a clip follows, and when it follows them.

use crate::error::{Error, Result};
use crate::media::Frame;

/// What a clip follows by way of a ControlNet.
#[derive(Clone, Debug)]
pub struct Control {
    /// Poses, edges and the like: one for every frame of the clip in its order, condition frames
    /// included. Those of another size are cropped and resized.
    pub frames: Vec<Frame>,
    /// How strongly. Default 1.
    pub scale: f64,
    /// During which steps. Default all.
    pub interval: ControlInterval,
    /// Whether the frames count for more than the prompt: only its half of guidance follows them,
    /// and outer layers less than inner ones. Default false.
    pub guess_mode: bool,
}

impl Control {
    /// Follows `frames`, at every step and at the usual strength.
    pub fn new(frames: Vec<Frame>) -> Self {
        Self { frames, scale: 1.0, interval: ControlInterval::default(), guess_mode: false }
    }

    /// Checks the values for a clip of `total` frames.
    pub(super) fn validate(&self, total: usize) -> Result<()> {
        check_count("controlnet", self.frames.len(), total)?;
        if !self.scale.is_finite() {
            let reason = format!("{} is not a finite number", self.scale);
            return Err(Error::request("controlnet-conditioning-scale", reason));
        }
        let ControlInterval { start, end } = self.interval;
        if !((0.0..=1.0).contains(&start) && (start..=1.0).contains(&end)) {
            let reason = format!("{start} to {end} is no part of a run, which goes from 0 to 1");
            return Err(Error::request("control-guidance", reason));
        }
        Ok(())
    }
}

/// Checks that there are as many control frames as the clip has frames.
pub(super) fn check_count(option: &'static str, frames: usize, total: usize) -> Result<()> {
    if frames == total {
        return Ok(());
    }
    let reason = format!(
        "{frames} control frames for {total} frames of the clip, its condition frames included"
    );
    Err(Error::request(option, reason))
}

/// The part of a run in which a ControlNet acts, as shares of its steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlInterval {
    /// Steps that begin before this share are left out. Default 0.
    pub start: f64,
    /// Steps that end after this share are left out. Default 1.
    pub end: f64,
}

impl Default for ControlInterval {
    fn default() -> Self {
        Self { start: 0.0, end: 1.0 }
    }
}

impl ControlInterval {
    /// What the ControlNet's scale is multiplied by at each of `steps`: 1 inside, 0 outside.
    pub fn factors(&self, steps: usize) -> Vec<f64> {
        let share = |step: usize| step as f64 / steps as f64;
        (0..steps)
            .map(|i| if share(i) < self.start || share(i + 1) > self.end { 0.0 } else { 1.0 })
            .collect()
    }
}
