//! One blocked matrix product for every linear operation: `out[r, j] = Σ_k rows[r, k]·columns[k, j]`.
//!
//! The left operand is read as it lies, one scalar at a time, so weights are never repacked. The
//! right operand is packed into vectors by a [`Columns`], block by block: there a convolution
//! gathers its patches, so that no im2col matrix ever exists.
//!
//! Columns are the positions of `images` of `width` positions each. A vector of columns never
//! spans two images; the last one of an image may be partly unused.

use std::array;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::dispatch::{Tiled, dispatch, tiled};
use super::operands::{Columns, Grid, Rows};
use super::shared::Shared;
use super::tile::{PANEL, Panels, load, store, tile};

/// Packed columns of one block, in scalars: with [`DEPTH`] rows they fill most of a 1 MiB cache.
pub(super) const BREADTH: usize = 480;
/// Largest number of products summed before a tile goes back to memory.
pub(super) const DEPTH: usize = 384;
/// Smallest number of rows worth packing a block of columns for.
pub(super) const MIN_ROWS: usize = 64;
/// Tasks per thread: enough that a slow one does not hold up the rest.
pub(super) const TASKS_PER_THREAD: usize = 4;

/// What is added to the products.
#[derive(Clone, Copy)]
pub(super) enum Bias<'a> {
    /// Nothing.
    None,
    /// One value per row.
    Row(&'a [f32]),
    /// One value per position.
    Column(&'a [f32]),
}

/// A whole product: `out` is `[images, rows, width]`.
pub(super) struct Product<'a, C> {
    /// Left operand.
    pub(super) rows: Rows<'a>,
    /// Number of rows.
    pub(super) row_count: usize,
    /// Length of the sums.
    pub(super) depth: usize,
    /// Right operand.
    pub(super) columns: C,
    /// Added to every sum.
    pub(super) bias: Bias<'a>,
}

impl<C: Columns> Product<'_, C> {
    /// Computes the product of `images` images of `width` columns into `out`.
    pub(super) fn run(&self, images: usize, width: usize, out: &mut [f32]) {
        assert_eq!(out.len(), images * self.row_count * width, "the output has the product's size");
        assert!(self.depth > 0, "a product sums over at least one value");
        let grid = Grid { width, lanes: dispatch(Lanes) };
        let out = Shared::new(out);
        let vectors = images * grid.vectors_per_image();
        let column_parts = vectors.div_ceil(BREADTH / grid.lanes).max(1);
        let wanted = (rayon::current_num_threads() * TASKS_PER_THREAD).div_ceil(column_parts);
        let row_parts = wanted.min(self.row_count / MIN_ROWS).max(1);
        let column_step = vectors.div_ceil(column_parts).next_multiple_of(PANEL).max(1);
        let row_step = self.row_count.div_ceil(row_parts).next_multiple_of(8).max(1);
        let tasks: Vec<_> = (0..vectors)
            .step_by(column_step)
            .flat_map(|v| (0..self.row_count).step_by(row_step).map(move |r| (v, r)))
            .collect();
        tasks.into_par_iter().for_each(|(v, r)| {
            tiled(Task {
                product: self,
                grid,
                out: &out,
                rows: r..(r + row_step).min(self.row_count),
                vectors: v..(v + column_step).min(vectors),
            });
        });
    }
}

/// Number of f32 in a vector of this machine.
pub(super) struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// A rectangle of the output.
struct Task<'a, C> {
    product: &'a Product<'a, C>,
    grid: Grid,
    out: &'a Shared<'a>,
    rows: Range<usize>,
    vectors: Range<usize>,
}

