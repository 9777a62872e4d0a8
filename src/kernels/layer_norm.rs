//! LayerNorm over the last axis.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::flex::{self, CpuOps};

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last axis. `eps` may be 0 (MuseV's
/// LN1 and LN3, quirk Q-3): a row without variance then gives `bias`, not NaN.
///
/// # Shapes
/// - `x`, output: `[.., c]`
/// - `weight`, `bias`: `[c]`
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    if !flex::serves(&x) {
        return reference(x, weight, bias, eps);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::layer_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        eps,
    ))
}

/// The twin in plain tensor operations.
pub fn reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let (var, mean) = x.clone().var_mean_bias(D - 1);
    // The smallest normal f32 guards a zero variance without moving any other value.
    let std = (var + eps).clamp_min(1e-37).sqrt();
    (x - mean) / std * weight.unsqueeze() + bias.unsqueeze()
}
