//! softmax(Q·Kᵀ/√d)·V over tokens, many heads.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, module};

use super::bridge::{
    BURN_TUNES, Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised_like,
};
use super::flex::{self, CpuOps};
use super::source::Shader;

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
    if BURN_TUNES && shader_serves(&q) {
        return flash(q, k, v, heads);
    }
    streaming_attention(q, k, v, heads)
}

/// The same as [`attention`], by the shader that serves browsers, where burn would store the scores.
pub fn streaming_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let width = q.dims()[2] / heads;
    if shader_serves(&q) && width.is_multiple_of(4) && items(width).is_some() {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            heads,
        ));
    }
    reference(q, k, v, heads)
}

/// Blocks of the output of each lane of the shader, for heads of `width` channels.
fn items(width: usize) -> Option<usize> {
    const LANES: usize = 64;
    [1, 3, 8].into_iter().find(|&items| width <= items * LANES)
}

pub(super) fn launch(q: CubeTensor, k: CubeTensor, v: CubeTensor, heads: usize) -> CubeTensor {
    /// Queries of a workgroup.
    const QUERIES: usize = 16;
    let [q, k, v] = contiguous([q, k, v]);
    let [b, n, c] = q.shape().dims();
    let (m, width) = (k.shape()[1], c / heads);
    let items = items(width).expect("`streaming_attention` asked for a width that fits");
    let out = uninitialised_like(&q);
    let [y, z] = fold(b * heads);
    let mut sizes = [b * heads, heads, n, m, width / 4].map(|size| size as u32).to_vec();
    sizes.push((1.0 / (width as f32).sqrt()).to_bits());
    Launch {
        shader: Shader::new("attention", q.dtype, &[("ITEMS", items)]),
        buffers: [&q, &k, &v, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &sizes,
        grid: [n.div_ceil(QUERIES) as u32, y, z],
    }
    .run(&q);
    out
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
