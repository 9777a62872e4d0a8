//! The way up: each layer takes a skip connection.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block::{Conditioning, Layer, Parts, layers};
use super::config::UNet3DConditionModelConfig;
use crate::nn::resnet_2d::ResnetBlock2D;
use crate::nn::sampling::{Upsample2D, Upsample2DConfig};
use crate::nn::temporal_conv::TemporalConvLayer;
use crate::nn::temporal_transformer::TransformerTemporalModel;
use crate::nn::transformer_2d::Transformer2DModel;

/// One level on the way up; without `attentions` it is the original's `UpBlock3D`, with them
/// `CrossAttnUpBlock3D`.
#[derive(Module, Debug)]
pub(super) struct UpBlock3D {
    resnets: Vec<ResnetBlock2D>,
    temp_convs: Vec<TemporalConvLayer>,
    attentions: Vec<Transformer2DModel>,
    temp_attentions: Vec<TransformerTemporalModel>,
    upsamplers: Vec<Upsample2D>,
}

impl UpBlock3D {
    /// The `i`-th block on the way up.
    pub(super) fn init(config: &UNet3DConditionModelConfig, i: usize, device: &Device) -> Self {
        let parts = Parts { config, device };
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let (from, to) = (channels[i.saturating_sub(1)], channels[i]);
        // The last skip of a level was left by the level before it on the way down.
        let skip_of_last = channels[(i + 1).min(last)];
        let count = config.layers_per_block + 1;
        let attending = if config.up_block_attends(i) { count } else { 0 };
        Self {
            resnets: (0..count)
                .map(|j| {
                    let hidden = if j == 0 { from } else { to };
                    let skip = if j + 1 == count { skip_of_last } else { to };
                    parts.resnet(hidden + skip, to)
                })
                .collect(),
            temp_convs: parts.temp_convs(to, count),
            attentions: parts.attentions(to, attending),
            temp_attentions: parts.temp_attentions(to, attending),
            upsamplers: if i == last {
                Vec::new()
            } else {
                vec![Upsample2DConfig::new(to).init(device)]
            },
        }
    }

    /// Pops one skip connection per layer off `skips`.
    ///
    /// # Shapes
    /// - `x`: `[b·t, c_in, h, w]`
    /// - output: `[b·t, c_out, h', w']`, the size of the next skip connection
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        conditioning: &Conditioning,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in self.layers() {
            let skip = skips.pop().expect("the way down left one skip per layer of the way up");
            let joined = Tensor::cat(vec![x, skip], 1);
            x = layer.forward(joined, conditioning);
        }
        if let (Some(upsampler), Some(next)) = (self.upsamplers.first(), skips.last()) {
            let [_, _, h, w] = next.dims();
            x = upsampler.forward(x, [h, w]);
        }
        x
    }

    fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        layers(&self.resnets, &self.temp_convs, &self.attentions, &self.temp_attentions)
    }
}
