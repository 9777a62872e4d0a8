//! Gradients of attention over tokens, as in FlashAttention (Dao et al. 2022, arXiv:2205.14135,
//! appendix B.2): the weights are computed again, a block of queries of one head at a time.
//!
//! With P the weights and dP the products of the output's gradient with the values, the gradient of
//! the scores is P·(dP − Σ P·dP), sums along the keys.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use pulp::Simd;
use rayon::prelude::*;

use super::Operation;
use super::sums::dot;
use crate::kernels::flex::attention::Inputs;
use crate::kernels::flex::dispatch::{Tiled, tiled};
use crate::kernels::flex::math::{exp, max, sum};
use crate::kernels::flex::operands::{Planes, Tokens};
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};
use crate::kernels::flex::shared::Shared;
use crate::kernels::flex::strided::{Strided, Target, multiply, pack, room};
use crate::kernels::flex::tile::{Panels, store};

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
        let width = channels / self.heads;
        let inputs = Inputs { q: scalars(&q), k: scalars(&k), v: scalars(&v) };
        let mut out = [&q, &k, &v].map(|x| vec![0.0; x.layout().num_elements()]);
        let shared = out.each_mut().map(|values| Shared::new(values));
        let backward = Backward {
            inputs,
            gradient: scalars(&gradient),
            out: &shared,
            sizes: HeadSizes { queries, keys, width, stride: channels },
        };
        (0..batch * self.heads).into_par_iter().for_each(|pair| {
            let (entry, head) = (pair / self.heads, pair % self.heads);
            let start = |tokens: usize| entry * tokens * channels + head * width;
            backward.run([[start(queries), start(keys)]].into_iter());
        });
        let [for_q, for_k, for_v] = out;
        let like = |values, x: &FlexTensor| Some(tensor(values, x.layout().shape().clone()));
        [like(for_q, &q), like(for_k, &k), like(for_v, &v)]
    }
}

/// Sizes of one head of one batch entry.
#[derive(Clone, Copy)]
pub(super) struct HeadSizes {
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// Channels of the head.
    pub(super) width: usize,
    /// Scalars from token to token.
    pub(super) stride: usize,
}

/// The backward pass of heads of one size.
pub(super) struct Backward<'a> {
    pub(super) inputs: Inputs<'a>,
    /// Gradient of the result.
    pub(super) gradient: &'a [f32],
    /// Gradients of queries, keys and values, zero before.
    pub(super) out: &'a [Shared<'a>; 3],
    pub(super) sizes: HeadSizes,
}

impl Backward<'_> {
    /// Runs the heads whose first query and first key begin at `starts`. No other task may run
    /// these.
    pub(super) fn run(&self, starts: impl Iterator<Item = [usize; 2]>) {
        tiled(Heads { backward: self, starts });
    }
}

struct Heads<'a, I> {
    backward: &'a Backward<'a>,
    starts: I,
}

impl<I: Iterator<Item = [usize; 2]>> Tiled for Heads<'_, I> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        let mut space = Space::new::<S, M>(simd, self.backward.sizes);
        for starts in self.starts {
            self.backward.one_head::<S, M>(simd, starts, &mut space);
        }
    }
}

/// What a task keeps from head to head.
struct Space {
    /// `[width, keys]`
    transposed_keys: Panels,
    /// `[width, keys]`
    transposed_values: Panels,
    /// `[keys, width]`
    keys: Panels,
    /// Queries of a block, and gradients of its results, `[block, width]`.
    rows: Panels,
    /// Weights of a block of queries, rows `pitch` apart.
    weights: Vec<f32>,
    /// Gradients of the scores.
    slopes: Vec<f32>,
    pitch: usize,
    /// Most queries of a block.
    block: usize,
}

impl Space {
    #[inline(always)]
    fn new<S: Simd, const M: usize>(simd: S, sizes: HeadSizes) -> Self {
        let HeadSizes { queries, keys, width, .. } = sizes;
        let block = (SCORES / keys).clamp(M, MAX_QUERIES).min(queries);
        let pitch = keys.next_multiple_of(S::F32_LANES);
        Self {
            transposed_keys: room(simd, keys, width),
            transposed_values: room(simd, keys, width),
            keys: room(simd, width, keys),
            rows: room(simd, width, block),
            weights: vec![0.0; block * pitch],
            slopes: vec![0.0; block * pitch],
            pitch,
            block,
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn one_head<S: Simd, const M: usize>(
        &self,
        simd: S,
        [first_query, first_key]: [usize; 2],
        space: &mut Space,
    ) {
        let HeadSizes { queries, keys, width, stride } = self.sizes;
        let [k, v] = [self.inputs.k, self.inputs.v].map(|x| &x[first_key..]);
        pack(simd, &Tokens { data: k, stride }, [width, keys], &mut space.transposed_keys);
        pack(simd, &Tokens { data: v, stride }, [width, keys], &mut space.transposed_values);
        pack(simd, &Planes { data: k, depth: keys, stride }, [keys, width], &mut space.keys);
        for first in (0..queries).step_by(space.block) {
            let used = space.block.min(queries - first);
            let start = first_query + first * stride;
            let rows = [self.inputs.q, self.gradient].map(|x| Strided::rows(&x[start..], stride));
            self.scores::<S, M>(simd, rows, used, space);

            let slopes = Strided::rows(&space.slopes, space.pitch);
            let to = Target { out: &self.out[0], start, stride, width };
            multiply::<S, M>(
                simd,
                slopes,
                used,
                &space.keys,
                #[inline(always)]
                |row, column, sums| {
                    // SAFETY: this task owns this head.
                    unsafe { to.add(simd, row, column, sums) };
                },
            );

            let operands = [(&space.slopes, rows[0]), (&space.weights, rows[1])];
            for ((scores, rows), out) in operands.into_iter().zip(&self.out[1..]) {
                let columns = Planes { data: rows.data, depth: used, stride };
                pack(simd, &columns, [used, width], &mut space.rows);
                let scores = Strided::columns(scores, space.pitch);
                let to = Target { out, start: first_key, stride, width };
                multiply::<S, M>(
                    simd,
                    scores,
                    keys,
                    &space.rows,
                    #[inline(always)]
                    |row, column, sums| {
                        // SAFETY: as above.
                        unsafe { to.add(simd, row, column, sums) };
                    },
                );
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
        space: &mut Space,
    ) {
        let HeadSizes { keys, width, .. } = self.sizes;
        let scale = 1.0 / (width as f32).sqrt();
        let Space { transposed_keys, transposed_values, weights, slopes, pitch, .. } = space;
        let products =
            [(q, transposed_keys, &mut *weights), (gradient, transposed_values, &mut *slopes)];
        for (rows, panels, to) in products {
            multiply::<S, M>(
                simd,
                rows,
                used,
                panels,
                #[inline(always)]
                |row, column, sums| {
                    store(simd, &mut to[row * *pitch + column..][..S::F32_LANES], sums);
                },
            );
        }
        let rows = weights.chunks_exact_mut(*pitch).zip(slopes.chunks_exact_mut(*pitch));
        for (weights, slopes) in rows.take(used) {
            // Whole vectors: the weights past the last key become zero, but for rounding.
            weights[keys..].fill(f32::NEG_INFINITY);
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
}
