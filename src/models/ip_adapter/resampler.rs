//! Tokens that a perceiver (Jaegle et al. 2021, arXiv:2103.03206) picks from all patches of a
//! picture: IP-Adapter Plus.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::kernels::attention;
use crate::models::check::Check;
use crate::models::shapes::{ShapeOf, sized};
use crate::nn::layer_norm::{LayerNorm, LayerNormConfig};
use crate::nn::projection::map_tokens;

/// State-dict keys that differ from module paths.
pub const KEYS: &[(&str, &str)] = &[
    ("layers.#.0", "layers.#.attention"),
    ("layers.#.1.0", "layers.#.feed_forward.norm"),
    ("layers.#.1.1", "layers.#.feed_forward.proj_in"),
    ("layers.#.1.3", "layers.#.feed_forward.proj_out"),
];

/// Sizes of a [`Resampler`]; defaults are the published ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct ResamplerConfig {
    /// Channels inside.
    pub dim: usize,
    /// Number of layers.
    pub depth: usize,
    /// Channels of a head.
    pub dim_head: usize,
    /// Number of heads.
    pub heads: usize,
    /// Number of tokens that come out.
    pub num_queries: usize,
    /// Channels of the patches.
    pub embedding_dim: usize,
    /// Channels of the tokens that come out.
    pub output_dim: usize,
    /// Inner width of the feed-forward layers, in `dim`.
    pub ff_mult: usize,
}

impl Default for ResamplerConfig {
    fn default() -> Self {
        Self {
            dim: 768,
            depth: 4,
            dim_head: 64,
            heads: 12,
            num_queries: 16,
            embedding_dim: 1280,
            output_dim: 768,
            ff_mult: 4,
        }
    }
}

/// Learned queries that look at the patches of a picture, layer by layer.
#[derive(Module, Debug)]
pub struct Resampler {
    latents: Param<Tensor<3>>,
    proj_in: Linear,
    layers: Vec<ResamplerLayer>,
    proj_out: Linear,
    norm_out: LayerNorm,
}

#[derive(Module, Debug)]
struct ResamplerLayer {
    attention: PerceiverAttention,
    feed_forward: ResamplerFeedForward,
}

/// Attention of the queries to the patches and to themselves.
#[derive(Module, Debug)]
struct PerceiverAttention {
    /// Of the patches.
    norm1: LayerNorm,
    /// Of the queries.
    norm2: LayerNorm,
    to_q: Linear,
    /// Keys, then values.
    to_kv: Linear,
    to_out: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct ResamplerFeedForward {
    norm: LayerNorm,
    proj_in: Linear,
    proj_out: Linear,
}

impl ResamplerConfig {
    /// The sizes of a file with tensors of these shapes, `None` if it is no resampler. Heads have the
    /// published width, which no shape tells.
    pub fn of_shapes(shape: ShapeOf<'_>) -> Option<Self> {
        let [_, num_queries, dim] = sized(shape, "latents")?;
        let [_, embedding_dim] = sized(shape, "proj_in.weight")?;
        let [output_dim, _] = sized(shape, "proj_out.weight")?;
        let [inner, _] = sized(shape, "layers.0.0.to_q.weight")?;
        let [widened, _] = sized(shape, "layers.0.1.1.weight")?;
        let is_layer = |i: &usize| shape(&format!("layers.{i}.0.to_q.weight")).is_some();
        let dim_head = Self::default().dim_head;
        Some(Self {
            dim,
            depth: (0..).take_while(is_layer).count(),
            dim_head,
            heads: inner / dim_head,
            num_queries,
            embedding_dim,
            output_dim,
            ff_mult: widened.checked_div(dim)?,
        })
    }

    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd.
    pub fn validate(&self, origin: &str) -> Result<()> {
        Check::new(origin)
            .channels("dim", self.dim)
            .channels("dim_head", self.dim_head)
            .channels("heads", self.heads)
            .channels("num_queries", self.num_queries)
            .channels("embedding_dim", self.embedding_dim)
            .channels("output_dim", self.output_dim)
            .channels("ff_mult", self.ff_mult)
            .layers("depth", self.depth)
            .finish()
    }

    /// A [`Resampler`] with random weights.
    pub fn init(&self, device: &Device) -> Resampler {
        let latents = Initializer::Normal { mean: 0.0, std: 1.0 / (self.dim as f64).sqrt() };
        Resampler {
            latents: latents.init([1, self.num_queries, self.dim], device),
            proj_in: LinearConfig::new(self.embedding_dim, self.dim).init(device),
            layers: (0..self.depth).map(|_| self.init_layer(device)).collect(),
            proj_out: LinearConfig::new(self.dim, self.output_dim).init(device),
            norm_out: LayerNormConfig::new(self.output_dim).init(device),
        }
    }

    fn init_layer(&self, device: &Device) -> ResamplerLayer {
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        let norm = || LayerNormConfig::new(self.dim).init(device);
        let (inner, widened) = (self.dim_head * self.heads, self.ff_mult * self.dim);
        ResamplerLayer {
            attention: PerceiverAttention {
                norm1: norm(),
                norm2: norm(),
                to_q: linear(self.dim, inner),
                to_kv: linear(self.dim, 2 * inner),
                to_out: linear(inner, self.dim),
                heads: self.heads,
            },
            feed_forward: ResamplerFeedForward {
                norm: norm(),
                proj_in: linear(self.dim, widened),
                proj_out: linear(widened, self.dim),
            },
        }
    }
}

impl Resampler {
    /// Makes tokens.
    ///
    /// # Shapes
    /// - `hidden_states`: `[b, patches, embedding_dim]`
    /// - output: `[b, num_queries, output_dim]`
    pub fn forward(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let patches = map_tokens(hidden_states, &self.proj_in);
        let latents = self.latents.val();
        let ([b, ..], [_, n, c]) = (patches.dims(), latents.dims());
        let tokens = self.layers.iter().fold(latents.expand([b, n, c]), |tokens, layer| {
            let tokens = layer.attention.forward(patches.clone(), tokens.clone()) + tokens;
            layer.feed_forward.forward(tokens.clone()) + tokens
        });
        self.norm_out.forward(map_tokens(tokens, &self.proj_out))
    }
}

impl PerceiverAttention {
    fn forward(&self, patches: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
        let (patches, tokens) = (self.norm1.forward(patches), self.norm2.forward(tokens));
        let q = map_tokens(tokens.clone(), &self.to_q);
        let kv = map_tokens(Tensor::cat(vec![patches, tokens], 1), &self.to_kv);
        let inner = q.dims()[2];
        let (k, v) = (kv.clone().narrow(2, 0, inner), kv.narrow(2, inner, inner));
        map_tokens(attention(q, k, v, self.heads), &self.to_out)
    }
}

impl ResamplerFeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        map_tokens(gelu(map_tokens(self.norm.forward(x), &self.proj_in)), &self.proj_out)
    }
}
