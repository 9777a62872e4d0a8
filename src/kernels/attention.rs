//! softmax(Q·Kᵀ/√d)·V over tokens, many heads.

use burn::backend::Dispatch;
use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, module};

use super::bridge::shader_serves;
use super::flex::{self, CpuOps};

/// Multi-head attention with heads packed in the last axis.
///
/// # Shapes
/// - `q`: `[b, n, heads·d]`
/// - `k`, `v`: `[b, m, heads·d]`
/// - output: `[b, n, heads·d]`
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    if flex::serves(&q) {
        return Tensor::from_dispatch(<Dispatch as CpuOps>::attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            heads,
        ));
    }
    if shader_serves(&q) {
        return flash(q, k, v, heads);
    }
    reference(q, k, v, heads)
}

/// burn's attention, which never stores the scores; an explicit scale would make it do so.
fn flash(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let [b, n, c] = q.dims();
    let split = |x: Tensor<3>| {
        let len = x.dims()[1];
        x.reshape([b, len, heads, c / heads]).swap_dims(1, 2)
    };
    let options = AttentionModuleOptions::default();
    let out = module::attention(split(q), split(k), split(v), None, None, options);
    out.swap_dims(1, 2).reshape([b, n, c])
}

/// The twin in plain tensor operations.
pub fn reference(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let [b, n, c] = q.dims();
    let m = k.dims()[1];
    let d = c / heads;
    let split = |x: Tensor<3>, len: usize| x.reshape([b, len, heads, d]).swap_dims(1, 2);
    let (q, k, v) = (split(q, n), split(k, m), split(v, m));
    let scores = q.matmul(k.swap_dims(2, 3)) * (1.0 / (d as f64).sqrt());
    softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([b, n, c])
}
