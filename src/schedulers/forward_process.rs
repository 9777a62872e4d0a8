//! How training turned pictures into noise, and what a prediction says about the picture.

use burn::tensor::Tensor;

use super::{LinearUpdate, PredictionType};

/// The share of the signal at each training timestep, and what the model predicts of the noisy
/// sample: `√ā·x₀ + √(1-ā)·ε`.
#[derive(Clone, Debug)]
pub(crate) struct ForwardProcess {
    alphas_cumprod: Vec<f32>,
    prediction_type: PredictionType,
}

impl ForwardProcess {
    pub(super) fn new(alphas_cumprod: Vec<f32>, prediction_type: PredictionType) -> Self {
        Self { alphas_cumprod, prediction_type }
    }

    /// Timesteps of training.
    pub(crate) fn timesteps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// What the model predicts.
    #[cfg(feature = "train")]
    pub(crate) fn prediction_type(&self) -> PredictionType {
        self.prediction_type
    }

    /// ā, the share of the signal in the variance.
    pub(crate) fn alpha_cumprod(&self, timestep: usize) -> f64 {
        f64::from(self.alphas_cumprod[timestep])
    }

    /// Factors of picture and noise, `√ā` and `√(1-ā)`.
    pub(crate) fn shares(&self, timestep: usize) -> [f64; 2] {
        let alpha = self.alpha_cumprod(timestep);
        [alpha.sqrt(), (1.0 - alpha).sqrt()]
    }

    /// The picture that a prediction says is in the sample.
    pub(super) fn original(&self, timestep: usize) -> LinearUpdate {
        let [signal, noise] = self.shares(timestep);
        match self.prediction_type {
            PredictionType::Epsilon => {
                LinearUpdate { sample: 1.0, output: -noise } * signal.recip()
            }
            PredictionType::VPrediction => LinearUpdate { sample: signal, output: -noise },
        }
    }

    /// The noise that a prediction says is in the sample.
    pub(super) fn epsilon(&self, timestep: usize) -> LinearUpdate {
        let [signal, noise] = self.shares(timestep);
        match self.prediction_type {
            PredictionType::Epsilon => LinearUpdate { sample: 0.0, output: 1.0 },
            PredictionType::VPrediction => LinearUpdate { sample: noise, output: signal },
        }
    }

    /// The noisy sample.
    ///
    /// # Shapes
    /// - `original`, `noise`, output: `[b, c, t, h, w]`
    pub(super) fn add_noise(
        &self,
        original: Tensor<5>,
        noise: Tensor<5>,
        timestep: usize,
    ) -> Tensor<5> {
        let [signal, share] = self.shares(timestep);
        original * signal + noise * share
    }
}
