//! Two-dimensional convolution with bias.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, PadMode};

use super::flex::{self, CpuOps};

/// Stride and zero padding of a [`conv2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dGeometry {
    /// Step in both directions.
    pub stride: usize,
    /// Zero rows above and columns to the left.
    pub pad_begin: usize,
    /// Zero rows below and columns to the right.
    pub pad_end: usize,
}

impl Conv2dGeometry {
    /// The same padding on every side.
    pub const fn new(stride: usize, padding: usize) -> Self {
        Self { stride, pad_begin: padding, pad_end: padding }
    }
}

/// Cross-correlation of `x` with `weight`, plus `bias`.
///
/// # Shapes
/// - `x`: `[n, c_in, h, w]`
/// - `weight`: `[c_out, c_in, k, k]`, `bias`: `[c_out]`
/// - output: `[n, c_out, h', w']` with `h' = (h + pad_begin + pad_end - k) / stride + 1`
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    geometry: Conv2dGeometry,
) -> Tensor<4> {
    if !flex::serves(&x) {
        return reference(x, weight, bias, geometry);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::conv2d(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        geometry,
    ))
}

pub(crate) fn reference(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    geometry: Conv2dGeometry,
) -> Tensor<4> {
    let Conv2dGeometry { stride, pad_begin, pad_end } = geometry;
    let (x, padding) = if pad_begin == pad_end {
        (x, pad_begin)
    } else {
        (x.pad((pad_begin, pad_end, pad_begin, pad_end), PadMode::Constant(0.0)), 0)
    };
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    module::conv2d(x, weight, Some(bias), options)
}
