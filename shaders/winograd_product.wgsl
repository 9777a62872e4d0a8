// The filters of every pair of channels with the input of every tile, frequency by frequency:
// m[f] = u[f] · v[f]. u: [f, c_out, c_in]; v: [f, c_in, tiles]; m: [f, c_out, tiles].
// Grid: (tiles of channels, tiles of tiles, f); see gemm.
#import outer
#import gemm

struct Sizes {
    out_channels: u32,
    in_channels: u32,
    tiles: u32,
}

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

var<private> frequency: u32;

fn a_at(out_channel: u32, in_channel: u32) -> f32 {
    return u[(frequency * sizes.out_channels + out_channel) * sizes.in_channels + in_channel];
}

fn row_of(in_channel: u32) -> u32 {
    return (frequency * sizes.in_channels + in_channel) * sizes.tiles;
}

fn column_of(tile: u32) -> u32 {
    return tile;
}

fn b_at(row: u32, tile: u32) -> f32 {
    return v[row + tile];
}

fn place_of(tile: u32) -> u32 {
    return frequency * sizes.out_channels * sizes.tiles + tile;
}

fn put(out_channel: u32, place: u32, value: f32) {
    m[place + out_channel * sizes.tiles] = value;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    frequency = group.z;
    multiply(group.xy, Extent(sizes.out_channels, sizes.tiles, sizes.in_channels), lane);
}
