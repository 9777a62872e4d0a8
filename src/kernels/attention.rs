//! softmax(Q·Kᵀ/√d)·V over tokens, many heads.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::flex::{self, CpuOps};

/// Multi-head attention with heads packed in the last axis.
///
/// # Shapes
/// - `q`: `[b, n, heads·d]`
/// - `k`, `v`: `[b, m, heads·d]`
/// - output: `[b, n, heads·d]`
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    if !flex::serves(&q) {
        return reference(q, k, v, heads);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        heads,
    ))
}

pub(crate) fn reference(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let [b, n, c] = q.dims();
    let m = k.dims()[1];
    let d = c / heads;
    let split = |x: Tensor<3>, len: usize| x.reshape([b, len, heads, d]).swap_dims(1, 2);
    let (q, k, v) = (split(q, n), split(k, m), split(v, m));
    let scores = q.matmul(k.swap_dims(2, 3)) * (1.0 / (d as f64).sqrt());
    softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([b, n, c])
}
