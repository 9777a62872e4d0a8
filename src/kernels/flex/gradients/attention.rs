//! Gradients of attention over tokens, as in FlashAttention (Dao et al. 2022, arXiv:2205.14135,
//! appendix B.2): the weights are computed again, a block of queries of one head at a time.
//!
//! With P the weights and dP the products of the output's gradient with the values, the gradient of
//! the scores is P·(dP − Σ P·dP), sums along the keys.

use std::array;

use burn::backend::Flex;
use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Operation;
use super::sums::dot;
use crate::kernels::flex::attention::{Inputs, Sizes};
use crate::kernels::flex::dispatch::dispatch;
use crate::kernels::flex::math::{exp, max, sum};
use crate::kernels::flex::operands::{Columns, Grid, Planes, Tokens};
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};
use crate::kernels::flex::shared::Shared;
use crate::kernels::flex::tile::{PANEL, Panels, load, store, tile};

/// Scores of a block of queries: with as many gradients they fill a quarter of a 1 MiB cache.
const SCORES: usize = 1 << 15;
/// Most queries of a block.
const MAX_QUERIES: usize = 64;

/// See [`crate::kernels::attention`]; operands are queries, keys and values.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub(super) heads: usize,
}

impl Operation<3> for Attention {
    fn forward(&self, [q, k, v]: [FlexTensor; 3]) -> FlexTensor {
        Flex::attention(q, k, v, self.heads)
    }

    fn gradients(
        &self,
        operands: [FlexTensor; 3],
        gradient: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [q, k, v] = operands.map(|x| x.to_contiguous());
        let gradient = gradient.to_contiguous();
        let [batch, queries, channels] = q.layout().shape().dims();
        let keys = k.layout().shape()[1];
        let sizes = Sizes { batch, queries, keys, channels, heads: self.heads };
        let inputs = Inputs { q: scalars(&q), k: scalars(&k), v: scalars(&v) };
        let mut out = [&q, &k, &v].map(|x| vec![0.0; x.layout().num_elements()]);
        let shared = out.each_mut().map(|values| Shared::new(values));
        (0..batch * self.heads).into_par_iter().for_each(|pair| {
            dispatch(Head {
                inputs,
                gradient: scalars(&gradient),
                sizes,
                out: &shared,
                entry: pair / sizes.heads,
                head: pair % sizes.heads,
            });
        });
        let [for_q, for_k, for_v] = out;
        let like = |values, x: &FlexTensor| Some(tensor(values, x.layout().shape().clone()));
        [like(for_q, &q), like(for_k, &k), like(for_v, &v)]
    }
}

/// One head of one batch entry.
struct Head<'a> {
    inputs: Inputs<'a>,
    gradient: &'a [f32],
    sizes: Sizes,
    /// Gradients of queries, keys and values.
    out: &'a [Shared<'a>; 3],
    entry: usize,
    head: usize,
}

/// What is packed once for all queries of a head.
struct Packed {
    /// `[width, keys]`
    transposed_keys: Panels,
    /// `[width, keys]`
    transposed_values: Panels,
    /// `[keys, width]`
    keys: Panels,
}

/// Weights and gradients of the scores of a block of queries, rows `pitch` apart.
struct Scores {
    weights: Vec<f32>,
    slopes: Vec<f32>,
    pitch: usize,
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, 8>(simd);
        } else {
            self.run::<S, 4>(simd);
        }
    }
}

