//! The temporal convolution block.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::kernels::temporal_conv;
use crate::nn::group_norm::{GroupNorm, GroupNormConfig};
use crate::nn::temporal_transformer::INITIAL_TEMPORAL_WEIGHT;

/// State-dict keys that differ from the fields of [`TemporalConvLayer`].
pub const KEYS: [(&str, &str); 8] = [
    ("conv1.0", "conv1.norm"),
    ("conv1.2", "conv1.conv"),
    ("conv2.0", "conv2.norm"),
    ("conv2.3", "conv2.conv"),
    ("conv3.0", "conv3.norm"),
    ("conv3.3", "conv3.conv"),
    ("conv4.0", "conv4.norm"),
    ("conv4.3", "conv4.conv"),
];

/// Groups of every GroupNorm here, whatever the network's other norms use.
const NORM_NUM_GROUPS: usize = 32;

/// Configuration of a [`TemporalConvLayer`].
#[derive(Config, Debug)]
pub struct TemporalConvLayerConfig {
    /// Channels in and out; a multiple of 32.
    pub channels: usize,
}

/// Four stages of GroupNorm over the clip, SiLU and convolution along the frames, added to the
/// input scaled by `|temporal_weight|`.
#[derive(Module, Debug)]
pub struct TemporalConvLayer {
    conv1: TemporalConvStage,
    conv2: TemporalConvStage,
    conv3: TemporalConvStage,
    conv4: TemporalConvStage,
    temporal_weight: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct TemporalConvStage {
    norm: GroupNorm,
    conv: TemporalConv,
}

#[derive(Module, Debug)]
struct TemporalConv {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl TemporalConvLayerConfig {
    /// A [`TemporalConvLayer`] that starts as the identity: its last convolution is zero.
    pub fn init(&self, device: &Device) -> TemporalConvLayer {
        let kaiming = Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false };
        let stage = |initializer: &Initializer| self.init_stage(initializer, device);
        TemporalConvLayer {
            conv1: stage(&kaiming),
            conv2: stage(&kaiming),
            conv3: stage(&kaiming),
            conv4: stage(&Initializer::Zeros),
            temporal_weight: INITIAL_TEMPORAL_WEIGHT.init([1], device),
        }
    }

    fn init_stage(&self, initializer: &Initializer, device: &Device) -> TemporalConvStage {
        let c = self.channels;
        let fan_in = Some(3 * c);
        TemporalConvStage {
            norm: GroupNormConfig::new(NORM_NUM_GROUPS, c).init(device),
            conv: TemporalConv {
                weight: initializer.init_with([c, c, 3, 1, 1], fan_in, None, device),
                bias: initializer.init_with([c], fan_in, None, device),
            },
        }
    }
}

impl TemporalConvLayer {
    /// Mixes neighbouring frames of each clip.
    ///
    /// # Shapes
    /// - `x`, output: `[b·frames, c, h, w]`
    pub fn forward(&self, x: Tensor<4>, frames: usize) -> Tensor<4> {
        let stages = [&self.conv1, &self.conv2, &self.conv3, &self.conv4];
        let branch = stages.iter().fold(x.clone(), |x, stage| {
            let x = stage.norm.forward_silu(x, frames);
            temporal_conv(x, stage.conv.weight.val(), stage.conv.bias.val(), frames)
        });
        branch * self.temporal_weight.val().abs().unsqueeze() + x
    }
}
