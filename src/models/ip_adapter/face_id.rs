//! Tokens of an embedding that tells whose face it is.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::models::check::Check;
use crate::models::shapes::{ShapeOf, sized};
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &[("proj.0", "proj_in"), ("proj.2", "proj_out")];

/// Sizes of a [`FaceIDProjModel`]; defaults are the published ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct FaceIDProjModelConfig {
    /// Channels of the tokens.
    pub cross_attention_dim: usize,
    /// Channels of the embedding; the inner width is twice as much.
    pub id_embeddings_dim: usize,
    /// Number of tokens.
    pub num_tokens: usize,
}

impl Default for FaceIDProjModelConfig {
    fn default() -> Self {
        Self { cross_attention_dim: 768, id_embeddings_dim: 512, num_tokens: 4 }
    }
}

/// Linear, GELU, linear, then LayerNorm of each token (IP-Adapter's `MLPProjModel`).
#[derive(Module, Debug)]
pub struct FaceIDProjModel {
    proj_in: Linear,
    proj_out: Linear,
    norm: LayerNorm,
    tokens: usize,
}

impl FaceIDProjModelConfig {
    /// The sizes of a file with tensors of these shapes, `None` if it is no such projection.
    pub fn of_shapes(shape: ShapeOf<'_>) -> Option<Self> {
        let [_, id_embeddings_dim] = sized(shape, "proj.0.weight")?;
        let [values, _] = sized(shape, "proj.2.weight")?;
        let [cross_attention_dim] = sized(shape, "norm.weight")?;
        let num_tokens = values.checked_div(cross_attention_dim)?;
        Some(Self { cross_attention_dim, id_embeddings_dim, num_tokens })
    }

    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd.
    pub fn validate(&self, origin: &str) -> Result<()> {
        Check::new(origin)
            .channels("cross_attention_dim", self.cross_attention_dim)
            .channels("id_embeddings_dim", self.id_embeddings_dim)
            .channels("num_tokens", self.num_tokens)
            .finish()
    }

    /// A [`FaceIDProjModel`] with random weights.
    pub fn init(&self, device: &Device) -> FaceIDProjModel {
        let (tokens, channels) = (self.num_tokens, self.cross_attention_dim);
        let inner = 2 * self.id_embeddings_dim;
        FaceIDProjModel {
            proj_in: LinearConfig::new(self.id_embeddings_dim, inner).init(device),
            proj_out: LinearConfig::new(inner, tokens * channels).init(device),
            norm: LayerNormConfig::new(channels).init(device),
            tokens,
        }
    }
}

impl FaceIDProjModel {
    /// Numbers of an embedding.
    pub fn embeddings_dim(&self) -> usize {
        self.proj_in.weight.lazy_shape()[0]
    }

    /// Makes tokens.
    ///
    /// # Shapes
    /// - `id_embeds`: normalised, `[b, id_embeddings_dim]`
    /// - output: `[b, tokens, cross_attention_dim]`
    pub fn forward(&self, id_embeds: Tensor<2>) -> Tensor<3> {
        let values = self.proj_out.forward(gelu(self.proj_in.forward(id_embeds)));
        let [b, count] = values.dims();
        self.norm.forward(values.reshape([b, self.tokens, count / self.tokens]))
    }
}
