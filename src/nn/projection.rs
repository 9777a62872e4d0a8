//! Linear maps between pixels `[n, c, h, w]` and tokens `[n, h·w, c]`.
//!
//! Both directions are one matrix product that reads or writes the pixels as they lie, so that
//! no transposed copy is ever made.

use burn::nn::Linear;
use burn::tensor::{Tensor, TensorCreationOptions};

/// The weight and the bias of `linear`, or a zero bias.
///
/// # Shapes
/// - output: `[c_in, c_out]`, `[c_out]`
pub fn matrix_of(linear: &Linear) -> (Tensor<2>, Tensor<1>) {
    let weight = linear.weight.val();
    let bias = match &linear.bias {
        Some(bias) => bias.val(),
        None => {
            let options: TensorCreationOptions = (&weight.device(), weight.dtype()).into();
            Tensor::zeros([weight.dims()[1]], options)
        }
    };
    (weight, bias)
}

/// Applies a linear map to the channels of every pixel and returns tokens.
///
/// # Shapes
/// - `x`: `[n, c_in, h, w]`
/// - `matrix`: `[c_in, c_out]`, `[c_out]`
/// - output: `[n, h·w, c_out]`
pub fn pixels_to_tokens(x: Tensor<4>, matrix: (Tensor<2>, Tensor<1>)) -> Tensor<3> {
    let [n, c, h, w] = x.dims();
    let (weight, bias) = matrix;
    x.reshape([n, c, h * w]).swap_dims(1, 2).matmul(weight.unsqueeze()) + bias.unsqueeze()
}

/// Applies a linear map to every token and returns pixels.
///
/// # Shapes
/// - `tokens`: `[n, h·w, c_in]`
/// - `matrix`: `[c_in, c_out]`, `[c_out]`
/// - output: `[n, c_out, h, w]`
pub fn tokens_to_pixels(
    tokens: Tensor<3>,
    matrix: (Tensor<2>, Tensor<1>),
    size: [usize; 2],
) -> Tensor<4> {
    let n = tokens.dims()[0];
    let [h, w] = size;
    let (weight, bias) = matrix;
    let c = bias.dims()[0];
    let pixels = weight.transpose().unsqueeze().matmul(tokens.swap_dims(1, 2));
    (pixels + bias.reshape([1, c, 1])).reshape([n, c, h, w])
}
