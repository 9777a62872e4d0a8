//! The innermost product: a few rows times a panel of packed vectors, summed in registers.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use pulp::Simd;

/// Vectors of a panel. With 8 rows (4 where there are 16 registers) the sums, a panel's vectors
/// and one scalar fill the register file of every supported instruction set.
pub(super) const PANEL: usize = 3;

/// Scalars between panels: without them, the same row of all panels often falls into one set of
/// the first cache.
const GAP: usize = 16;

/// A cache line, so that vectors do not straddle two.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A block of the right operand: panels of up to [`PANEL`] vectors, each panel `[k, vectors]`.
pub(super) struct Panels {
    lines: Vec<Line>,
    vectors: Range<usize>,
    lanes: usize,
    depth: Range<usize>,
}

impl Panels {
    /// Room for `vectors` vectors of `lanes` scalars with up to `max_depth` rows.
    pub(super) fn new(vectors: Range<usize>, lanes: usize, max_depth: usize) -> Self {
        let panels = vectors.len().div_ceil(PANEL);
        let lines = (vectors.len() * lanes * max_depth + panels * GAP).div_ceil(16);
        Self { lines: vec![Line::zeroed(); lines], vectors, lanes, depth: 0..0 }
    }

    /// Starts the block of the rows `depth`.
    pub(super) fn set_depth(&mut self, depth: Range<usize>) {
        self.depth = depth;
    }

    /// Rows of the block.
    pub(super) fn depth(&self) -> Range<usize> {
        self.depth.clone()
    }

    /// Vectors of the block.
    pub(super) fn vectors(&self) -> Range<usize> {
        self.vectors.clone()
    }

    /// Where the scalars of `vector` in the block's first row lie, and the scalars from row to row.
    #[inline(always)]
    pub(super) fn place(&self, vector: usize) -> (usize, usize) {
        let index = vector - self.vectors.start;
        let first = index - index % PANEL;
        let width = PANEL.min(self.vectors.len() - first) * self.lanes;
        let panel = first * self.lanes * self.depth.len() + first / PANEL * GAP;
        (panel + index % PANEL * self.lanes, width)
    }

    /// All scalars, to be written at the places that [`Panels::place`] tells.
    #[inline(always)]
    pub(super) fn scalars_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// First vector, number of vectors and scalars of each panel.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let scalars: &[f32] = bytemuck::cast_slice(&self.lines);
        let row = self.lanes * self.depth.len();
        (0..self.vectors.len()).step_by(PANEL).map(move |first| {
            let width = PANEL.min(self.vectors.len() - first);
            let start = first * row + first / PANEL * GAP;
            (self.vectors.start + first, width, &scalars[start..start + width * row])
        })
    }
}

/// A vector from a slice of at most its length; missing lanes are zero.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match S::as_simd_f32s(from) {
        ([vector], _) => *vector,
        _ => simd.partial_load_f32s(from),
    }
}

/// The first lanes of a vector into a slice of at most its length.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, to: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(to) {
        ([whole], _) => *whole = vector,
        _ => simd.partial_store_f32s(to, vector),
    }
}

/// Asks for the cache line of `data[at]`, where the instruction set has a way to. Nothing happens
/// if `at` is out of bounds.
#[inline(always)]
pub(super) fn prefetch(data: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching reads nothing the program sees, from whatever address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(data.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, at);
}

/// Sums of `scalar(k, row)` times the `W` vectors of row `k` of `panel`.
#[inline(always)]
pub(super) fn tile<S: Simd, const M: usize, const W: usize>(
    simd: S,
    scalar: impl Fn(usize, usize) -> f32,
    panel: &[f32],
) -> [[S::f32s; W]; M] {
    let (rows, _) = pulp::as_arrays::<W, _>(S::as_simd_f32s(panel).0);
    let mut sums = [[simd.splat_f32s(0.0); W]; M];
    for (k, vectors) in rows.iter().enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat_f32s(scalar(k, r));
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.mul_add_e_f32s(factor, *vector, *sum);
            }
        }
    }
    sums
}
