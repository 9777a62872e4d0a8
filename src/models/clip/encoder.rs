//! The transformer that the text and the vision model have in common.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{gelu, sigmoid, softmax};
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernels::attention;
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};
use crate::nn::projection::map_tokens;

/// Score of a token that may not be seen: far below any real score, yet finite in f16.
const MASKED: f32 = -1e4;

/// Activation of the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// `x · sigmoid(1.702 x)`.
    QuickGelu,
    /// The exact GELU.
    Gelu,
}

/// Sizes of a [`CLIPEncoder`].
#[derive(Clone, Copy, Debug)]
pub(super) struct CLIPEncoderConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) hidden_act: HiddenAct,
    pub(super) layer_norm_eps: f64,
}

#[derive(Module, Debug)]
pub(super) struct CLIPEncoder {
    layers: Vec<CLIPEncoderLayer>,
}

/// States of the tokens, `[b, n, c]`.
pub(super) struct CLIPStates {
    /// After the last layer.
    pub(super) last: Tensor<3>,
    /// Before the last layer.
    pub(super) penultimate: Tensor<3>,
}

#[derive(Module, Debug)]
struct CLIPEncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: CLIPAttention,
    layer_norm2: LayerNorm,
    mlp: CLIPMLP,
}

#[derive(Module, Debug)]
struct CLIPAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
#[expect(clippy::upper_case_acronyms, reason = "the name in transformers")]
struct CLIPMLP {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: HiddenAct,
}

impl CLIPEncoderConfig {
    pub(super) fn init(&self, device: &Device) -> CLIPEncoder {
        CLIPEncoder {
            layers: (0..self.num_hidden_layers).map(|_| self.init_layer(device)).collect(),
        }
    }

    fn init_layer(&self, device: &Device) -> CLIPEncoderLayer {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        CLIPEncoderLayer {
            layer_norm1: self.init_norm(device),
            self_attn: CLIPAttention {
                q_proj: linear(hidden, hidden),
                k_proj: linear(hidden, hidden),
                v_proj: linear(hidden, hidden),
                out_proj: linear(hidden, hidden),
                heads: self.num_attention_heads,
            },
            layer_norm2: self.init_norm(device),
            mlp: CLIPMLP {
                fc1: linear(hidden, inner),
                fc2: linear(inner, hidden),
                activation: self.hidden_act,
            },
        }
    }

    pub(super) fn init_norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.hidden_size).with_eps(self.layer_norm_eps).init(device)
    }
}

impl CLIPEncoder {
    /// Runs all layers; tokens do not see those at which `mask` is true.
    ///
    /// # Shapes
    /// - `x`: `[b, n, c]`
    /// - `mask`: `[1, 1, n, n]`, rows see columns
    pub(super) fn forward(&self, x: Tensor<3>, mask: Option<Tensor<4, Bool>>) -> CLIPStates {
        let first = CLIPStates { last: x.clone(), penultimate: x };
        self.layers.iter().fold(first, |states, layer| CLIPStates {
            last: layer.forward(states.last.clone(), mask.clone()),
            penultimate: states.last,
        })
    }
}

impl CLIPEncoderLayer {
    fn forward(&self, x: Tensor<3>, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let x = self.self_attn.forward(self.layer_norm1.forward(x.clone()), mask) + x;
        self.mlp.forward(self.layer_norm2.forward(x.clone())) + x
    }
}

impl CLIPAttention {
    fn forward(&self, x: Tensor<3>, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let q = map_tokens(x.clone(), &self.q_proj);
        let k = map_tokens(x.clone(), &self.k_proj);
        let v = map_tokens(x, &self.v_proj);
        let out = match mask {
            Some(mask) => masked_attention([q, k, v], self.heads, mask),
            None => attention(q, k, v, self.heads),
        };
        map_tokens(out, &self.out_proj)
    }
}

/// Attention in plain tensor operations: texts are short, and no kernel takes a mask.
fn masked_attention(qkv: [Tensor<3>; 3], heads: usize, mask: Tensor<4, Bool>) -> Tensor<3> {
    let [b, n, c] = qkv[0].dims();
    let d = c / heads;
    let [q, k, v] = qkv.map(|x| x.reshape([b, n, heads, d]).swap_dims(1, 2));
    let scores = (q * (1.0 / (d as f64).sqrt())).matmul(k.swap_dims(2, 3));
    let weights = softmax(scores.mask_fill(mask.expand([b, heads, n, n]), MASKED), 3);
    weights.matmul(v).swap_dims(1, 2).reshape([b, n, c])
}

impl CLIPMLP {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = map_tokens(x, &self.fc1);
        let x = match self.activation {
            HiddenAct::QuickGelu => x.clone() * sigmoid(x * 1.702),
            HiddenAct::Gelu => gelu(x),
        };
        map_tokens(x, &self.fc2)
    }
}
