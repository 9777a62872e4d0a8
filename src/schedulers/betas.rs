//! The noise that training added at each timestep.

use serde::{Deserialize, Serialize};

/// How the variance of one training step grows from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly in its square root, as Stable Diffusion was trained.
    ScaledLinear,
}

impl BetaSchedule {
    /// The variances of `count` training steps from `start` to `end`, in float32 as PyTorch has
    /// them.
    pub(super) fn betas(self, start: f64, end: f64, count: usize) -> Vec<f32> {
        match self {
            Self::Linear => linspace(start as f32, end as f32, count),
            Self::ScaledLinear => linspace(start.sqrt() as f32, end.sqrt() as f32, count)
                .into_iter()
                .map(|root| root * root)
                .collect(),
        }
    }
}

/// The product of all `1 - beta` up to each timestep: PyTorch multiplies in float64 and keeps
/// float32.
pub(super) fn alphas_cumprod(betas: &[f32]) -> Vec<f32> {
    betas
        .iter()
        .scan(1.0f64, |product, beta| {
            *product *= f64::from(1.0 - beta);
            Some(*product as f32)
        })
        .collect()
}

/// The variances that leave nothing of the signal at the last timestep (Lin et al. 2023,
/// arXiv:2305.08891, algorithm 1).
pub(super) fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = alphas_cumprod(betas).into_iter().map(f32::sqrt).collect();
    let (Some(first), Some(last)) = (roots.first(), roots.last()) else {
        return Vec::new();
    };
    let stretch = first / (first - last);
    let alphas_bar: Vec<f32> = roots.iter().map(|root| ((root - last) * stretch).powi(2)).collect();
    let before = std::iter::once(1.0).chain(alphas_bar.iter().copied());
    alphas_bar.iter().zip(before).map(|(alpha_bar, before)| 1.0 - alpha_bar / before).collect()
}

/// PyTorch's float32 `linspace`, which counts the second half back from the end.
fn linspace(start: f32, end: f32, count: usize) -> Vec<f32> {
    let step = (end - start) / count.saturating_sub(1).max(1) as f32;
    (0..count)
        .map(|i| {
            if i < count / 2 || count == 1 {
                start + step * i as f32
            } else {
                end - step * (count - 1 - i) as f32
            }
        })
        .collect()
}
