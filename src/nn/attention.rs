//! Multi-head attention with its projections.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};

use crate::kernels::{attention, temporal_attention};
use crate::nn::frames::fold;
use crate::nn::projection::{map_tokens, pixels_to_tokens, projection_of, tokens_to_pixels};

/// State-dict keys that differ from the fields of [`Attention`].
pub const KEYS: [(&str, &str); 5] = [
    ("to_out.0", "to_out"),
    ("to_k_ip", "image_prompt.to_k"),
    ("to_v_ip", "image_prompt.to_v"),
    ("ip_adapter_face_to_k_ip", "face_prompt.to_k"),
    ("ip_adapter_face_to_v_ip", "face_prompt.to_v"),
];

/// Which image prompts a cross attention can read besides the text (IP-Adapter, Ye et al. 2023,
/// arXiv:2308.06721).
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum ImageBranches {
    /// None.
    None,
    /// The tokens of a picture.
    Image,
    /// The tokens of a picture and, apart from them, those of a face.
    ImageAndFace,
}

/// Configuration of an [`Attention`].
#[derive(Config, Debug)]
pub struct AttentionConfig {
    /// Channels of the tokens in and out.
    pub channels: usize,
    /// Channels of the tokens that keys and values come from.
    pub context_channels: usize,
    /// Number of heads; divides `channels`.
    pub heads: usize,
    /// Whether queries, keys and values have a bias; the output always has one.
    #[config(default = "false")]
    pub qkv_bias: bool,
    /// Image prompts that [`Attention::forward_cross`] can read.
    #[config(default = "ImageBranches::None")]
    pub image_branches: ImageBranches,
}

/// Queries, keys, values and output of an attention layer.
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    image_prompt: Option<KeysAndValues>,
    face_prompt: Option<KeysAndValues>,
    heads: usize,
}

/// Keys and values of the tokens of an image prompt.
#[derive(Module, Debug)]
struct KeysAndValues {
    to_k: Linear,
    to_v: Linear,
}

/// Tokens that stand for a picture.
#[derive(Clone, Debug)]
pub struct ImagePrompt {
    /// `[b, m, context_channels]`
    pub tokens: Tensor<3>,
    /// Weight of what attention reads in them; 0 is the same as no prompt.
    pub scale: f64,
}

/// What a cross attention reads. Image prompts for which a layer has no weights are left aside. There
/// may be a face without a picture, on which the original fails (quirk Q-5).
#[derive(Clone, Debug)]
pub struct CrossContext {
    /// Text states, `[b, m, context_channels]`.
    pub text: Tensor<3>,
    /// A picture.
    pub image_prompt: Option<ImagePrompt>,
    /// A face.
    pub face_prompt: Option<ImagePrompt>,
}

impl AttentionConfig {
    /// An [`Attention`] with random weights.
    pub fn init(&self, device: &Device) -> Attention {
        let linear = |from, bias| LinearConfig::new(from, self.channels).with_bias(bias);
        let context = linear(self.context_channels, false);
        let branch = || KeysAndValues { to_k: context.init(device), to_v: context.init(device) };
        let (has_image, has_face) = match self.image_branches {
            ImageBranches::None => (false, false),
            ImageBranches::Image => (true, false),
            ImageBranches::ImageAndFace => (true, true),
        };
        Attention {
            to_q: linear(self.channels, self.qkv_bias).init(device),
            to_k: linear(self.context_channels, self.qkv_bias).init(device),
            to_v: linear(self.context_channels, self.qkv_bias).init(device),
            to_out: linear(self.channels, true).init(device),
            image_prompt: has_image.then(branch),
            face_prompt: has_face.then(branch),
            heads: self.heads,
        }
    }
}

impl Attention {
    /// Reference-only self attention: every frame of a clip sees its own tokens and, appended,
    /// those of the clip's `condition_frames` and of its `reference`. Without either it is plain
    /// self attention.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    /// - `reference`: `[b, m, c]`
    pub fn forward_self(
        &self,
        x: Tensor<3>,
        frames: usize,
        condition_frames: &[usize],
        reference: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let q = map_tokens(x.clone(), &self.to_q);
        let k = map_tokens(x.clone(), &self.to_k);
        let v = map_tokens(x, &self.to_v);
        // Condition frames lie in the same batch, so their keys and values exist already.
        let mut k = append_frames(k, frames, condition_frames);
        let mut v = append_frames(v, frames, condition_frames);
        if let Some(reference) = reference {
            k = append_shared(k, map_tokens(reference.clone(), &self.to_k));
            v = append_shared(v, map_tokens(reference, &self.to_v));
        }
        map_tokens(attention(q, k, v, self.heads), &self.to_out)
    }

