// From the products of Winograd's method to the tiles of y: Aᵀ · m[.., channel, tile] · A + bias.
// m: [4, ACROSS, channels, tiles]. Grid: tiles of all channels, folded into x and y.
#import winograd_tile

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

fn row_at(place: u32, step: u32) -> vec4<f32> {
    if (WIDTH == 1u) {
        return vec4<f32>(m[place], 0.0, 0.0, 0.0);
    }
    return vec4<f32>(m[place], m[place + step], m[place + 2u * step], m[place + 3u * step]);
}

fn store(tile: Tile, row: u32, values: vec4<f32>) {
    if (row >= sizes.rows) {
        return;
    }
    let offset = f32(bias[tile.channel]);
    let place = tile.plane + row * sizes.row_step + tile.column;
    if (WIDTH == 1u) {
        y[place] = Elem(values.x + offset);
        return;
    }
    y[place] = Elem(values.x + values.y + values.z + offset);
    if (tile.column + 1u < sizes.columns) {
        y[place + 1u] = Elem(values.y - values.z - values.w + offset);
    }
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
    let m0 = row_at(index, step);
    let m1 = row_at(index + ACROSS * step, step);
    let m2 = row_at(index + 2u * ACROSS * step, step);
    let m3 = row_at(index + 3u * ACROSS * step, step);
    let tile = tile_of(index);
    store(tile, tile.row, m0 + m1 + m2);
    store(tile, tile.row + 1u, m1 - m2 - m3);
}
