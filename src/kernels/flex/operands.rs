//! The operands of a [`Product`](super::gemm::Product).

use std::ops::Range;

use pulp::Simd;

use super::tile::{Panels, load, prefetch, store};

/// Rows between what is packed and what is fetched from memory: hardware does not foresee the jump
/// from one row of a wide matrix to the next, and large weights come from memory every time.
const AHEAD: usize = 4;

/// The left operand `[rows, k]`.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// Each row lies in one piece, `stride` scalars after the one before.
    Contiguous {
        /// Storage, starting with the first row.
        data: &'a [f32],
        /// Scalars from row to row.
        stride: usize,
    },
    /// Rows are the positions of images `[k, width]`, one image after the other.
    Pixels {
        /// Storage, starting with the first image.
        data: &'a [f32],
        /// Positions of an image.
        width: usize,
    },
}

/// The right operand `[k, columns]`.
pub(super) trait Columns: Sync {
    /// What the packer wants to know of its columns before it meets the first block.
    type Plan;

    /// Blocks along `k` start at multiples of this.
    fn depth_unit(&self) -> usize {
        1
    }

    /// Prepares for packing the vectors `vectors`.
    fn plan(&self, grid: &Grid, vectors: Range<usize>) -> Self::Plan;

    /// Writes all vectors of a block, with anything finite in unused lanes.
    fn pack<S: Simd>(&self, simd: S, plan: &mut Self::Plan, grid: &Grid, block: &mut Panels);
}

/// How columns are cut into vectors.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Positions of an image.
    pub(super) width: usize,
    /// Scalars of a vector.
    pub(super) lanes: usize,
}

impl Grid {
    /// Vectors of one image.
    #[inline(always)]
    pub(super) fn vectors_per_image(&self) -> usize {
        self.width.div_ceil(self.lanes)
    }

    /// Image, first position and number of used lanes of a vector.
    #[inline(always)]
    pub(super) fn position(&self, vector: usize) -> (usize, usize, usize) {
        let image = vector / self.vectors_per_image();
        let first = (vector - image * self.vectors_per_image()) * self.lanes;
        (image, first, self.lanes.min(self.width - first))
    }
}

/// Columns that lie in memory as vectors: channels of images, or a matrix as it is.
pub(super) struct Planes<'a> {
    /// `[images, depth, width]`
    pub(super) data: &'a [f32],
    /// Number of rows.
    pub(super) depth: usize,
    /// Scalars from row to row.
    pub(super) stride: usize,
}

impl Columns for Planes<'_> {
    type Plan = ();

    fn plan(&self, _: &Grid, _: Range<usize>) {}

    #[inline(always)]
    fn pack<S: Simd>(&self, simd: S, (): &mut (), grid: &Grid, block: &mut Panels) {
        let depth = block.depth();
        let mut vectors: Vec<_> = block
            .vectors()
            .map(|vector| {
                let (image, first, used) = grid.position(vector);
                let from = (image * self.depth + depth.start) * self.stride + first;
                (from, used, block.place(vector))
            })
            .collect();
        let slots = block.scalars_mut();
        // Row by row, as they lie in memory.
        for _ in depth {
            for (from, used, (to, step)) in &mut vectors {
                prefetch(self.data, *from + AHEAD * self.stride);
                let vector = load(simd, &self.data[*from..*from + *used]);
                store(simd, &mut slots[*to..*to + grid.lanes], vector);
                *from += self.stride;
                *to += *step;
            }
        }
    }
}

/// Columns that lie in memory one after the other: tokens, or the rows of a transposed matrix.
pub(super) struct Tokens<'a> {
    /// `[images, width, depth]`
    pub(super) data: &'a [f32],
    /// Scalars from position to position.
    pub(super) stride: usize,
}

impl Columns for Tokens<'_> {
    type Plan = ();

    fn plan(&self, _: &Grid, _: Range<usize>) {}

    #[inline(always)]
    fn pack<S: Simd>(&self, _: S, (): &mut (), grid: &Grid, block: &mut Panels) {
        let depth = block.depth();
        for vector in block.vectors() {
            let (image, first, used) = grid.position(vector);
            let (to, step) = block.place(vector);
            let slots = block.scalars_mut();
            for lane in 0..used {
                let from = (image * grid.width + first + lane) * self.stride + depth.start;
                let token = &self.data[from..from + depth.len()];
                for (slot, value) in slots[to + lane..].iter_mut().step_by(step).zip(token) {
                    *slot = *value;
                }
            }
        }
    }
}
