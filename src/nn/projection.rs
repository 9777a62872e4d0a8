//! Linear maps between pixels `[n, c, h, w]` and tokens `[n, h·w, c]`.

use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::kernels::{Projection, Side, project};

/// The weights of `linear`.
pub fn projection_of(linear: &Linear) -> Projection {
    Projection { weight: linear.weight.val(), bias: linear.bias.as_ref().map(|bias| bias.val()) }
}

/// Applies a linear map to every token.
///
/// # Shapes
/// - `tokens`: `[n, m, c_in]`
/// - output: `[n, m, c_out]`
pub fn map_tokens(tokens: Tensor<3>, linear: &Linear) -> Tensor<3> {
    project(tokens, projection_of(linear), Side::Tokens, Side::Tokens)
}

/// Applies a linear map to the channels of every pixel and returns tokens.
///
/// # Shapes
/// - `x`: `[n, c_in, h, w]`
/// - output: `[n, h·w, c_out]`
pub fn pixels_to_tokens(x: Tensor<4>, projection: Projection) -> Tensor<3> {
    let [n, c, h, w] = x.dims();
    project(x.reshape([n, c, h * w]), projection, Side::Pixels, Side::Tokens)
}

/// Applies a linear map to every token and returns pixels.
///
/// # Shapes
/// - `tokens`: `[n, h·w, c_in]`
/// - output: `[n, c_out, h, w]`
pub fn tokens_to_pixels(tokens: Tensor<3>, projection: Projection, size: [usize; 2]) -> Tensor<4> {
    let [h, w] = size;
    let pixels = project(tokens, projection, Side::Tokens, Side::Pixels);
    let [n, c, _] = pixels.dims();
    pixels.reshape([n, c, h, w])
}
