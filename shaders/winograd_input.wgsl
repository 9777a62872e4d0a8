// What Winograd's filters are multiplied with: v[.., channel, tile] = Bᵀ · x · B, of the 4 rows and
// ACROSS columns of x that a tile's windows see, zero outside.
// v: [4, ACROSS, channels, tiles]. Grid: tiles of all channels, folded into x and y.
#import winograd_tile

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> v: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn x_at(plane: u32, row: u32, column: u32) -> f32 {
    // Rows and columns wrap below 0 and are then larger than any size.
    let inside = row < sizes.rows && column < sizes.columns;
    return select(0.0, f32(x[select(0u, plane + row * sizes.row_step + column, inside)]), inside);
}

fn row_at(tile: Tile, row: u32) -> vec4<f32> {
    if (WIDTH == 1u) {
        return vec4<f32>(x_at(tile.plane, row, tile.column), 0.0, 0.0, 0.0);
    }
    return vec4<f32>(
        x_at(tile.plane, row, tile.column - 1u),
        x_at(tile.plane, row, tile.column),
        x_at(tile.plane, row, tile.column + 1u),
        x_at(tile.plane, row, tile.column + 2u),
    );
}

fn store(place: u32, step: u32, row: vec4<f32>) {
    if (WIDTH == 1u) {
        v[place] = row.x;
        return;
    }
    v[place] = row.x - row.z;
    v[place + step] = row.y + row.z;
    v[place + 2u * step] = row.z - row.y;
    v[place + 3u * step] = row.y - row.w;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * grid.x) * WORKGROUP + lane;
    let step = sizes.channels * sizes.tiles;
    if (index >= step) {
        return;
    }
    let tile = tile_of(index);
    let above = row_at(tile, tile.row - 1u);
    let first = row_at(tile, tile.row);
    let second = row_at(tile, tile.row + 1u);
    let below = row_at(tile, tile.row + 2u);
    store(index, step, above - second);
    store(index + ACROSS * step, step, first + second);
    store(index + 2u * ACROSS * step, step, second - first);
    store(index + 3u * ACROSS * step, step, first - below);
}