impl Head<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        let Sizes { queries, keys, channels, heads, .. } = self.sizes;
        let width = channels / heads;
        let packed = self.packed(simd);
        let pitch = packed.transposed_keys.vectors().len() * S::F32_LANES;
        let block = (SCORES / keys).clamp(M, MAX_QUERIES).min(queries);
        let buffer = || vec![0.0; block * pitch];
        let mut scores = Scores { weights: buffer(), slopes: buffer(), pitch };
        let mut panels = room(simd, width, block);
        for first in (0..queries).step_by(block) {
            let used = block.min(queries - first);
            let start = (self.entry * queries + first) * channels + self.head * width;
            let rows = [self.inputs.q, self.gradient].map(|x| Strided::rows(&x[start..], channels));
            self.scores::<S, M>(simd, rows, used, &packed, &mut scores);

            let slopes = Strided::rows(&scores.slopes, pitch);
            let to = Target { out: &self.out[0], start, stride: channels, width };
            multiply::<S, M>(simd, slopes, used, &packed.keys, |row, column, sums| {
                to.add(simd, row, column, sums);
            });

            let start = self.entry * keys * channels + self.head * width;
            panels.set_depth(0..used);
            let blocks = [(&scores.slopes, rows[0]), (&scores.weights, rows[1])];
            for ((scores, rows), out) in blocks.into_iter().zip(&self.out[1..]) {
                let columns = Planes { data: rows.data, depth: used, stride: channels };
                columns.pack(simd, &mut (), &grid(simd, width), &mut panels);
                let to = Target { out, start, stride: channels, width };
                let scores = Strided::columns(scores, pitch);
                multiply::<S, M>(simd, scores, keys, &panels, |row, column, sums| {
                    to.add(simd, row, column, sums);
                });
            }
        }
    }

    /// Computes the weights of `used` queries, and the gradients of their scores.
    #[inline(always)]
    fn scores<S: Simd, const M: usize>(
        &self,
        simd: S,
        [q, gradient]: [Strided; 2],
        used: usize,
        packed: &Packed,
        scores: &mut Scores,
    ) {
        let Sizes { keys, channels, heads, .. } = self.sizes;
        let scale = 1.0 / ((channels / heads) as f32).sqrt();
        let Scores { weights, slopes, pitch } = scores;
        let products = [
            (q, &packed.transposed_keys, &mut *weights),
            (gradient, &packed.transposed_values, &mut *slopes),
        ];
        for (rows, panels, to) in products {
            multiply::<S, M>(simd, rows, used, panels, |row, column, sums| {
                store(simd, &mut to[row * *pitch + column..][..S::F32_LANES], sums);
            });
        }
        let rows = weights.chunks_exact_mut(*pitch).zip(slopes.chunks_exact_mut(*pitch));
        for (weights, slopes) in rows.take(used) {
            let (weights, slopes) = (&mut weights[..keys], &mut slopes[..keys]);
            let most = max(weights);
            weights.iter_mut().for_each(|x| *x = exp((*x - most) * scale));
            let norm = 1.0 / sum(weights, |x| x);
            weights.iter_mut().for_each(|x| *x *= norm);
            let mean = dot(weights, slopes);
            for (slope, weight) in slopes.iter_mut().zip(&*weights) {
                *slope = weight * (*slope - mean) * scale;
            }
        }
    }

    #[inline(always)]
    fn packed<S: Simd>(&self, simd: S) -> Packed {
        let Sizes { keys, channels, heads, .. } = self.sizes;
        let width = channels / heads;
        let start = self.entry * keys * channels + self.head * width;
        let transposed = |x: &[f32]| {
            let mut panels = room(simd, keys, width);
            let columns = Tokens { data: &x[start..], stride: channels };
            columns.pack(simd, &mut (), &grid(simd, keys), &mut panels);
            panels
        };
        let mut key_panels = room(simd, width, keys);
        let columns = Planes { data: &self.inputs.k[start..], depth: keys, stride: channels };
        columns.pack(simd, &mut (), &grid(simd, width), &mut key_panels);
        Packed {
            transposed_keys: transposed(self.inputs.k),
            transposed_values: transposed(self.inputs.v),
            keys: key_panels,
        }
    }
}

#[inline(always)]
fn grid<S: Simd>(_: S, width: usize) -> Grid {
    Grid { width, lanes: S::F32_LANES }
}

/// Room for a matrix `[depth, width]`.
#[inline(always)]
fn room<S: Simd>(simd: S, width: usize, depth: usize) -> Panels {
    let mut panels = Panels::new(0..grid(simd, width).vectors_per_image(), S::F32_LANES, depth);
    panels.set_depth(0..depth);
    panels
}

/// A matrix as it lies in memory, read one scalar at a time.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    /// Scalars from row to row.
    row: usize,
    /// Scalars from column to column.
    column: usize,
}

impl<'a> Strided<'a> {
    /// Rows `stride` scalars apart.
    fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: stride, column: 1 }
    }

    /// Columns `stride` scalars apart.
    fn columns(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: 1, column: stride }
    }
}

/// Multiplies the first `count` rows with packed columns. `put` gets row, column and sums, a vector
/// at a time.
#[inline(always)]
fn multiply<S: Simd, const M: usize>(
    simd: S,
    rows: Strided,
    count: usize,
    panels: &Panels,
    mut put: impl FnMut(usize, usize, S::f32s),
) {
    let Strided { data, row: stride, column } = rows;
    let reach = (count - 1) * stride + (panels.depth().len() - 1) * column;
    assert!(reach < data.len(), "all factors lie in the storage");
    for row in (0..count).step_by(M) {
        // Rows past the end repeat the last one and are not used.
        let starts: [usize; M] = array::from_fn(|i| (row + i).min(count - 1) * stride);
        let used = M.min(count - row);
        for (vector, width, panel) in panels.iter() {
            // SAFETY: a panel has as many rows as its depth, for which the reach was checked.
            let scalar =
                |k: usize, r: usize| unsafe { *data.get_unchecked(starts[r] + k * column) };
            let first = vector * S::F32_LANES;
            let put = |r: usize, w: usize, sums| put(row + r, first + w * S::F32_LANES, sums);
            match width {
                1 => each(&tile::<S, M, 1>(simd, scalar, panel), used, put),
                2 => each(&tile::<S, M, 2>(simd, scalar, panel), used, put),
                _ => each(&tile::<S, M, PANEL>(simd, scalar, panel), used, put),
            }
        }
    }
}

#[inline(always)]
fn each<V: Copy, const M: usize, const W: usize>(
    sums: &[[V; W]; M],
    used: usize,
    mut put: impl FnMut(usize, usize, V),
) {
    for (r, sums) in sums.iter().enumerate().take(used) {
        for (w, sums) in sums.iter().enumerate() {
            put(r, w, *sums);
        }
    }
}

/// One head's part of an output.
struct Target<'a> {
    out: &'a Shared<'a>,
    start: usize,
    /// Scalars from row to row.
    stride: usize,
    /// Channels of the head.
    width: usize,
}

impl Target<'_> {
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, row: usize, column: usize, sums: S::f32s) {
        let used = S::F32_LANES.min(self.width - column);
        // SAFETY: this task owns this head of this entry.
        let out = unsafe { self.out.slice(self.start + row * self.stride + column, used) };
        store(simd, out, simd.add_f32s(load(simd, out), sums));
    }
}
