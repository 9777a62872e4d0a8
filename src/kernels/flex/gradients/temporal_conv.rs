//! Gradients of convolution along the frame axis.

use burn::backend::Flex;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use super::long_product::{Channels, LongProduct, Scattered};
use super::sums::{channel_sums, reversed, transposed};
use crate::kernels::flex::ops::{CpuOps, filled, scalars, tensor};

/// See [`crate::kernels::temporal_conv`]; operands are input, weight and bias.
#[derive(Clone, Debug)]
pub(super) struct TemporalConv {
    pub(super) frames: usize,
}

impl Operation<3> for TemporalConv {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
        Flex::temporal_conv(x, weight, bias, self.frames)
    }

    fn gradients(
        &self,
        [x, weight, _]: [FlexTensor; 3],
        gradient: FlexTensor,
        [for_x, for_weight, for_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let gradient = gradient.to_contiguous();
        let [n, channels, height, width] = x.layout().shape().dims();
        let [channels_out, _, taps, ..] = weight.layout().shape().dims::<5>();
        let frames = self.frames;
        let sizes = Sizes { n, frames, channels, channels_out, taps, positions: height * width };
        [
            for_x.then(|| {
                let turned = reversed(scalars(&weight), channels, taps);
                let turned = tensor(turned, Shape::new([channels, channels_out, taps, 1, 1]));
                let bias = filled(Shape::new([channels]), |_| ());
                Flex::temporal_conv(gradient.clone(), turned, bias, frames)
            }),
            for_weight.then(|| {
                let values = sizes.weight_gradient(scalars(&x), scalars(&gradient));
                tensor(values, weight.layout().shape().clone())
            }),
            for_bias.then(|| {
                let sums = channel_sums(scalars(&gradient), channels_out, sizes.positions);
                tensor(sums, Shape::new([channels_out]))
            }),
        ]
    }
}

struct Sizes {
    n: usize,
    frames: usize,
    channels: usize,
    channels_out: usize,
    taps: usize,
    /// Pixels of an image.
    positions: usize,
}

impl Sizes {
    /// `[channels_out, channels, taps]`
    fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let Self { n, frames, channels, channels_out, taps, positions } = *self;
        // Every clip with a border of frames that are zero.
        let image = channels * positions;
        let padded_frames = frames + taps - 1;
        let mut padded = vec![0.0; n / frames * padded_frames * image];
        padded
            .par_chunks_mut(padded_frames * image)
            .zip(x.par_chunks(frames * image))
            .for_each(|(to, from)| to[taps / 2 * image..][..from.len()].copy_from_slice(from));
        let starts = (0..channels)
            .flat_map(|channel| (0..taps).map(move |tap| tap * image + channel * positions));
        let offsets = (0..n).flat_map(|index| {
            let frame = index / frames * padded_frames + index % frames;
            (0..positions).map(move |position| frame * image + position)
        });
        let product = LongProduct {
            rows: Scattered { data: &padded, starts: starts.collect(), offsets: offsets.collect() },
            columns: Channels { data: gradient, channels: channels_out, positions },
            width: channels_out,
        };
        transposed(&product.run(), channels_out)
    }
}
