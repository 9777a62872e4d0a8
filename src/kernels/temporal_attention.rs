//! softmax(Q·Kᵀ/√d)·V along the frame axis, for every pixel at once.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::flex::{self, CpuOps};

/// Multi-head attention over frames; heads are packed in the last axis.
///
/// # Shapes
/// - `q`, `k`, `v`: `[b, t, n, heads·d]`, n pixels
/// - output: `[b, t, n, heads·d]`
pub fn temporal_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: usize) -> Tensor<4> {
    if !flex::serves(&q) {
        return reference(q, k, v, heads);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::temporal_attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        heads,
    ))
}

pub(crate) fn reference(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: usize) -> Tensor<4> {
    let [b, t, n, c] = q.dims();
    let d = c / heads;
    // [b, n, heads, t, d]
    let split = |x: Tensor<4>| x.reshape([b, t, n, heads, d]).permute([0, 2, 3, 1, 4]);
    let (q, k, v) = (split(q), split(k), split(v));
    let scores = q.matmul(k.swap_dims(3, 4)) * (1.0 / (d as f64).sqrt());
    softmax(scores, 4).matmul(v).permute([0, 3, 1, 2, 4]).reshape([b, t, n, c])
}
