//! softmax(Q·Kᵀ/√d)·V, a few queries of one head at a time, so that scores stay in a cache.

use std::array;
use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::dispatch::{Tiled, tiled};
use super::gemm::TASKS_PER_THREAD;
use super::math::{exp, max, sum};
use super::operands::{Columns, Grid, Planes, Tokens};
use super::shared::Shared;
use super::tile::{PANEL, Panels, store, tile};

/// Sizes of an attention over tokens with the heads packed in the last axis.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) channels: usize,
    pub(super) heads: usize,
}

/// Queries `[batch, queries, channels]`, keys and values `[batch, keys, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

/// Fewest queries worth packing a head's keys and values for.
const MIN_QUERIES: usize = 64;

/// Writes `out`, `[batch, queries, channels]`.
pub(super) fn attention(inputs: Inputs, sizes: Sizes, out: &mut [f32]) {
    let Sizes { batch, queries, heads, .. } = sizes;
    let out = Shared::new(out);
    let pairs = batch * heads;
    let parts = (rayon::current_num_threads() * TASKS_PER_THREAD).div_ceil(pairs.max(1));
    let parts = parts.min(queries / MIN_QUERIES).max(1);
    let step = queries.div_ceil(parts);
    (0..pairs * parts).into_par_iter().for_each(|task| {
        let (pair, part) = (task / parts, task % parts);
        let queries = part * step..((part + 1) * step).min(queries);
        tiled(Head { inputs, sizes, out: &out, entry: pair / heads, head: pair % heads, queries });
    });
}

/// Some queries of one head of one batch entry.
struct Head<'a> {
    inputs: Inputs<'a>,
    sizes: Sizes,
    out: &'a Shared<'a>,
    entry: usize,
    head: usize,
    queries: Range<usize>,
}

impl Tiled for Head<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        let Sizes { queries, keys, channels, heads, .. } = self.sizes;
        let width = channels / heads;
        let scale = 1.0 / (width as f32).sqrt();
        let first_query = self.entry * queries * channels + self.head * width;
        let (key_panels, value_panels) = self.packed(simd);
        let pitch = key_panels.vectors().len() * S::F32_LANES;
        let mut scores = vec![0.0; M * pitch];
        for row in self.queries.clone().step_by(M) {
            // Queries past the end repeat the last one and are not stored.
            let starts: [usize; M] =
                array::from_fn(|i| first_query + (row + i).min(self.queries.end - 1) * channels);
            let rows = starts.map(|start| &self.inputs.q[start..][..width]);
            for (vector, count, panel) in key_panels.iter() {
                let scalar = |k: usize, r: usize| rows[r][k];
                let to = &mut scores[vector * S::F32_LANES..];
                match count {
                    1 => put(simd, &tile::<S, M, 1>(simd, scalar, panel), to, pitch),
                    2 => put(simd, &tile::<S, M, 2>(simd, scalar, panel), to, pitch),
                    _ => put(simd, &tile::<S, M, PANEL>(simd, scalar, panel), to, pitch),
                }
            }
            let mut norms = [0.0; M];
            for (row, norm) in scores.chunks_exact_mut(pitch).zip(&mut norms) {
                let row = &mut row[..keys];
                let most = max(row);
                row.iter_mut().for_each(|x| *x = exp((*x - most) * scale));
                *norm = 1.0 / sum(row, |x| x);
            }
            let weights: [&[f32]; M] = array::from_fn(|r| &scores[r * pitch..][..keys]);
            let used = self.queries.end.min(row + M) - row;
            for (vector, count, panel) in value_panels.iter() {
                // SAFETY: the panels of values have a row for every key.
                let scalar = |k: usize, r: usize| unsafe { *weights[r].get_unchecked(k) };
                let to =
                    Block { starts: &starts[..used], norms, first: vector * S::F32_LANES, width };
                match count {
                    1 => self.store(simd, &tile::<S, M, 1>(simd, scalar, panel), to),
                    2 => self.store(simd, &tile::<S, M, 2>(simd, scalar, panel), to),
                    _ => self.store(simd, &tile::<S, M, PANEL>(simd, scalar, panel), to),
                }
            }
        }
    }
}

impl Head<'_> {
    /// This head's transposed keys and values.
    #[inline(always)]
    fn packed<S: Simd>(&self, simd: S) -> (Panels, Panels) {
        let lanes = S::F32_LANES;
        let Sizes { keys, channels, heads, .. } = self.sizes;
        let width = channels / heads;
        let start = self.entry * keys * channels + self.head * width;
        let panels = |columns: usize, depth: usize| {
            let grid = Grid { width: columns, lanes };
            let mut panels = Panels::new(0..grid.vectors_per_image(), lanes, depth);
            panels.set_depth(0..depth);
            (grid, panels)
        };
        let (grid, mut key_panels) = panels(keys, width);
        let k = Tokens { data: &self.inputs.k[start..], stride: channels };
        k.pack(simd, &mut (), &grid, &mut key_panels);
        let (grid, mut value_panels) = panels(width, keys);
        let v = Planes { data: &self.inputs.v[start..], depth: keys, stride: channels };
        v.pack(simd, &mut (), &grid, &mut value_panels);
        (key_panels, value_panels)
    }

    #[inline(always)]
    fn store<S: Simd, const M: usize, const W: usize>(
        &self,
        simd: S,
        sums: &[[S::f32s; W]; M],
        to: Block<M>,
    ) {
        for ((start, norm), sums) in to.starts.iter().zip(to.norms).zip(sums) {
            for (w, sum) in sums.iter().enumerate() {
                let first = to.first + w * S::F32_LANES;
                let used = S::F32_LANES.min(to.width - first);
                // SAFETY: this task owns its queries' part of this head.
                let out = unsafe { self.out.slice(start + first, used) };
                store(simd, out, simd.mul_f32s(*sum, simd.splat_f32s(norm)));
            }
        }
    }
}

/// Where a tile of the output goes.
struct Block<'a, const M: usize> {
    /// Start of each query's part of the head.
    starts: &'a [usize],
    /// One over the sum of each query's weights.
    norms: [f32; M],
    /// First channel of the head.
    first: usize,
    /// Channels of the head.
    width: usize,
}

/// Writes the vectors of each row of a tile, rows `pitch` scalars apart.
#[inline(always)]
fn put<S: Simd, const M: usize, const W: usize>(
    simd: S,
    sums: &[[S::f32s; W]; M],
    to: &mut [f32],
    pitch: usize,
) {
    for (r, sums) in sums.iter().enumerate() {
        for (vector, sum) in to[r * pitch..].chunks_exact_mut(S::F32_LANES).zip(sums) {
            store(simd, vector, *sum);
        }
    }
}