impl<C: Columns> Tiled for Task<'_, C> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        let Product { columns, depth, .. } = self.product;
        let depth = *depth;
        let unit = columns.depth_unit();
        let blocks = depth.div_ceil((DEPTH / unit).max(1) * unit);
        let step = depth.div_ceil(blocks.max(1)).next_multiple_of(unit);
        let mut plan = columns.plan(&self.grid, self.vectors.clone());
        let mut panels = Panels::new(self.vectors.clone(), self.grid.lanes, step);
        let mut slab = vec![0.0; M * step];
        for start in (0..depth).step_by(step) {
            panels.set_depth(start..(start + step).min(depth));
            columns.pack(simd, &mut plan, &self.grid, &mut panels);
            for row in self.rows.clone().step_by(M) {
                self.row_of_tiles::<S, M>(simd, row, &panels, &mut slab);
            }
        }
    }
}

impl<C: Columns> Task<'_, C> {
    /// Multiplies `M` rows with all packed panels.
    #[inline(always)]
    fn row_of_tiles<S: Simd, const M: usize>(
        &self,
        simd: S,
        row: usize,
        panels: &Panels,
        slab: &mut [f32],
    ) {
        let depth = panels.depth();
        // Rows past the end repeat the last one and are not stored.
        let numbers: [usize; M] = array::from_fn(|i| (row + i).min(self.rows.end - 1));
        let place = |vector| Place { row, vector, first: depth.start == 0 };
        match self.product.rows {
            Rows::Contiguous { data, stride } => {
                let rows = numbers.map(|r| &data[r * stride + depth.start..][..depth.len()]);
                for (vector, width, panel) in panels.iter() {
                    // SAFETY: a panel has as many rows as these slices have values.
                    let scalar = |k: usize, r: usize| unsafe { *rows[r].get_unchecked(k) };
                    self.one_tile::<S, M>(simd, place(vector), width, scalar, panel);
                }
            }
            Rows::Pixels { data, width } => {
                let image = self.product.depth * width;
                let starts = numbers.map(|r| r / width * image + r % width);
                let slab = slab[..M * depth.len()].as_chunks_mut::<M>().0;
                let adjacent = starts[M - 1] == starts[0] + M - 1;
                for (k, scalars) in depth.clone().zip(slab.iter_mut()) {
                    if adjacent {
                        scalars.copy_from_slice(&data[starts[0] + k * width..][..M]);
                    } else {
                        *scalars = starts.map(|start| data[start + k * width]);
                    }
                }
                for (vector, width, panel) in panels.iter() {
                    let scalar = |k: usize, r: usize| slab[k][r];
                    self.one_tile::<S, M>(simd, place(vector), width, scalar, panel);
                }
            }
        }
    }

    #[inline(always)]
    fn one_tile<S: Simd, const M: usize>(
        &self,
        simd: S,
        place: Place,
        width: usize,
        scalar: impl Fn(usize, usize) -> f32,
        panel: &[f32],
    ) {
        match width {
            1 => self.store(simd, place, &tile::<S, M, 1>(simd, scalar, panel)),
            2 => self.store(simd, place, &tile::<S, M, 2>(simd, scalar, panel)),
            _ => self.store(simd, place, &tile::<S, M, PANEL>(simd, scalar, panel)),
        }
    }

    /// Adds the sums of a tile to the output, or to the bias if they are the first.
    #[inline(always)]
    fn store<S: Simd, const M: usize, const W: usize>(
        &self,
        simd: S,
        place: Place,
        sums: &[[S::f32s; W]; M],
    ) {
        let Grid { width, .. } = self.grid;
        for w in 0..W {
            let (image, first, used) = self.grid.position(place.vector + w);
            for (row, sums) in (place.row..self.rows.end).zip(sums) {
                let at = (image * self.product.row_count + row) * width + first;
                // SAFETY: this task owns these rows of these vectors.
                let out = unsafe { self.out.slice(at, used) };
                let before = match (place.first, self.product.bias) {
                    (false, _) => load(simd, out),
                    (true, Bias::None) => simd.splat_f32s(0.0),
                    (true, Bias::Row(bias)) => simd.splat_f32s(bias[row]),
                    (true, Bias::Column(bias)) => load(simd, &bias[first..first + used]),
                };
                store(simd, out, simd.add_f32s(before, sums[w]));
            }
        }
    }
}

/// Where a tile goes.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    vector: usize,
    /// Whether nothing is in the output yet.
    first: bool,
}