    /// Cross attention of all frames of a clip to the clip's context: a softmax of its own for the
    /// text and for each image prompt.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`
    pub fn forward_cross(&self, x: Tensor<3>, context: &CrossContext) -> Tensor<3> {
        let [rows, n, c] = x.dims();
        let q = map_tokens(x, &self.to_q);
        let read = |tokens: &Tensor<3>, to_k: &Linear, to_v: &Linear| {
            // All frames of a clip read the same context, so their tokens are one long sequence.
            let b = tokens.dims()[0];
            let q = q.clone().reshape([b, rows / b * n, c]);
            let k = map_tokens(tokens.clone(), to_k);
            let v = map_tokens(tokens.clone(), to_v);
            attention(q, k, v, self.heads).reshape([rows, n, c])
        };
        let mut out = read(&context.text, &self.to_k, &self.to_v);
        let image_prompts = [
            (&self.image_prompt, &context.image_prompt),
            (&self.face_prompt, &context.face_prompt),
        ];
        for (branch, prompt) in image_prompts {
            if let (Some(branch), Some(prompt)) = (branch, prompt)
                && prompt.scale > 0.0
            {
                out = out + read(&prompt.tokens, &branch.to_k, &branch.to_v) * prompt.scale;
            }
        }
        map_tokens(out, &self.to_out)
    }

    /// Reference fusion: every frame of a clip sees its own pixels and those of the clip's
    /// `reference`, whatever its size; the result is added to the frame.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, c, h, w]`
    /// - `reference`: `[b, c, r, h', w']`
    pub fn forward_reference(&self, x: Tensor<4>, reference: Tensor<5>) -> Tensor<4> {
        let [_, c, h, w] = x.dims();
        let [b, _, r, h_reference, w_reference] = reference.dims();
        let reference = fold(reference);
        // Nothing here is normalised, so scores can exceed what float16 holds.
        let wide = |tokens: Tensor<3>| tokens.cast(DType::F32);
        let keys = |linear: &Linear| {
            let own = pixels_to_tokens(x.clone(), projection_of(linear));
            let shared = pixels_to_tokens(reference.clone(), projection_of(linear));
            wide(append_shared(own, shared.reshape([b, r * h_reference * w_reference, c])))
        };
        let q = wide(pixels_to_tokens(x.clone(), projection_of(&self.to_q)));
        let out = attention(q, keys(&self.to_k), keys(&self.to_v), self.heads).cast(x.dtype());
        tokens_to_pixels(out, projection_of(&self.to_out), [h, w]) + x
    }

    /// Self attention along the frames of every pixel.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, n, c]`, n pixels
    pub fn forward_temporal(&self, x: Tensor<3>, frames: usize) -> Tensor<3> {
        let [rows, n, c] = x.dims();
        let clips = |x: Tensor<3>| x.reshape([rows / frames, frames, n, c]);
        let q = clips(map_tokens(x.clone(), &self.to_q));
        let k = clips(map_tokens(x.clone(), &self.to_k));
        let v = clips(map_tokens(x, &self.to_v));
        let out = temporal_attention(q, k, v, self.heads).reshape([rows, n, c]);
        map_tokens(out, &self.to_out)
    }

    /// Self attention of the pixels of each image.
    ///
    /// # Shapes
    /// - `x`, output: `[n, c, h, w]`
    pub fn forward_pixels(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let q = pixels_to_tokens(x.clone(), projection_of(&self.to_q));
        let k = pixels_to_tokens(x.clone(), projection_of(&self.to_k));
        let v = pixels_to_tokens(x, projection_of(&self.to_v));
        tokens_to_pixels(attention(q, k, v, self.heads), projection_of(&self.to_out), [h, w])
    }
}

/// Appends to each frame's tokens those of `chosen` frames of the same clip.
fn append_frames(x: Tensor<3>, frames: usize, chosen: &[usize]) -> Tensor<3> {
    if chosen.is_empty() {
        return x;
    }
    let [rows, n, c] = x.dims();
    let clips = x.reshape([rows / frames, frames, n, c]);
    let shape = clips.shape();
    let parts = std::iter::once(clips.clone())
        .chain(chosen.iter().map(|&i| clips.clone().narrow(1, i, 1).expand(shape.clone())))
        .collect();
    Tensor::cat(parts, 2).reshape([rows, (1 + chosen.len()) * n, c])
}

/// Appends to the tokens of every frame those that all frames of its clip share:
/// `[b·frames, n, c]` and `[b, m, c]` to `[b·frames, n + m, c]`.
fn append_shared(x: Tensor<3>, shared: Tensor<3>) -> Tensor<3> {
    let [rows, _, c] = x.dims();
    let [b, m, _] = shared.dims();
    let shared = shared.unsqueeze_dim::<4>(1).expand([b, rows / b, m, c]).reshape([rows, m, c]);
    Tensor::cat(vec![x, shared], 1)
}
