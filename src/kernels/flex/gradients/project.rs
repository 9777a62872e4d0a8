//! Gradients of linear maps of tokens and pixels.

use burn::backend::Flex;
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::Operation;
use super::long_product::{Channels, LongProduct, Scattered};
use super::sums::{channel_sums, token_sums};
use crate::kernels::flex::operands::Planes;
use crate::kernels::flex::ops::{CpuOps, as_it_lies, filled, scalars, tensor};
use crate::kernels::flex::project::{Entries, Matrix, project};
use crate::kernels::project::Side;

/// See [`crate::kernels::project`]; operands are input, weight and bias, which may be empty.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) from: Side,
    pub(super) to: Side,
}

impl Operation<3> for Project {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
        Flex::project(x, weight, bias, self.from, self.to)
    }

    fn gradients(
        &self,
        [x, weight, _]: [FlexTensor; 3],
        gradient: FlexTensor,
        [for_x, for_weight, for_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let [n, a, b] = x.layout().shape().dims();
        let positions = match self.from {
            Side::Tokens => a,
            Side::Pixels => b,
        };
        let [depth, channels] = weight.layout().shape().dims();
        let sizes = Sizes { n, positions, depth, channels };
        [
            for_x.then(|| {
                let (weight, transposed) = as_it_lies(weight);
                filled(x.layout().shape().clone(), |out| {
                    let data = scalars(&gradient);
                    let entries = Entries { data, n, positions, side: self.to };
                    // The same matrix, read the other way round.
                    let matrix = Matrix {
                        data: scalars(&weight),
                        depth: channels,
                        channels: depth,
                        transposed: !transposed,
                    };
                    project(entries, matrix, None, self.from, out);
                })
            }),
            for_weight.then(|| {
                let values = self.weight_gradient(scalars(&x), scalars(&gradient), sizes);
                tensor(values, Shape::new([depth, channels]))
            }),
            for_bias.then(|| {
                let sums = match self.to {
                    Side::Tokens => token_sums(scalars(&gradient), channels),
                    Side::Pixels => channel_sums(scalars(&gradient), channels, positions),
                };
                tensor(sums, Shape::new([channels]))
            }),
        ]
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    positions: usize,
    /// Channels in.
    depth: usize,
    /// Channels out.
    channels: usize,
}

impl Project {
    /// `[depth, channels]`
    fn weight_gradient(&self, x: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
        let Sizes { n, positions, depth, channels } = sizes;
        let (starts, offsets) = match self.from {
            Side::Tokens => ((0..depth).collect(), (0..n * positions).map(|k| k * depth).collect()),
            Side::Pixels => {
                let of_image = |image: usize| {
                    (0..positions).map(move |position| image * depth * positions + position)
                };
                ((0..depth).map(|r| r * positions).collect(), (0..n).flat_map(of_image).collect())
            }
        };
        let rows = Scattered { data: x, starts, offsets };
        let (data, width) = (gradient, channels);
        match self.to {
            Side::Tokens => {
                let columns = Planes { data, depth: n * positions, stride: channels };
                LongProduct { rows, columns, width }.run()
            }
            Side::Pixels => {
                let columns = Channels { data, channels, positions };
                LongProduct { rows, columns, width }.run()
            }
        }
    }
}
