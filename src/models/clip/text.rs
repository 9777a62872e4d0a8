//! The text encoder of Stable Diffusion 1.5.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Bool, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::encoder::{CLIPEncoder, CLIPEncoderConfig, HiddenAct};
use crate::error::Result;
use crate::models::check::Check;
use crate::nn::layer_norm::LayerNorm;

/// State-dict keys that differ from module paths: files that transformers 5 wrote leave the outermost
/// module out.
pub const KEYS: &[(&str, &str)] = &[("text_model", "text_model"), ("", "text_model")];

/// `eos_token_id` of the files written before transformers knew the right one; they are read as
/// "the end of the text is its highest token".
const LEGACY_EOS: usize = 2;

/// `config.json` of a text encoder; defaults are Stable Diffusion 1.5's (ViT-L/14).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct CLIPTextConfig {
    /// Number of tokens.
    pub vocab_size: usize,
    /// Channels of the states.
    pub hidden_size: usize,
    /// Channels between the two feed-forward layers.
    pub intermediate_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Number of heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Longest text, in tokens.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: HiddenAct,
    /// eps of every LayerNorm.
    pub layer_norm_eps: f64,
    /// The token whose state is the pooled output; 2 stands for the highest token of the text.
    pub eos_token_id: usize,
}

impl Default for CLIPTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: LEGACY_EOS,
        }
    }
}

/// The text encoder; `text_model.` precedes every key of files from before transformers 5.
#[derive(Module, Debug)]
pub struct CLIPTextModel {
    text_model: CLIPTextTransformer,
}

#[derive(Module, Debug)]
struct CLIPTextTransformer {
    embeddings: CLIPTextEmbeddings,
    encoder: CLIPEncoder,
    final_layer_norm: LayerNorm,
    eos_token_id: usize,
}

#[derive(Module, Debug)]
struct CLIPTextEmbeddings {
    token_embedding: Embedding,
    position_embedding: Embedding,
}

/// What a [`CLIPTextModel`] says of a text.
#[derive(Clone, Debug)]
pub struct CLIPTextOutput {
    /// The states of all tokens after the final LayerNorm, `[b, n, c]`.
    pub last_hidden_state: Tensor<3>,
    /// The state at the end of the text, `[b, c]`.
    pub pooled: Tensor<2>,
}

impl CLIPTextConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd or the heads do not divide the channels.
    pub fn validate(&self, origin: &str) -> Result<()> {
        Check::new(origin)
            .channels("hidden_size", self.hidden_size)
            .channels("intermediate_size", self.intermediate_size)
            .channels("max_position_embeddings", self.max_position_embeddings)
            .layers("num_hidden_layers", self.num_hidden_layers)
            .divides("num_attention_heads", self.num_attention_heads, &[self.hidden_size])
            .that((1..=1 << 20).contains(&self.vocab_size), || {
                format!("`vocab_size` is {}; it must be between 1 and 1048576", self.vocab_size)
            })
            .finish()
    }

    /// A [`CLIPTextModel`] with random weights.
    pub fn init(&self, device: &Device) -> CLIPTextModel {
        let embedding = |n| EmbeddingConfig::new(n, self.hidden_size).init(device);
        let encoder = CLIPEncoderConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            hidden_act: self.hidden_act,
            layer_norm_eps: self.layer_norm_eps,
        };
        CLIPTextModel {
            text_model: CLIPTextTransformer {
                embeddings: CLIPTextEmbeddings {
                    token_embedding: embedding(self.vocab_size),
                    position_embedding: embedding(self.max_position_embeddings),
                },
                encoder: encoder.init(device),
                final_layer_norm: encoder.init_norm(device),
                eos_token_id: self.eos_token_id,
            },
        }
    }
}

impl CLIPTextModel {
    /// Encodes texts; every token sees only itself and those before it.
    ///
    /// # Shapes
    /// - `input_ids`: `[b, n]`, n at most `max_position_embeddings`
    pub fn forward(&self, input_ids: Tensor<2, Int>) -> CLIPTextOutput {
        let CLIPTextTransformer { embeddings, encoder, final_layer_norm, eos_token_id } =
            &self.text_model;
        let [b, n] = input_ids.dims();
        let device = input_ids.device();
        let positions = Tensor::<1, Int>::arange(0..n as i64, &device).reshape([1, n]);
        let states = embeddings.token_embedding.forward(input_ids.clone())
            + embeddings.position_embedding.forward(positions);
        let states = encoder.forward(states, Some(future_tokens(n, &device)));
        let last_hidden_state = final_layer_norm.forward(states.last);

        let c = last_hidden_state.dims()[2];
        let end = end_of_text(input_ids, *eos_token_id).reshape([b, 1, 1]).expand([b, 1, c]);
        let pooled = last_hidden_state.clone().gather(1, end).reshape([b, c]);
        CLIPTextOutput { last_hidden_state, pooled }
    }
}

/// `[1, 1, n, n]`, true where the column lies after the row.
fn future_tokens(n: usize, device: &Device) -> Tensor<4, Bool> {
    Tensor::<2, Bool>::tril_mask([n, n], 0, device).unsqueeze()
}

/// The position of the first `eos` of each text, `[b, 1]`; 0 where there is none.
fn end_of_text(input_ids: Tensor<2, Int>, eos: usize) -> Tensor<2, Int> {
    let [b, n] = input_ids.dims();
    let device = input_ids.device();
    let is_end = if eos == LEGACY_EOS {
        input_ids.clone().equal(input_ids.max_dim(1).expand([b, n]))
    } else {
        input_ids.equal_scalar(eos as i64)
    };
    // Distinct scores, because backends differ in which of several equal maxima they name.
    let positions = Tensor::<1, Int>::arange(0..n as i64, &device).reshape([1, n]);
    (is_end.int() * (2 * n as i64) - positions).argmax(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ids: [[i32; 4]; 2], eos: usize) -> Vec<i64> {
        let ids = Tensor::<2, Int>::from_data(ids, &Device::flex());
        end_of_text(ids, eos).into_data().iter::<i64>().collect()
    }

    #[test]
    fn the_end_is_the_first_eos_or_the_first_highest_token() {
        assert_eq!(ends([[7, 3, 9, 9], [7, 9, 12, 9]], 9), [2, 1]);
        assert_eq!(ends([[7, 3, 9, 9], [7, 9, 12, 9]], LEGACY_EOS), [2, 2]);
        assert_eq!(ends([[7, 3, 1, 1], [7, 1, 1, 1]], 9), [0, 0]);
    }

    #[test]
    fn configurations_that_cannot_be_built_are_refused() {
        let config = CLIPTextConfig { num_attention_heads: 5, ..Default::default() };
        let error = config.validate("text_encoder/config.json").unwrap_err().to_string();
        assert!(error.contains("num_attention_heads"), "{error}");
        assert!(CLIPTextConfig { vocab_size: 0, ..Default::default() }.validate("x").is_err());
        assert!(CLIPTextConfig::default().validate("x").is_ok());
    }
}
