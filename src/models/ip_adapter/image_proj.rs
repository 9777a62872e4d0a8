//! Tokens of a CLIP embedding.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::models::shapes::{ShapeOf, sized};
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};

/// State-dict keys that differ from module paths: none.
pub const KEYS: &[(&str, &str)] = &[];

/// Sizes of an [`ImageProjModel`]; defaults are the published ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct ImageProjModelConfig {
    /// Channels of the tokens.
    pub cross_attention_dim: usize,
    /// Channels of the embedding.
    pub clip_embeddings_dim: usize,
    /// Number of tokens.
    pub clip_extra_context_tokens: usize,
}

impl Default for ImageProjModelConfig {
    fn default() -> Self {
        Self { cross_attention_dim: 768, clip_embeddings_dim: 1024, clip_extra_context_tokens: 4 }
    }
}

/// Linear, then LayerNorm of each token.
#[derive(Module, Debug)]
pub struct ImageProjModel {
    proj: Linear,
    norm: LayerNorm,
    tokens: usize,
}

impl ImageProjModelConfig {
    /// The sizes of a file with tensors of these shapes, `None` if it is no such projection.
    pub fn of_shapes(shape: ShapeOf<'_>) -> Option<Self> {
        let [values, clip_embeddings_dim] = sized(shape, "proj.weight")?;
        let [cross_attention_dim] = sized(shape, "norm.weight")?;
        let clip_extra_context_tokens = values.checked_div(cross_attention_dim)?;
        Some(Self { cross_attention_dim, clip_embeddings_dim, clip_extra_context_tokens })
    }

    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd.
    pub fn validate(&self, origin: &str) -> Result<()> {
        Check::new(origin)
            .channels("cross_attention_dim", self.cross_attention_dim)
            .channels("clip_embeddings_dim", self.clip_embeddings_dim)
            .channels("clip_extra_context_tokens", self.clip_extra_context_tokens)
            .finish()
    }

    /// An [`ImageProjModel`] with random weights.
    pub fn init(&self, device: &Device) -> ImageProjModel {
        let (tokens, channels) = (self.clip_extra_context_tokens, self.cross_attention_dim);
        ImageProjModel {
            proj: LinearConfig::new(self.clip_embeddings_dim, tokens * channels).init(device),
            norm: LayerNormConfig::new(channels).init(device),
            tokens,
        }
    }
}

impl ImageProjModel {
    /// Numbers of an embedding.
    pub fn embeddings_dim(&self) -> usize {
        self.proj.weight.lazy_shape()[0]
    }

    /// Makes tokens.
    ///
    /// # Shapes
    /// - `image_embeds`: `[b, clip_embeddings_dim]`
    /// - output: `[b, tokens, cross_attention_dim]`
    pub fn forward(&self, image_embeds: Tensor<2>) -> Tensor<3> {
        let values = self.proj.forward(image_embeds);
        let [b, count] = values.dims();
        self.norm.forward(values.reshape([b, self.tokens, count / self.tokens]))
    }
}
