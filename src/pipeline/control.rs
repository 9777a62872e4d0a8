//! ControlNets over the steps of a run.

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
