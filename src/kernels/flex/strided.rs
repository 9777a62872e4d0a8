//! Small products of matrices that lie in memory as parts of others, as the heads of attention do.

use std::array;

use pulp::Simd;

use super::operands::{Columns, Grid};
use super::shared::Shared;
use super::tile::{PANEL, Panels, load, store, tile};

/// A matrix as it lies in memory, read one scalar at a time.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) data: &'a [f32],
    /// Scalars from row to row.
    row: usize,
    /// Scalars from column to column.
    column: usize,
}

impl<'a> Strided<'a> {
    /// Rows `stride` scalars apart.
    pub(super) fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: stride, column: 1 }
    }

    /// Columns `stride` scalars apart.
    #[cfg(feature = "train")]
    pub(super) fn columns(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: 1, column: stride }
    }
}

/// Room for packed columns `[depth, width]`.
#[inline(always)]
pub(super) fn room<S: Simd>(_: S, width: usize, depth: usize) -> Panels {
    let grid = Grid { width, lanes: S::F32_LANES };
    Panels::new(0..grid.vectors_per_image(), S::F32_LANES, depth)
}

/// Packs columns `[depth, width]` into a room for as many or more rows.
#[inline(always)]
pub(super) fn pack<S: Simd, C: Columns<Plan = ()>>(
    simd: S,
    columns: &C,
    [depth, width]: [usize; 2],
    panels: &mut Panels,
) {
    panels.set_depth(0..depth);
    columns.pack(simd, &mut (), &Grid { width, lanes: S::F32_LANES }, panels);
}

/// Multiplies the first `count` rows with packed columns. `put` gets row, column and sums, a vector
/// at a time.
#[inline(always)]
pub(super) fn multiply<S: Simd, const M: usize>(
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
            let scalar = |k: usize, r: usize| {
                // SAFETY: a panel has as many rows as its depth, for which the reach was checked.
                unsafe { *data.get_unchecked(starts[r] + k * column) }
            };
            let at = [row, vector * S::F32_LANES];
            match width {
                1 => each::<S, M, 1>(&tile(simd, scalar, panel), at, used, &mut put),
                2 => each::<S, M, 2>(&tile(simd, scalar, panel), at, used, &mut put),
                _ => each::<S, M, PANEL>(&tile(simd, scalar, panel), at, used, &mut put),
            }
        }
    }
}

/// Hands the vectors of the first rows of a tile to `put`, which is inlined into vector code only
/// if it is called directly.
#[inline(always)]
fn each<S: Simd, const M: usize, const W: usize>(
    sums: &[[S::f32s; W]; M],
    [row, column]: [usize; 2],
    used: usize,
    put: &mut impl FnMut(usize, usize, S::f32s),
) {
    for (r, sums) in sums.iter().enumerate().take(used) {
        for (w, sums) in sums.iter().enumerate() {
            put(row + r, column + w * S::F32_LANES, *sums);
        }
    }
}

/// A matrix within an output that several tasks write.
pub(super) struct Target<'a> {
    pub(super) out: &'a Shared<'a>,
    /// Where the first row begins.
    pub(super) start: usize,
    /// Scalars from row to row.
    pub(super) stride: usize,
    /// Columns.
    pub(super) width: usize,
}

impl Target<'_> {
    /// Adds a vector to those scalars from `column` on that belong to the matrix.
    ///
    /// # Safety
    /// Nobody else reads or writes this row of the matrix.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&self, simd: S, row: usize, column: usize, sums: S::f32s) {
        let used = S::F32_LANES.min(self.width - column);
        // SAFETY: the caller's promise.
        let out = unsafe { self.out.slice(self.start + row * self.stride + column, used) };
        store(simd, out, simd.add_f32s(load(simd, out), sums));
    }
}
