//! Linear maps of the channels of tokens `[n, p, c]` and of pixels `[n, c, p]`.
//!
//! Networks turn pixels into tokens and back at every transformer. Here the projection that stands
//! at each border reads one layout and writes the other, so that no transposed copy is made.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::module;
use burn::tensor::{Shape, Tensor};

use super::bridge::{
    BURN_TUNES, Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised,
};
use super::flex::{self, CpuOps};
use super::source::Shader;

/// Where the channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `[n, p, c]`
    Tokens,
    /// `[n, c, p]`
    Pixels,
}

/// The weights of a linear map.
#[derive(Clone, Debug)]
pub struct Projection {
    /// `[c_in, c_out]`
    pub weight: Tensor<2>,
    /// `[c_out]`
    pub bias: Option<Tensor<1>>,
}

/// Maps the channels of every position.
///
/// # Shapes
/// - `x`: `[n, p, c_in]` or `[n, c_in, p]`, as `from` says
/// - output: `[n, p, c_out]` or `[n, c_out, p]`, as `to` says
pub fn project(x: Tensor<3>, projection: Projection, from: Side, to: Side) -> Tensor<3> {
    if flex::serves(&x) {
        let Projection { weight, bias } = projection;
        let bias = bias.unwrap_or_else(|| no_bias(&x));
        return Tensor::from_dispatch(<Dispatch as CpuOps>::project(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            from,
            to,
        ));
    }
    if BURN_TUNES {
        return reference(x, projection, from, to);
    }
    tiled_project(x, projection, from, to)
}

/// The same as [`project`], by the shader that serves browsers.
pub fn tiled_project(x: Tensor<3>, projection: Projection, from: Side, to: Side) -> Tensor<3> {
    if !shader_serves(&x) {
        return reference(x, projection, from, to);
    }
    let Projection { weight, bias } = projection;
    let bias = bias.unwrap_or_else(|| no_bias(&x));
    Tensor::from_dispatch(<Dispatch as ShaderOps>::project(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        from,
        to,
    ))
}

fn no_bias(x: &Tensor<3>) -> Tensor<1> {
    Tensor::empty([0], (&x.device(), x.dtype()))
}

impl Side {
    /// `[positions, channels]` of each image of `shape`.
    fn of(self, shape: &Shape) -> [usize; 2] {
        match self {
            Self::Tokens => [shape[1], shape[2]],
            Self::Pixels => [shape[2], shape[1]],
        }
    }

    fn shape(self, n: usize, [positions, channels]: [usize; 2]) -> Shape {
        match self {
            Self::Tokens => Shape::new([n, positions, channels]),
            Self::Pixels => Shape::new([n, channels, positions]),
        }
    }

    /// From one channel to the next.
    fn step(self, positions: usize) -> usize {
        match self {
            Self::Tokens => 1,
            Self::Pixels => positions,
        }
    }
}

pub(super) fn output_shape(x: &Shape, weight: &Shape, from: Side, to: Side) -> Shape {
    let [positions, _] = from.of(x);
    to.shape(x[0], [positions, weight[1]])
}

pub(super) fn launch(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    (from, to): (Side, Side),
) -> CubeTensor {
    /// `TILE` of the shader.
    const TILE: usize = 64;
    let [x, weight, bias] = contiguous([x, weight, bias]);
    let [positions, c_in] = from.of(&x.shape());
    let c_out = weight.shape()[1];
    let rows = x.shape()[0] * positions;
    let out = uninitialised(&x, output_shape(&x.shape(), &weight.shape(), from, to));
    let has_bias = bias.shape()[0] > 0;
    // Something has to be bound.
    let bias = if has_bias { &bias } else { &weight };
    let [y, z] = fold(rows.div_ceil(TILE));
    let steps = [from.step(positions), to.step(positions)];
    Launch {
        shader: Shader::new("project", x.dtype, &[]),
        buffers: [&x, &weight, bias, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &[c_in, c_out, rows, positions, steps[0], steps[1], usize::from(has_bias)]
            .map(|size| size as u32),
        grid: [c_out.div_ceil(TILE) as u32, y, z],
    }
    .run(&x);
    out
}

/// The twin in plain tensor operations.
pub fn reference(x: Tensor<3>, projection: Projection, from: Side, to: Side) -> Tensor<3> {
    let Projection { weight, bias } = projection;
    match to {
        Side::Tokens => {
            let tokens = match from {
                Side::Tokens => x,
                Side::Pixels => x.swap_dims(1, 2),
            };
            module::linear(tokens, weight, bias)
        }
        Side::Pixels => {
            let pixels = match from {
                Side::Tokens => x.swap_dims(1, 2),
                Side::Pixels => x,
            };
            let out = weight.transpose().unsqueeze().matmul(pixels);
            match bias {
                Some(bias) => out + bias.reshape([1, -1, 1]),
                None => out,
            }
        }
    }
}
