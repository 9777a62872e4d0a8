//! Gradients of two-dimensional convolution.

use std::borrow::Cow;

use burn::backend::Flex;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use super::long_product::{Channels, LongProduct, Scattered};
use super::sums::{channel_sums, reversed, transposed};
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::flex::gemm::{Bias, Product};
use crate::kernels::flex::operands::{Planes, Rows};
use crate::kernels::flex::ops::{CpuOps, filled, scalars, tensor};

/// Most values that the patches of a step hold.
const MAX_PATCHES: usize = 1 << 20;

/// See [`crate::kernels::conv2d`]; operands are input, weight and bias.
#[derive(Clone, Debug)]
pub(super) struct Conv2d(pub(super) Conv2dGeometry);

impl Operation<3> for Conv2d {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
        Flex::conv2d(x, weight, bias, self.0)
    }

    fn gradients(
        &self,
        [x, weight, _]: [FlexTensor; 3],
        gradient: FlexTensor,
        [for_x, for_weight, for_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let gradient = gradient.to_contiguous();
        let sizes = Sizes::new(&x, &weight, &gradient, self.0);
        [
            for_x.then(|| sizes.input_gradient(&weight, gradient.clone())),
            for_weight.then(|| {
                let values = sizes.weight_gradient(scalars(&x), scalars(&gradient));
                tensor(values, weight.layout().shape().clone())
            }),
            for_bias.then(|| {
                let sums = channel_sums(scalars(&gradient), sizes.channels_out, sizes.positions());
                tensor(sums, Shape::new([sizes.channels_out]))
            }),
        ]
    }
}

/// Sizes of one convolution.
struct Sizes {
    n: usize,
    channels: usize,
    channels_out: usize,
    kernel: usize,
    /// Height and width of an input image.
    input: [usize; 2],
    /// Height and width of an output image.
    output: [usize; 2],
    geometry: Conv2dGeometry,
}

impl Sizes {
    fn new(
        x: &FlexTensor,
        weight: &FlexTensor,
        gradient: &FlexTensor,
        geometry: Conv2dGeometry,
    ) -> Self {
        let [n, channels, height, width] = x.layout().shape().dims();
        let [_, channels_out, out_height, out_width] = gradient.layout().shape().dims();
        Self {
            n,
            channels,
            channels_out,
            kernel: weight.layout().shape()[2],
            input: [height, width],
            output: [out_height, out_width],
            geometry,
        }
    }

    /// Positions of an output image.
    fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// With step 1 again a convolution; otherwise the gradients of all patches, added up.
    fn input_gradient(&self, weight: &FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let Conv2dGeometry { stride, pad_begin, pad_end } = self.geometry;
        let border = self.kernel - 1;
        if self.kernel > 1 && stride == 1 && pad_begin <= border && pad_end <= border {
            let turned = reversed(scalars(weight), self.channels, self.kernel * self.kernel);
            let shape = Shape::new([self.channels, self.channels_out, self.kernel, self.kernel]);
            let bias = filled(Shape::new([self.channels]), |_| ());
            let geometry = Conv2dGeometry {
                stride: 1,
                pad_begin: border - pad_begin,
                pad_end: border - pad_end,
            };
            return Flex::conv2d(gradient, tensor(turned, shape), bias, geometry);
        }
        let [height, width] = self.input;
        filled(Shape::new([self.n, self.channels, height, width]), |out| {
            self.add_patch_gradients(scalars(weight), scalars(&gradient), out);
        })
    }

