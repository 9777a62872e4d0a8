//! Products with long sums and few results, as the gradients of weights are: every position of
//! every image is a term.
//!
//! The sums are cut into parts, one a task, and the parts added at the end; there are too few rows
//! to share out instead.

use std::array;
use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use crate::kernels::flex::dispatch::{Tiled, tiled};
use crate::kernels::flex::gemm::{BREADTH, DEPTH, MIN_ROWS, TASKS_PER_THREAD};
use crate::kernels::flex::operands::{Columns, Grid};
use crate::kernels::flex::shared::Shared;
use crate::kernels::flex::tile::{PANEL, Panels, load, store, tile};

/// Most values of all partial results together.
const MAX_PARTIAL: usize = 1 << 21;

/// `out[r, j] = Σ_k rows[r, k]·columns[k, j]`.
pub(super) struct LongProduct<'a, C> {
    /// Left operand.
    pub(super) rows: Scattered<'a>,
    /// Right operand.
    pub(super) columns: C,
    /// Number of columns.
    pub(super) width: usize,
}

/// A matrix whose entry `[r, k]` lies at `starts[r] + offsets[k]`: activations and, overlapping one
/// another, the patches of images.
pub(super) struct Scattered<'a> {
    pub(super) data: &'a [f32],
    pub(super) starts: Vec<usize>,
    pub(super) offsets: Vec<usize>,
}

impl<C: Columns> LongProduct<'_, C> {
    /// The product, `[rows, width]`.
    pub(super) fn run(&self) -> Vec<f32> {
        let Scattered { data, starts, offsets } = &self.rows;
        let (row_count, depth) = (starts.len(), offsets.len());
        let results = row_count * self.width;
        let (Some(start), Some(offset)) = (starts.iter().max(), offsets.iter().max()) else {
            return vec![0.0; results];
        };
        assert!(start + offset < data.len(), "all entries lie in the storage");
        let wanted = rayon::current_num_threads() * TASKS_PER_THREAD;
        let parts = wanted.min(depth / DEPTH).min(MAX_PARTIAL / results.max(1)).max(1);
        let row_parts = wanted.div_ceil(parts).min(row_count / MIN_ROWS).max(1);
        let step = depth.div_ceil(parts);
        let row_step = row_count.div_ceil(row_parts).next_multiple_of(8);
        let mut partial = vec![0.0; parts * results];
        let out = Shared::new(&mut partial);
        (0..parts * row_parts).into_par_iter().for_each(|task| {
            let cut = |index: usize, step: usize, end: usize| {
                (index * step).min(end)..((index + 1) * step).min(end)
            };
            tiled(Task {
                product: self,
                out: &out,
                first: task / row_parts * results,
                depth: cut(task / row_parts, step, depth),
                rows: cut(task % row_parts, row_step, row_count),
            });
        });
        let (total, others) = partial.split_at_mut(results);
        for other in others.chunks_exact(results.max(1)) {
            total.iter_mut().zip(other).for_each(|(total, value)| *total += value);
        }
        partial.truncate(results);
        partial
    }
}

/// Some terms of some rows.
struct Task<'a, C> {
    product: &'a LongProduct<'a, C>,
    out: &'a Shared<'a>,
    /// Where the results of these terms begin.
    first: usize,
    depth: Range<usize>,
    rows: Range<usize>,
}

impl<C: Columns> Tiled for Task<'_, C> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        if self.depth.is_empty() {
            return;
        }
        let columns = &self.product.columns;
        let grid = Grid { width: self.product.width, lanes: S::F32_LANES };
        let vectors = grid.vectors_per_image();
        let breadth = BREADTH / grid.lanes;
        let step = self.depth.len().div_ceil(self.depth.len().div_ceil(DEPTH));
        for first in (0..vectors).step_by(breadth) {
            let range = first..(first + breadth).min(vectors);
            let mut plan = columns.plan(&grid, range.clone());
            let mut panels = Panels::new(range, grid.lanes, step);
            for start in self.depth.clone().step_by(step) {
                panels.set_depth(start..(start + step).min(self.depth.end));
                columns.pack(simd, &mut plan, &grid, &mut panels);
                for row in self.rows.clone().step_by(M) {
                    self.row_of_tiles::<S, M>(simd, row, &panels);
                }
            }
        }
    }
}

impl<C: Columns> Task<'_, C> {
    /// Multiplies `M` rows with all packed panels.
    #[inline(always)]
    fn row_of_tiles<S: Simd, const M: usize>(&self, simd: S, row: usize, panels: &Panels) {
        let Scattered { data, starts, offsets } = &self.product.rows;
        let offsets = &offsets[panels.depth()];
        // Rows past the end repeat the last one and are not stored.
        let starts: [usize; M] = array::from_fn(|i| starts[(row + i).min(self.rows.end - 1)]);
        for (vector, count, panel) in panels.iter() {
            let scalar = |k: usize, r: usize| {
                // SAFETY: a panel has as many rows as there are offsets here, and `run` has checked
                // the sum of the largest start and offset.
                unsafe { *data.get_unchecked(starts[r] + *offsets.get_unchecked(k)) }
            };
            match count {
                1 => self.add(simd, row, vector, &tile::<S, M, 1>(simd, scalar, panel)),
                2 => self.add(simd, row, vector, &tile::<S, M, 2>(simd, scalar, panel)),
                _ => self.add(simd, row, vector, &tile::<S, M, PANEL>(simd, scalar, panel)),
            }
        }
    }

    /// Adds the sums of a tile to the results.
    #[inline(always)]
    fn add<S: Simd, const M: usize, const W: usize>(
        &self,
        simd: S,
        row: usize,
        vector: usize,
        sums: &[[S::f32s; W]; M],
    ) {
        let width = self.product.width;
        for (row, sums) in (row..self.rows.end).zip(sums) {
            for (w, sum) in sums.iter().enumerate() {
                let column = (vector + w) * S::F32_LANES;
                let used = S::F32_LANES.min(width - column);
                // SAFETY: this task owns these rows of this part's results.
                let out = unsafe { self.out.slice(self.first + row * width + column, used) };
                store(simd, out, simd.add_f32s(load(simd, out), *sum));
            }
        }
    }
}

/// Channels of images as columns: row `k` holds the channels of position `k`, all images counted
/// through.
pub(super) struct Channels<'a> {
    /// `[n, channels, positions]`
    pub(super) data: &'a [f32],
    pub(super) channels: usize,
    pub(super) positions: usize,
}

impl Columns for Channels<'_> {
    type Plan = ();

    fn plan(&self, _: &Grid, _: Range<usize>) {}

    #[inline(always)]
    fn pack<S: Simd>(&self, _: S, (): &mut (), grid: &Grid, block: &mut Panels) {
        let Self { data, channels, positions } = *self;
        let depth = block.depth();
        for vector in block.vectors() {
            let (_, first, used) = grid.position(vector);
            let (place, step) = block.place(vector);
            let slots = block.scalars_mut();
            let mut k = depth.start;
            while k < depth.end {
                let (image, position) = (k / positions, k % positions);
                let length = (positions - position).min(depth.end - k);
                let from = (image * channels + first) * positions + position;
                let to = place + (k - depth.start) * step;
                for lane in 0..used {
                    let row = &data[from + lane * positions..][..length];
                    for (slot, value) in slots[to + lane..].iter_mut().step_by(step).zip(row) {
                        *slot = *value;
                    }
                }
                k += length;
            }
        }
    }
}
