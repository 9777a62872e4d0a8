//! What the blocks of the denoiser share.

use burn::tensor::{Device, Tensor};

use super::config::UNet3DConditionModelConfig;
use crate::models::referencenet::ReferenceFeatures;
use crate::nn::attention::{Attention, AttentionConfig};
use crate::nn::resnet_2d::{ResnetBlock2D, ResnetBlock2DConfig};
use crate::nn::temporal_conv::{TemporalConvLayer, TemporalConvLayerConfig};
use crate::nn::temporal_transformer::{TransformerTemporalModel, TransformerTemporalModelConfig};
use crate::nn::transformer_2d::{Transformer2DModel, Transformer2DModelConfig};
use crate::nn::transformer_block::SpatialContext;

/// What every layer of the denoiser may look at.
pub(super) struct Conditioning<'a> {
    /// Time embedding after its SiLU, `[1, embed_dim]` for all images, or `[b·t, embed_dim]`.
    pub(super) time: Tensor<2>,
    /// Frame embedding, `[1, t, embed_dim]`; `None` where temporal layers are skipped.
    pub(super) frame_embedding: Option<Tensor<3>>,
    /// Text, image prompts and condition frames.
    pub(super) spatial: SpatialContext<'a>,
    /// Features of the reference image.
    pub(super) reference: Option<&'a ReferenceFeatures>,
}

/// One step of a block: residual block, temporal convolution and, where the block attends, spatial
/// and temporal transformer.
pub(super) struct Layer<'a> {
    resnet: &'a ResnetBlock2D,
    temp_conv: &'a TemporalConvLayer,
    transformers: Option<(&'a Transformer2DModel, &'a TransformerTemporalModel)>,
}

/// The layers of a block in order; the lists of transformers are shorter in blocks that attend
/// less.
pub(super) fn layers<'a>(
    resnets: &'a [ResnetBlock2D],
    temp_convs: &'a [TemporalConvLayer],
    attentions: &'a [Transformer2DModel],
    temp_attentions: &'a [TransformerTemporalModel],
) -> impl Iterator<Item = Layer<'a>> {
    let mut transformers = attentions.iter().zip(temp_attentions);
    resnets.iter().zip(temp_convs).map(move |(resnet, temp_conv)| Layer {
        resnet,
        temp_conv,
        transformers: transformers.next(),
    })
}

impl Layer<'_> {
    /// # Shapes
    /// - `x`: `[b·t, c_in, h, w]`
    /// - output: `[b·t, c_out, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let Conditioning { time, frame_embedding, spatial, .. } = conditioning;
        let mut x = self.resnet.forward_with_time(x, time.clone());
        if frame_embedding.is_some() {
            x = self.temp_conv.forward(x, spatial.frames);
        }
        let Some((attention, temp_attention)) = self.transformers else { return x };
        x = attention.forward(x, spatial);
        match frame_embedding {
            Some(embedding) => temp_attention.forward(x, embedding.clone()),
            None => x,
        }
    }
}

/// Makes the parts of all blocks.
pub(super) struct Parts<'a> {
    pub(super) config: &'a UNet3DConditionModelConfig,
    pub(super) device: &'a Device,
}

impl Parts<'_> {
    pub(super) fn resnet(&self, from: usize, to: usize) -> ResnetBlock2D {
        ResnetBlock2DConfig::new(from, to)
            .with_time_embed_dim(Some(self.config.embed_dim()))
            .with_norm_num_groups(self.config.norm_num_groups)
            .with_eps(self.config.norm_eps)
            .init(self.device)
    }

    pub(super) fn temp_convs(&self, channels: usize, count: usize) -> Vec<TemporalConvLayer> {
        let config = TemporalConvLayerConfig::new(channels);
        (0..count).map(|_| config.init(self.device)).collect()
    }

    pub(super) fn attentions(&self, channels: usize, count: usize) -> Vec<Transformer2DModel> {
        let UNet3DConditionModelConfig { attention_head_dim: heads, cross_attention_dim, .. } =
            *self.config;
        let config = Transformer2DModelConfig::new(channels, heads, cross_attention_dim)
            .with_norm_num_groups(self.config.norm_num_groups)
            .with_image_branches(self.config.variant.image_branches());
        (0..count).map(|_| config.init(self.device)).collect()
    }

    /// Fusions with features of a ReferenceNet, in variants that have them.
    pub(super) fn refer_emb_attns(&self, channels: usize, count: usize) -> Vec<Attention> {
        let count = if self.config.variant.need_refer_emb { count } else { 0 };
        let config = AttentionConfig::new(channels, channels, self.config.attention_head_dim);
        (0..count).map(|_| config.init(self.device)).collect()
    }

    pub(super) fn temp_attentions(
        &self,
        channels: usize,
        count: usize,
    ) -> Vec<TransformerTemporalModel> {
        let heads = self.config.attention_head_dim;
        let config = TransformerTemporalModelConfig::new(channels, heads, self.config.embed_dim())
            .with_norm_num_groups(self.config.norm_num_groups);
        (0..count).map(|_| config.init(self.device)).collect()
    }
}