    /// Adds the gradients of all patches to `out`, `[n, channels, height, width]`.
    fn add_patch_gradients(&self, weight: &[f32], gradient: &[f32], out: &mut [f32]) {
        let (taps, positions) = (self.kernel * self.kernel, self.positions());
        let depth = self.channels * taps;
        let of_images = |images: usize, gradient: &[f32], patches: &mut [f32]| {
            let rows = Rows::Pixels { data: weight, width: depth };
            let columns = Planes { data: gradient, depth: self.channels_out, stride: positions };
            Product { rows, row_count: depth, depth: self.channels_out, columns, bias: Bias::None }
                .run(images, positions, patches);
        };
        if self.is_pointwise() {
            return of_images(self.n, gradient, out);
        }
        let images = (MAX_PATCHES / (depth * positions)).clamp(1, self.n);
        let image_in = self.channels * self.input[0] * self.input[1];
        let mut patches = vec![0.0; images * depth * positions];
        for (gradient, out) in gradient
            .chunks(images * self.channels_out * positions)
            .zip(out.chunks_mut(images * image_in))
        {
            let images = out.len() / image_in;
            let patches = &mut patches[..images * depth * positions];
            of_images(images, gradient, patches);
            out.par_chunks_mut(self.input[0] * self.input[1])
                .zip(patches.par_chunks(taps * positions))
                .for_each(|(plane, patches)| self.add_plane(patches, plane));
        }
    }

    /// Adds the patch gradients `[taps, positions]` of one channel of one image to its plane.
    fn add_plane(&self, patches: &[f32], plane: &mut [f32]) {
        let Conv2dGeometry { stride, pad_begin, .. } = self.geometry;
        let [height, width] = self.input;
        let [out_height, out_width] = self.output;
        for (tap, patches) in patches.chunks_exact(out_height * out_width).enumerate() {
            let (top, left) = (tap / self.kernel, tap % self.kernel);
            // Columns of the output whose tap lies within the image.
            let first = pad_begin.saturating_sub(left).div_ceil(stride).min(out_width);
            let end = (width + pad_begin).saturating_sub(left).div_ceil(stride);
            let end = end.clamp(first, out_width);
            for (y, row) in patches.chunks_exact(out_width).enumerate() {
                let y = y * stride + top;
                if !(pad_begin..pad_begin + height).contains(&y) || first == end {
                    continue;
                }
                let start = (y - pad_begin) * width + first * stride + left - pad_begin;
                let to = plane[start..].iter_mut().step_by(stride);
                to.zip(&row[first..end]).for_each(|(to, value)| *to += value);
            }
        }
    }

    fn is_pointwise(&self) -> bool {
        self.geometry == Conv2dGeometry::new(1, 0) && self.kernel == 1
    }

    /// `[channels_out, channels, kernel, kernel]`
    fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let stride = self.geometry.stride;
        let (padded, [height, width]) = self.padded(x);
        let starts = (0..self.channels).flat_map(|channel| {
            let rows = (0..self.kernel).map(move |y| (channel * height + y) * width);
            rows.flat_map(|row| (0..self.kernel).map(move |x| row + x))
        });
        let offsets = (0..self.n).flat_map(|image| {
            let first = image * self.channels * height * width;
            let rows = (0..self.output[0]).map(move |y| first + y * stride * width);
            rows.flat_map(|row| (0..self.output[1]).map(move |x| row + x * stride))
        });
        let product = LongProduct {
            rows: Scattered { data: &padded, starts: starts.collect(), offsets: offsets.collect() },
            columns: Channels {
                data: gradient,
                channels: self.channels_out,
                positions: self.positions(),
            },
            width: self.channels_out,
        };
        transposed(&product.run(), self.channels_out)
    }

    /// The input with its zero borders, and the size of an image with them.
    fn padded<'a>(&self, x: &'a [f32]) -> (Cow<'a, [f32]>, [usize; 2]) {
        let Conv2dGeometry { stride, pad_begin, .. } = self.geometry;
        let [height, width] = self.input;
        let side = |axis: usize| {
            (pad_begin + self.input[axis]).max((self.output[axis] - 1) * stride + self.kernel)
        };
        let size = [side(0), side(1)];
        if size == self.input {
            return (Cow::Borrowed(x), size);
        }
        let mut padded = vec![0.0; self.n * self.channels * size[0] * size[1]];
        padded.par_chunks_mut(size[0] * size[1]).zip(x.par_chunks(height * width)).for_each(
            |(to, from)| {
                let rows = to.chunks_exact_mut(size[1]).skip(pad_begin);
                for (to, from) in rows.zip(from.chunks_exact(width)) {
                    to[pad_begin..pad_begin + width].copy_from_slice(from);
                }
            },
        );
        (Cow::Owned(padded), size)
    }
}
