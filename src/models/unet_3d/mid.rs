//! The innermost block.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block::{Conditioning, Layer, Parts, layers};
use super::config::UNet3DConditionModelConfig;
use crate::nn::resnet_2d::ResnetBlock2D;
use crate::nn::temporal_conv::TemporalConvLayer;
use crate::nn::temporal_transformer::TransformerTemporalModel;
use crate::nn::transformer_2d::Transformer2DModel;

/// Convolutions, transformers, convolutions.
#[derive(Module, Debug)]
pub(super) struct MidBlock3D {
    resnets: Vec<ResnetBlock2D>,
    temp_convs: Vec<TemporalConvLayer>,
    attentions: Vec<Transformer2DModel>,
    temp_attentions: Vec<TransformerTemporalModel>,
}

impl MidBlock3D {
    pub(super) fn init(
        config: &UNet3DConditionModelConfig,
        channels: usize,
        device: &Device,
    ) -> Self {
        let parts = Parts { config, device };
        Self {
            resnets: (0..2).map(|_| parts.resnet(channels, channels)).collect(),
            temp_convs: parts.temp_convs(channels, 2),
            attentions: parts.attentions(channels, 1),
            temp_attentions: parts.temp_attentions(channels, 1),
        }
    }

    /// # Shapes
    /// - `x`, output: `[b·t, c, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.layers().fold(x, |x, layer| layer.forward(x, conditioning))
    }

    fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        layers(&self.resnets, &self.temp_convs, &self.attentions, &self.temp_attentions)
    }
}
