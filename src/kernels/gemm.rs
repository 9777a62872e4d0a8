//! How a product of matrices is cut into the tiles of `shaders/include/gemm.wgsl`.

use super::bridge::fold;

/// Rows of a tile, `TILE_M` of the shader.
pub(super) const TILE_ROWS: usize = 32;
/// 208 is 16 pixels of 13 frames: a window of 12 and its condition frame comes out even.
const TILE_COLUMNS: [usize; 7] = [256, 208, 160, 128, 80, 64, 32];
/// What a tile does whatever its width, mostly staging its rows, counted in columns.
const COST_OF_TILE: usize = 24;

/// The tiles of one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Columns of a tile, a `TILE_N` of `shaders/variants.txt`.
    pub(super) tile_columns: usize,
    /// Tiles of rows, then tiles of columns folded.
    pub(super) grid: [u32; 3],
    /// What the columns cost, counted in columns of a single wide tile.
    pub(super) cost: usize,
}

impl Tiling {
    /// The cheapest tiling: wide tiles stage their rows seldom, narrow ones compute fewer columns
    /// past the end.
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let cost = |tile: usize| columns.div_ceil(tile) * (tile + COST_OF_TILE);
        let cheapest = TILE_COLUMNS.into_iter().min_by_key(|&tile| cost(tile));
        let tile_columns = cheapest.expect("there are tile sizes");
        let [y, z] = fold(columns.div_ceil(tile_columns));
        let grid = [rows.div_ceil(TILE_ROWS) as u32, y, z];
        Self { tile_columns, grid, cost: cost(tile_columns) }
    }
}
