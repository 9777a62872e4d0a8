//! Convolution along the frame axis: kernel (3, 1, 1), padding (1, 0, 0), with bias.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::flex::{self, CpuOps};

/// Each output frame sees its own pixel in the previous, the same and the next frame; clips do
/// not see each other.
///
/// # Shapes
/// - `x`: `[b·frames, c_in, h, w]`
/// - `weight`: `[c_out, c_in, 3, 1, 1]`, `bias`: `[c_out]`
/// - output: `[b·frames, c_out, h, w]`
pub fn temporal_conv(x: Tensor<4>, weight: Tensor<5>, bias: Tensor<1>, frames: usize) -> Tensor<4> {
    if !flex::serves(&x) {
        return reference(x, weight, bias, frames);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::temporal_conv(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        frames,
    ))
}

pub(crate) fn reference(
    x: Tensor<4>,
    weight: Tensor<5>,
    bias: Tensor<1>,
    frames: usize,
) -> Tensor<4> {
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
