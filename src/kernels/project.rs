//! Linear maps of the channels of tokens `[n, p, c]` and of pixels `[n, c, p]`.
//!
//! Networks turn pixels into tokens and back at every transformer. Here the projection that stands
//! at each border reads one layout and writes the other, so that no transposed copy is made.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::module;

use super::flex::{self, CpuOps};

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
    if !flex::serves(&x) {
        return reference(x, projection, from, to);
    }
    let Projection { weight, bias } = projection;
    let bias = bias.unwrap_or_else(|| Tensor::empty([0], (&x.device(), x.dtype())));
    Tensor::from_dispatch(<Dispatch as CpuOps>::project(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        from,
        to,
    ))
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
