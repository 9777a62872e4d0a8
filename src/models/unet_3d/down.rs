//! The way down: each layer leaves a skip connection.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block::{Conditioning, Layer, Parts, layers};
use super::config::UNet3DConditionModelConfig;
use crate::nn::attention::Attention;
use crate::nn::resnet_2d::ResnetBlock2D;
use crate::nn::sampling::{Downsample2D, Downsample2DConfig, DownsamplePadding};
use crate::nn::temporal_conv::TemporalConvLayer;
use crate::nn::temporal_transformer::TransformerTemporalModel;
use crate::nn::transformer_2d::Transformer2DModel;

/// One level on the way down; without `attentions` it is the original's `DownBlock3D`, with them
/// `CrossAttnDownBlock3D`.
#[derive(Module, Debug)]
pub(super) struct DownBlock3D {
    resnets: Vec<ResnetBlock2D>,
    temp_convs: Vec<TemporalConvLayer>,
    attentions: Vec<Transformer2DModel>,
    temp_attentions: Vec<TransformerTemporalModel>,
    downsamplers: Vec<Downsample2D>,
    refer_emb_attns: Vec<Attention>,
    /// The reference feature that the first of `refer_emb_attns` takes.
    first_feature: usize,
}

impl DownBlock3D {
    /// Level `i` of the UNet.
    pub(super) fn init(config: &UNet3DConditionModelConfig, i: usize, device: &Device) -> Self {
        let parts = Parts { config, device };
        let channels = &config.block_out_channels;
        let (from, to) = (channels[i.saturating_sub(1)], channels[i]);
        let count = config.layers_per_block;
        let attending = if config.down_block_attends(i) { count } else { 0 };
        let is_last = i + 1 == channels.len();
        let fusions = if is_last { count } else { count + 1 };
        let downsampler = Downsample2DConfig::new(to, DownsamplePadding::Symmetric);
        Self {
            resnets: (0..count).map(|j| parts.resnet(if j == 0 { from } else { to }, to)).collect(),
            temp_convs: parts.temp_convs(to, count),
            attentions: parts.attentions(to, attending),
            temp_attentions: parts.temp_attentions(to, attending),
            downsamplers: if is_last { Vec::new() } else { vec![downsampler.init(device)] },
            refer_emb_attns: parts.refer_emb_attns(to, fusions),
            // The original counts the features of the blocks before as if they were as many as this
            // block's, so that the last block takes the wrong ones (quirk Q-4); the weights were
            // trained that way.
            first_feature: 1 + i * fusions,
        }
    }

    /// Pushes the output of every layer and of the downsampler on `skips`.
    ///
    /// # Shapes
    /// - `x`: `[b·t, c_in, h, w]`
    /// - output: `[b·t, c_out, h', w']`
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        conditioning: &Conditioning,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let features = conditioning.reference.map(|reference| &reference.down);
        let features = features.into_iter().flatten().skip(self.first_feature);
        let mut fusions = self.refer_emb_attns.iter().zip(features);
        let mut fuse = |x: Tensor<4>| match fusions.next() {
            Some((fusion, feature)) => fusion.forward_reference(x, feature.clone()),
            None => x,
        };
        for layer in self.layers() {
            x = fuse(layer.forward(x, conditioning));
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = fuse(downsampler.forward(x));
            skips.push(x.clone());
        }
        x
    }

    fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        layers(&self.resnets, &self.temp_convs, &self.attentions, &self.temp_attentions)
    }
}
