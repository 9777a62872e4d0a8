// y = x · weight + bias over the channels of every row: a tiled product of matrices.
// Rows are the positions of all images; x is [n, p, c_in] or [n, c_in, p], y likewise, as the steps
// from one channel to the next tell. weight: [c_in, c_out]; bias: [c_out].
// Grid: (tiles of channels, tiles of rows folded into y and z). A workgroup computes 64 x 64 of y,
// an invocation 8 x 8 of them, in blocks of 4 x 4.
#import outer

const TILE = 64u;
const QUADS = TILE / 4u;
const LANES = TILE / 8u;
const THREADS = LANES * LANES;
const TILE_K = 16u;

struct Sizes {
    in_channels: u32,
    out_channels: u32,
    rows: u32,
    // p
    positions: u32,
    // 1 where channels lie next to each other, p where positions do.
    in_step: u32,
    out_step: u32,
    has_bias: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

// [k, quad of channels] and [k, quad of rows]
var<workgroup> weight_tile: array<vec4<f32>, TILE_K * QUADS>;
var<workgroup> x_tile: array<vec4<f32>, TILE_K * QUADS>;

// Where channel 0 of a row is, in a tensor of `channels` that are `step` apart.
fn base(row: u32, step: u32, channels: u32) -> u32 {
    if (step == 1u) {
        return row * channels;
    }
    return row / sizes.positions * channels * sizes.positions + row % sizes.positions;
}

// Rows and channels past the end read the last one; what comes of them is not stored.
fn x_at(row: u32, k: u32) -> f32 {
    let place = base(min(row, sizes.rows - 1u), sizes.in_step, sizes.in_channels);
    return f32(x[place + k * sizes.in_step]);
}

fn weight_at(k: u32, channel: u32) -> f32 {
    return f32(weight[k * sizes.out_channels + min(channel, sizes.out_channels - 1u)]);
}

// Neighbouring invocations read neighbouring elements of x, whichever way it lies.
fn load(first_channel: u32, first_row: u32, first_k: u32, lane: u32) {
    for (var i = lane; i < TILE_K * QUADS; i += THREADS) {
        let by_channel = sizes.in_step == 1u;
        let k = select(i / QUADS, i % TILE_K, by_channel);
        let quad = select(i % QUADS, i / TILE_K, by_channel);
        let row = first_row + 4u * quad;
        let at = min(first_k + k, sizes.in_channels - 1u);
        let values = vec4<f32>(x_at(row, at), x_at(row + 1u, at), x_at(row + 2u, at), x_at(row + 3u, at));
        x_tile[k * QUADS + quad] = values * select(0.0, 1.0, first_k + k < sizes.in_channels);
    }
    for (var i = lane; i < TILE_K * QUADS; i += THREADS) {
        let at = min(first_k + i / QUADS, sizes.in_channels - 1u);
        let channel = first_channel + 4u * (i % QUADS);
        weight_tile[i] = vec4<f32>(
            weight_at(at, channel),
            weight_at(at, channel + 1u),
            weight_at(at, channel + 2u),
            weight_at(at, channel + 3u),
        );
    }
}

fn store(channel: u32, row: u32, block: mat4x4<f32>) {
    for (var i = 0u; i < 4u && channel + i < sizes.out_channels; i++) {
        var offset = 0.0;
        if (sizes.has_bias == 1u) {
            offset = f32(bias[channel + i]);
        }
        for (var j = 0u; j < 4u && row + j < sizes.rows; j++) {
            let place = base(row + j, sizes.out_step, sizes.out_channels);
            y[place + (channel + i) * sizes.out_step] = Elem(block[i][j] + offset);
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_channel = group.x * TILE;
    let first_row = (group.y + group.z * grid.y) * TILE;
    let m = lane % LANES;
    let n = lane / LANES;
    // [channels, rows]: near and far half of the tile
    var c00: mat4x4<f32>;
    var c01: mat4x4<f32>;
    var c10: mat4x4<f32>;
    var c11: mat4x4<f32>;
    for (var first_k = 0u; first_k < sizes.in_channels; first_k += TILE_K) {
        load(first_channel, first_row, first_k, lane);
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            let a0 = weight_tile[k * QUADS + m];
            let a1 = weight_tile[k * QUADS + m + LANES];
            let b0 = x_tile[k * QUADS + n];
            let b1 = x_tile[k * QUADS + n + LANES];
            c00 += outer(a0, b0);
            c01 += outer(a0, b1);
            c10 += outer(a1, b0);
            c11 += outer(a1, b1);
        }
        workgroupBarrier();
    }
    let channel = first_channel + 4u * m;
    let row = first_row + 4u * n;
    store(channel, row, c00);
    store(channel, row + 4u * LANES, c01);
    store(channel + 4u * LANES, row, c10);
    store(channel + 4u * LANES, row + 4u * LANES, c11);
}
