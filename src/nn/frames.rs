//! Folding the frames of clips into the batch and back.

use burn::tensor::Tensor;

/// Folds frames into the batch, frames fastest.
///
/// # Shapes
/// - `x`: `[b, c, t, h, w]`
/// - output: `[b·t, c, h, w]`
pub fn fold(x: Tensor<5>) -> Tensor<4> {
    let [b, c, t, h, w] = x.dims();
    x.swap_dims(1, 2).reshape([b * t, c, h, w])
}

/// Undoes [`fold`].
///
/// # Shapes
/// - `x`: `[b·frames, c, h, w]`
/// - output: `[b, c, frames, h, w]`
pub fn unfold(x: Tensor<4>, frames: usize) -> Tensor<5> {
    let [n, c, h, w] = x.dims();
    x.reshape([n / frames, frames, c, h, w]).swap_dims(1, 2)
}
