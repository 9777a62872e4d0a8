//! softmax(Q·Kᵀ/√d)·V along the frame axis, for every pixel at once.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::bridge::{Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised_like};
use super::flex::{self, CpuOps};
use super::source::Shader;

/// Multi-head attention over frames; heads are packed in the last axis.
///
/// # Shapes
/// - `q`, `k`, `v`: `[b, t, n, heads·d]`, n pixels
/// - output: `[b, t, n, heads·d]`
pub fn temporal_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: usize) -> Tensor<4> {
    let [_, t, _, c] = q.dims();
    // The shader reads vectors of four, and holds the scores of four frames against all.
    let fits = (c / heads).is_multiple_of(4) && t * 4 <= SCORES;
    if shader_serves(&q) && fits {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::temporal_attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            heads,
        ));
    }
    if flex::serves(&q) {
        return Tensor::from_dispatch(<Dispatch as CpuOps>::temporal_attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            heads,
        ));
    }
    reference(q, k, v, heads)
}

const WORKGROUP: usize = 64;
/// Scores in workgroup memory: 8 KiB.
const SCORES: usize = 2048;
/// Most pixels and heads of one workgroup.
const MAX_UNITS: usize = 8;

pub(super) fn launch(q: CubeTensor, k: CubeTensor, v: CubeTensor, heads: usize) -> CubeTensor {
    let [q, k, v] = contiguous([q, k, v]);
    let [b, t, n, c] = q.shape().dims();
    let d = c / heads;
    let keys = t.next_multiple_of(4);
    let queries = keys.min(SCORES / keys / 4 * 4);
    let group_units = (SCORES / (keys * queries)).min(MAX_UNITS);
    let units = b * n * heads;
    let out = uninitialised_like(&q);
    let [x, z] = fold(units.div_ceil(group_units));
    let constants = [("WORKGROUP", WORKGROUP), ("SCORES", SCORES)];
    let mut sizes: Vec<u32> =
        [units, t, n * heads, d / 4, group_units, queries].map(|size| size as u32).to_vec();
    sizes.push((1.0 / (d as f32).sqrt()).to_bits());
    Launch {
        shader: Shader::new("temporal_attention", q.dtype, &constants),
        buffers: [&q, &k, &v, &out].map(|t| t.handle.clone()).to_vec(),
        sizes: &sizes,
        grid: [x, t.div_ceil(queries) as u32, z],
    }
    .run(&q);
    out
}

/// The twin in plain tensor operations.
pub fn reference(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: usize) -> Tensor<4> {
    let [b, t, n, c] = q.dims();
    let d = c / heads;
    // [b, n, heads, t, d]
    let split = |x: Tensor<4>| x.reshape([b, t, n, heads, d]).permute([0, 2, 3, 1, 4]);
    let (q, k, v) = (split(q), split(k), split(v));
    let scores = q.matmul(k.swap_dims(3, 4)) * (1.0 / (d as f64).sqrt());
    softmax(scores, 4).matmul(v).permute([0, 3, 1, 2, 4]).reshape([b, t, n, c])
}
