//! The pose guider: a small alternative to ControlNet.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::models::shapes::{ShapeOf, sized};
use crate::nn::conditioning_embedding::{ConditioningEmbedding, ConditioningEmbeddingConfig};
use crate::nn::frames::{fold, unfold};

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &[("", "embedding")];

/// Configuration of a [`PoseGuider`]; defaults are the published sizes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct PoseGuiderConfig {
    /// Channels of the features: those of the denoiser's first level.
    pub conditioning_embedding_channels: usize,
    /// Channels of the control frames.
    pub conditioning_channels: usize,
    /// Channels per level; each after the first halves the size.
    pub block_out_channels: Vec<usize>,
}

impl Default for PoseGuiderConfig {
    fn default() -> Self {
        Self {
            conditioning_embedding_channels: 320,
            conditioning_channels: 3,
            block_out_channels: vec![16, 32, 96, 256],
        }
    }
}

/// Convolutions from control frames to what the denoiser adds after its `conv_in`.
#[derive(Module, Debug)]
pub struct PoseGuider {
    embedding: ConditioningEmbedding,
}

impl PoseGuiderConfig {
    /// The sizes of a file with tensors of these shapes, `None` if it is no pose guider.
    pub fn of_shapes(shape: ShapeOf<'_>) -> Option<Self> {
        let [first, conditioning_channels, ..] = sized::<4>(shape, "conv_in.weight")?;
        let [conditioning_embedding_channels, ..] = sized::<4>(shape, "conv_out.weight")?;
        // Of the two convolutions of a level the second has the channels of the next.
        let next = |i: usize| Some(sized::<4>(shape, &format!("blocks.{}.weight", 2 * i + 1))?[0]);
        let block_out_channels = std::iter::once(first).chain((0..).map_while(next)).collect();
        Some(Self { conditioning_embedding_channels, conditioning_channels, block_out_channels })
    }

    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd.
    pub fn validate(&self, origin: &str) -> Result<()> {
        Check::new(origin)
            .channels("conditioning_embedding_channels", self.conditioning_embedding_channels)
            .channels("conditioning_channels", self.conditioning_channels)
            .block_channels(&self.block_out_channels)
            .finish()
    }

    /// A [`PoseGuider`] with random weights.
    pub fn init(&self, device: &Device) -> PoseGuider {
        PoseGuider { embedding: self.embedding().init(device) }
    }

    /// Its convolutions.
    pub(crate) fn embedding(&self) -> ConditioningEmbeddingConfig {
        ConditioningEmbeddingConfig::new(
            self.conditioning_channels,
            self.conditioning_embedding_channels,
            self.block_out_channels.clone(),
        )
    }
}

impl PoseGuider {
    /// Embeds control frames.
    ///
    /// # Shapes
    /// - `frames`: values in 0..1, `[b, conditioning_channels, t, h·s, w·s]`, s = 2 to the number of
    ///   halvings, 8 as published
    /// - output: `[b, conditioning_embedding_channels, t, h, w]`
    pub fn forward(&self, frames: Tensor<5>) -> Tensor<5> {
        let count = frames.dims()[2];
        unfold(self.embedding.forward(fold(frames)), count)
    }
}
