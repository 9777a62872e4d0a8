//! GEGLU: the first half of the last axis times the exact GELU of the second half.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use super::flex::{self, CpuOps};

/// `value * gelu(gate)` with `[value, gate]` packed in the last axis (Shazeer 2020, arXiv:2002.05202).
///
/// # Shapes
/// - `x`: `[.., 2c]`
/// - output: `[.., c]`
pub fn geglu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !flex::serves(&x) {
        return reference(x);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::geglu(x.into_dispatch()))
}

/// The twin in plain tensor operations.
pub fn reference<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let mut halves = x.chunk(2, D - 1).into_iter();
    match (halves.next(), halves.next()) {
        (Some(value), Some(gate)) => value * gelu(gate),
        _ => unreachable!("the last axis of a GEGLU input has an even length"),
    }
}
