//! Two-dimensional convolution with bias.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Shape, Tensor, module};

use super::bridge::{Launch, ShaderOps, contiguous, shader_serves, uninitialised};
use super::flex::{self, CpuOps};
use super::gemm::Tiling;
use super::project::{self, Projection, Side, project};
use super::source::Shader;
use super::winograd::{Convolution, Window};

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
    if shader_serves(&x) && weight.dims()[2] == KERNEL {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::conv2d(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            geometry,
        ));
    }
    if shader_serves(&x) && is_pointwise(&weight, geometry) {
        return pointwise(x, weight, bias, project);
    }
    if flex::serves(&x) {
        return Tensor::from_dispatch(<Dispatch as CpuOps>::conv2d(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            geometry,
        ));
    }
    if x.device().is_autodiff() && !is_pointwise(&weight, geometry) {
        return by_products(x, weight, bias, geometry);
    }
    reference(x, weight, bias, geometry)
}

/// The side of the kernel that the shader is written for.
const KERNEL: usize = 3;

pub(super) fn output_shape(x: &Shape, weight: &Shape, geometry: Conv2dGeometry) -> Shape {
    let Conv2dGeometry { stride, pad_begin, pad_end } = geometry;
    let side = |length: usize| (length + pad_begin + pad_end - weight[2]) / stride + 1;
    Shape::new([x[0], weight[0], side(x[2]), side(x[3])])
}

pub(super) fn launch(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    geometry: Conv2dGeometry,
) -> CubeTensor {
    let [x, weight, bias] = contiguous([x, weight, bias]);
    let [_, c_in, h, w] = x.shape().dims();
    let c_out = weight.shape()[0];
    let shape = output_shape(&x.shape(), &weight.shape(), geometry);
    let [n, _, out_h, out_w] = shape.dims();
    let out = uninitialised(&x, shape);
    let convolution = Convolution {
        window: Window::Square,
        in_channels: c_in,
        out_channels: c_out,
        images: n,
        rows: h,
        columns: w,
    };
    if geometry == Conv2dGeometry::new(1, 1) && convolution.pays() {
        convolution.launch(&x, &weight, &bias, &out);
        return out;
    }
    let pixels = n * out_h * out_w;
    let tiling = Tiling::new(c_out, pixels);
    Launch {
        shader: Shader::new("conv2d", x.dtype, &[("TILE_N", tiling.tile_columns)]),
        buffers: [&x, &weight, &bias, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &[
            c_out,
            c_in,
            pixels,
            h * w,
            out_h * out_w,
            h,
            w,
            out_w,
            geometry.stride,
            geometry.pad_begin,
        ]
        .map(|size| size as u32),
        grid: tiling.grid,
    }
    .run(&x);
    out
}

/// The twin in plain tensor operations.
pub fn reference(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    geometry: Conv2dGeometry,
) -> Tensor<4> {
    let Conv2dGeometry { stride, pad_begin, pad_end } = geometry;
    if is_pointwise(&weight, geometry) {
        return pointwise(x, weight, bias, project::reference);
    }
    let (x, padding) = if pad_begin == pad_end {
        (x, pad_begin)
    } else {
        (x.pad((pad_begin, pad_end, pad_begin, pad_end), PadMode::Constant(0.0)), 0)
    };
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    module::conv2d(x, weight, Some(bias), options)
}

/// The same as one product of matrices for each picture, so that its gradients are products too. As
/// a convolution, the gradient of the weights has windows as large as the pictures.
fn by_products(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    geometry: Conv2dGeometry,
) -> Tensor<4> {
    let Conv2dGeometry { stride, pad_begin, .. } = geometry;
    let [n, c_in, h, w] = x.dims();
    let [c_out, _, side, _] = weight.dims();
    let shape = output_shape(&x.shape(), &weight.shape(), geometry);
    let [_, _, out_h, out_w] = shape.dims();
    // Rows, as columns, in steps of the stride and what is within one.
    let steps = |out: usize| out + (side - 1) / stride;
    let [rows, columns] = [out_h, out_w].map(|out| steps(out) * stride);
    let [inner_h, inner_w] = [h.min(rows - pad_begin), w.min(columns - pad_begin)];
    let inner = [0..n, 0..c_in, pad_begin..pad_begin + inner_h, pad_begin..pad_begin + inner_w];
    let stepped = Tensor::<4>::zeros([n, c_in, rows, columns], (&x.device(), x.dtype()))
        .slice_assign(inner, x.slice([0..n, 0..c_in, 0..inner_h, 0..inner_w]))
        .reshape([n, c_in, steps(out_h), stride, steps(out_w), stride]);
    let along = |tap: usize, out: usize| {
        let (step, within) = (tap / stride, tap % stride);
        (step..step + out, within..within + 1)
    };
    let taps = (0..side * side).map(|tap| {
        let (rows, row) = along(tap / side, out_h);
        let (columns, column) = along(tap % side, out_w);
        let seen = stepped.clone().slice([0..n, 0..c_in, rows, row, columns, column]);
        seen.reshape([n, c_in, out_h * out_w])
    });
    let windows = Tensor::cat(taps.collect(), 1);
    let weight = weight.permute([0, 2, 3, 1]).reshape([1, c_out, side * side * c_in]);
    (weight.matmul(windows) + bias.reshape([1, c_out, 1])).reshape(shape)
}

fn is_pointwise(weight: &Tensor<4>, geometry: Conv2dGeometry) -> bool {
    weight.dims()[2] == 1 && geometry == Conv2dGeometry::new(1, 0)
}

/// A 1×1 convolution, as the linear map that it is.
fn pointwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    map: fn(Tensor<3>, Projection, Side, Side) -> Tensor<3>,
) -> Tensor<4> {
    let [n, c_in, h, w] = x.dims();
    let c_out = weight.dims()[0];
    let weight = weight.reshape([c_out, c_in]).transpose();
    let projection = Projection { weight, bias: Some(bias) };
    let out = map(x.reshape([n, c_in, h * w]), projection, Side::Pixels, Side::Pixels);
    out.reshape([n, c_out, h, w])
}
