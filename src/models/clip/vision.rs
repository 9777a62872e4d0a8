//! The image encoder of IP-Adapter.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::encoder::{CLIPEncoder, CLIPEncoderConfig, HiddenAct};
use crate::error::Result;
use crate::kernels::{Projection, Side, project};
use crate::models::check::Check;
use crate::nn::layer_norm::LayerNorm;

/// State-dict keys that differ from module paths: none.
pub const KEYS: &[(&str, &str)] = &[];

/// Channels of a picture.
const COLOURS: usize = 3;

/// `config.json` of an image encoder; defaults are IP-Adapter's (ViT-H/14).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct CLIPVisionConfig {
    /// Channels of the states.
    pub hidden_size: usize,
    /// Channels between the two feed-forward layers.
    pub intermediate_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Number of heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width and height of the pictures.
    pub image_size: usize,
    /// Width and height of the patches that become tokens.
    pub patch_size: usize,
    /// Channels of the embedding of a picture.
    pub projection_dim: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: HiddenAct,
    /// eps of every LayerNorm.
    pub layer_norm_eps: f64,
}

impl Default for CLIPVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1280,
            intermediate_size: 5120,
            num_hidden_layers: 32,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 14,
            projection_dim: 1024,
            hidden_act: HiddenAct::Gelu,
            layer_norm_eps: 1e-5,
        }
    }
}

/// The image encoder.
#[derive(Module, Debug)]
pub struct CLIPVisionModelWithProjection {
    vision_model: CLIPVisionTransformer,
    visual_projection: Linear,
}

#[derive(Module, Debug)]
struct CLIPVisionTransformer {
    embeddings: CLIPVisionEmbeddings,
    /// Spelt as in transformers.
    pre_layrnorm: LayerNorm,
    encoder: CLIPEncoder,
    post_layernorm: LayerNorm,
}

#[derive(Module, Debug)]
struct CLIPVisionEmbeddings {
    class_embedding: Param<Tensor<1>>,
    patch_embedding: PatchEmbedding,
    position_embedding: Embedding,
}

/// A convolution whose stride is its size, without bias: a linear map of each patch.
#[derive(Module, Debug)]
struct PatchEmbedding {
    weight: Param<Tensor<4>>,
}

/// What a [`CLIPVisionModelWithProjection`] sees in pictures. The first token stands for the whole
/// picture, the others for its patches.
#[derive(Clone, Debug)]
pub struct CLIPVisionOutput {
    /// Embeddings of the pictures, `[b, projection_dim]`, not normalised.
    pub image_embeds: Tensor<2>,
    /// States after the last layer, `[b, 1 + patches, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// States before the last layer, which IP-Adapter Plus takes, `[b, 1 + patches, hidden_size]`.
    pub penultimate_hidden_state: Tensor<3>,
}

impl CLIPVisionConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd, the heads do not divide the channels, or patches the picture.
    pub fn validate(&self, origin: &str) -> Result<()> {
        let (side, patch) = (self.image_size, self.patch_size);
        Check::new(origin)
            .channels("hidden_size", self.hidden_size)
            .channels("intermediate_size", self.intermediate_size)
            .channels("projection_dim", self.projection_dim)
            .channels("image_size", side)
            .layers("num_hidden_layers", self.num_hidden_layers)
            .divides("num_attention_heads", self.num_attention_heads, &[self.hidden_size])
            .that(patch > 0 && side.is_multiple_of(patch), || {
                format!("`patch_size` is {patch}, which does not divide the `image_size` {side}")
            })
            .finish()
    }

    /// About how many numbers of activations exist at once while it looks at `pictures` pictures.
    pub fn working_elements(&self, pictures: usize) -> usize {
        /// Tensors of the states' width in a layer: residual, input, queries, keys, values, output.
        const IN_ATTENTION: usize = 6;
        let tokens = 1 + (self.image_size / self.patch_size).pow(2);
        let input = COLOURS * self.image_size.pow(2);
        pictures * (input + tokens * (IN_ATTENTION * self.hidden_size + self.intermediate_size))
    }

    /// A [`CLIPVisionModelWithProjection`] with random weights.
    pub fn init(&self, device: &Device) -> CLIPVisionModelWithProjection {
        let (hidden, patch) = (self.hidden_size, self.patch_size);
        let encoder = CLIPEncoderConfig {
            hidden_size: hidden,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            hidden_act: self.hidden_act,
            layer_norm_eps: self.layer_norm_eps,
        };
        let normal = Initializer::Normal { mean: 0.0, std: 0.02 };
        let tokens = 1 + (self.image_size / patch).pow(2);
        CLIPVisionModelWithProjection {
            vision_model: CLIPVisionTransformer {
                embeddings: CLIPVisionEmbeddings {
                    class_embedding: normal.init([hidden], device),
                    patch_embedding: PatchEmbedding {
                        weight: normal.init([hidden, COLOURS, patch, patch], device),
                    },
                    position_embedding: EmbeddingConfig::new(tokens, hidden).init(device),
                },
                pre_layrnorm: encoder.init_norm(device),
                encoder: encoder.init(device),
                post_layernorm: encoder.init_norm(device),
            },
            visual_projection: LinearConfig::new(hidden, self.projection_dim)
                .with_bias(false)
                .init(device),
        }
    }
}

impl CLIPVisionModelWithProjection {
    /// Sees pictures.
    ///
    /// # Shapes
    /// - `pixel_values`: normalised, `[b, 3, image_size, image_size]`
    pub fn forward(&self, pixel_values: Tensor<4>) -> CLIPVisionOutput {
        let CLIPVisionTransformer { embeddings, pre_layrnorm, encoder, post_layernorm } =
            &self.vision_model;
        let x = pre_layrnorm.forward(embeddings.forward(pixel_values));
        let states = encoder.forward(x, None);
        let [b, _, c] = states.last.dims();
        let whole = states.last.clone().narrow(1, 0, 1).reshape([b, c]);
        CLIPVisionOutput {
            image_embeds: self.visual_projection.forward(post_layernorm.forward(whole)),
            last_hidden_state: states.last,
            penultimate_hidden_state: states.penultimate,
        }
    }
}

impl CLIPVisionEmbeddings {
    fn forward(&self, pixel_values: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embedding.forward(pixel_values);
        let [b, _, c] = patches.dims();
        let class = self.class_embedding.val().reshape([1, 1, c]).expand([b, 1, c]);
        let positions = self.position_embedding.weight.val().unsqueeze();
        Tensor::cat(vec![class, patches], 1) + positions
    }
}

impl PatchEmbedding {
    /// # Shapes
    /// - `x`: `[b, 3, h, w]`
    /// - output: `[b, patches, c]`, row by row
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let weight = self.weight.val();
        let ([b, colours, h, w], [c, _, side, _]) = (x.dims(), weight.dims());
        let (rows, columns, values) = (h / side, w / side, colours * side * side);
        let patches = x
            .reshape([b, colours, rows, side, columns, side])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([b, rows * columns, values]);
        let weight = weight.reshape([c, values]).transpose();
        project(patches, Projection { weight, bias: None }, Side::Tokens, Side::Tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_that_cannot_be_built_are_refused() {
        let fault = |config: CLIPVisionConfig| config.validate("x").unwrap_err().to_string();
        let heads = CLIPVisionConfig { num_attention_heads: 7, ..Default::default() };
        assert!(fault(heads).contains("num_attention_heads"));
        let patch = CLIPVisionConfig { patch_size: 15, ..Default::default() };
        assert!(fault(patch).contains("patch_size"));
        assert!(CLIPVisionConfig::default().validate("x").is_ok());
    }
}
