//! Convolution along the frame axis: kernel (3, 1, 1), padding (1, 0, 0), with bias.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{Shape, Tensor};

use super::bridge::{Launch, ShaderOps, contiguous, shader_serves, uninitialised};
use super::flex::{self, CpuOps};
use super::gemm::Tiling;
use super::source::Shader;
use super::winograd::{Convolution, Window};

/// Each output frame sees its own pixel in the previous, the same and the next frame; clips do
/// not see each other.
///
/// # Shapes
/// - `x`: `[b·frames, c_in, h, w]`
/// - `weight`: `[c_out, c_in, 3, 1, 1]`, `bias`: `[c_out]`
/// - output: `[b·frames, c_out, h, w]`
pub fn temporal_conv(x: Tensor<4>, weight: Tensor<5>, bias: Tensor<1>, frames: usize) -> Tensor<4> {
    if shader_serves(&x) {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::temporal_conv(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            frames,
        ));
    }
    if flex::serves(&x) {
        return Tensor::from_dispatch(<Dispatch as CpuOps>::temporal_conv(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            frames,
        ));
    }
    reference(x, weight, bias, frames)
}

pub(super) fn output_shape(x: &Shape, weight: &Shape) -> Shape {
    Shape::new([x[0], weight[0], x[2], x[3]])
}

pub(super) fn launch(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    frames: usize,
) -> CubeTensor {
    let [x, weight, bias] = contiguous([x, weight, bias]);
    let [n, c_in, h, w] = x.shape().dims();
    let c_out = weight.shape()[0];
    let out = uninitialised(&x, output_shape(&x.shape(), &weight.shape()));
    let convolution = Convolution {
        window: Window::Frames,
        in_channels: c_in,
        out_channels: c_out,
        images: n / frames,
        rows: frames,
        columns: h * w,
    };
    if convolution.pays() {
        convolution.launch(&x, &weight, &bias, &out);
        return out;
    }
    let pixels = n * h * w;
    let tiling = Tiling::new(c_out, pixels);
    let constants = [("TILE_N", tiling.tile_columns)];
    Launch {
        shader: Shader::new("temporal_conv", x.dtype, &constants),
        buffers: [&x, &weight, &bias, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &[c_out, c_in, pixels, h * w, h * w, frames].map(|size| size as u32),
        grid: tiling.grid,
    }
    .run(&x);
    out
}

/// The twin in plain tensor operations.
pub fn reference(x: Tensor<4>, weight: Tensor<5>, bias: Tensor<1>, frames: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let [c_out, ..] = weight.dims();
    let b = n / frames;
    let device = x.device();
    let edge = Tensor::<4>::zeros([b, 1, c, h * w], (&device, x.dtype()));
    // [b, 1 + t + 1, c, h·w]
    let padded = Tensor::cat(vec![edge.clone(), x.reshape([b, frames, c, h * w]), edge], 1);
    let taps = weight.reshape([c_out, c, 3]);
    let out = (0..3)
        .map(|k| {
            let tap = taps.clone().narrow(2, k, 1).reshape([1, 1, c_out, c]);
            tap.matmul(padded.clone().narrow(1, k, frames))
        })
        .reduce(|a, b| a + b)
        .expect("a temporal kernel has three taps");
    (out + bias.reshape([1, 1, c_out, 1])).reshape([n, c_out, h, w])
}
