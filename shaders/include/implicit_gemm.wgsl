// C[m, p] = bias[m] + Σ_k A[m, k] · B[k, p]: the channels m and pixels p of a convolution, k = its
// input channels · TAPS. A is the weight, staged tile by tile; B is gathered from x, not staged.
// A workgroup computes 32 channels x TILE_N pixels, an invocation 16 x 8 of them: one read then
// serves many products, and reads are what the time goes to.
// Needs: outer; const TAPS; x, weight, bias, y: array<Elem>; Place { origin, taps } from locate(pixel):
// x[origin + tap_offset(tap) + channel · in_plane] is read where bit `tap` of taps is set;
// sizes: out_channels, in_channels, pixels (of all images), in_plane and out_plane (positions of one
// channel of x and y).
const TILE_M = 32u;
const THREADS = TILE_M * TILE_N / 128u;
const TILE_K = 16u;
const M_QUADS = TILE_M / 4u;
const M_LANES = TILE_M / 16u;
const N_LANES = TILE_N / 8u;

// [k, quad]; a quad holds the channels quad, quad + M_QUADS, quad + 2·M_QUADS, quad + 3·M_QUADS.
var<workgroup> a_tile: array<vec4<f32>, TILE_K * M_QUADS>;

// Neighbouring invocations write one column of `a_tile`: this keeps them in different banks.
fn a_index(k: u32, quad: u32) -> u32 {
    return k * M_QUADS + (quad ^ (k % M_QUADS));
}

fn load_a(first_channel: u32, first_k: u32, lane: u32) {
    let depth = sizes.in_channels * TAPS;
    let last = sizes.out_channels - 1u;
    for (var i = lane; i < TILE_K * M_QUADS; i += THREADS) {
        let k = i % TILE_K;
        let quad = i / TILE_K;
        let column = min(first_k + k, depth - 1u);
        let m = first_channel + quad;
        let value = vec4<f32>(
            f32(weight[min(m, last) * depth + column]),
            f32(weight[min(m + M_QUADS, last) * depth + column]),
            f32(weight[min(m + 2u * M_QUADS, last) * depth + column]),
            f32(weight[min(m + 3u * M_QUADS, last) * depth + column]),
        );
        a_tile[a_index(k, quad)] = value * select(0.0, 1.0, first_k + k < depth);
    }
}

fn gather(place: Place, tap: u32, offset: u32) -> f32 {
    let inside = ((place.taps >> tap) & 1u) != 0u;
    return select(0.0, f32(x[select(0u, place.origin + offset, inside)]), inside);
}

// Where channel 0 of a pixel goes in y.
fn destination(pixel: u32) -> u32 {
    let image = pixel / sizes.out_plane;
    return image * sizes.out_channels * sizes.out_plane + pixel % sizes.out_plane;
}

// The same for four pixels, from `pixel` on in steps of N_LANES.
fn destinations(pixel: u32) -> vec4<u32> {
    return vec4<u32>(
        destination(pixel),
        destination(pixel + N_LANES),
        destination(pixel + 2u * N_LANES),
        destination(pixel + 3u * N_LANES),
    );
}

fn store(channel: u32, pixel: u32, places: vec4<u32>, values: vec4<f32>) {
    if (channel >= sizes.out_channels) {
        return;
    }
    let offset = f32(bias[channel]);
    for (var j = 0u; j < 4u; j++) {
        if (pixel + j * N_LANES < sizes.pixels) {
            y[places[j] + channel * sizes.out_plane] = Elem(values[j] + offset);
        }
    }
}

fn store_block(channel: u32, pixel: u32, places: vec4<u32>, block: mat4x4<f32>) {
    store(channel, pixel, places, block[0]);
    store(channel + M_QUADS, pixel, places, block[1]);
    store(channel + 2u * M_QUADS, pixel, places, block[2]);
    store(channel + 3u * M_QUADS, pixel, places, block[3]);
}

// One tile of C; `group` counts tiles of channels in x and of pixels in y.
fn convolve(group: vec2<u32>, lane: u32) {
    let first_channel = group.x * TILE_M;
    let m_lane = lane / N_LANES;
    let pixel = group.y * TILE_N + lane % N_LANES;
    let last = sizes.pixels - 1u;
    let p0 = locate(min(pixel, last));
    let p1 = locate(min(pixel + N_LANES, last));
    let p2 = locate(min(pixel + 2u * N_LANES, last));
    let p3 = locate(min(pixel + 3u * N_LANES, last));
    let p4 = locate(min(pixel + 4u * N_LANES, last));
    let p5 = locate(min(pixel + 5u * N_LANES, last));
    let p6 = locate(min(pixel + 6u * N_LANES, last));
    let p7 = locate(min(pixel + 7u * N_LANES, last));

    // [quad of channels, half of the pixels]
    var c: array<mat4x4<f32>, 8>;
    for (var first_k = 0u; first_k < sizes.in_channels * TAPS; first_k += TILE_K) {
        load_a(first_channel, first_k, lane);
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            let tap = (first_k + k) % TAPS;
            // Channels past the end meet a weight of 0.
            let channel = min((first_k + k) / TAPS, sizes.in_channels - 1u);
            let at = tap_offset(tap) + channel * sizes.in_plane;
            let b0 = vec4<f32>(
                gather(p0, tap, at),
                gather(p1, tap, at),
                gather(p2, tap, at),
                gather(p3, tap, at),
            );
            let b1 = vec4<f32>(
                gather(p4, tap, at),
                gather(p5, tap, at),
                gather(p6, tap, at),
                gather(p7, tap, at),
            );
            let a0 = a_tile[a_index(k, m_lane)];
            let a1 = a_tile[a_index(k, m_lane + M_LANES)];
            let a2 = a_tile[a_index(k, m_lane + 2u * M_LANES)];
            let a3 = a_tile[a_index(k, m_lane + 3u * M_LANES)];
            c[0] += outer(a0, b0);
            c[1] += outer(a0, b1);
            c[2] += outer(a1, b0);
            c[3] += outer(a1, b1);
            c[4] += outer(a2, b0);
            c[5] += outer(a2, b1);
            c[6] += outer(a3, b0);
            c[7] += outer(a3, b1);
        }
        workgroupBarrier();
    }

    let channel = first_channel + m_lane;
    let near = destinations(pixel);
    store_block(channel, pixel, near, c[0]);
    store_block(channel + M_LANES, pixel, near, c[2]);
    store_block(channel + 2u * M_LANES, pixel, near, c[4]);
    store_block(channel + 3u * M_LANES, pixel, near, c[6]);
    let far = destinations(pixel + 4u * N_LANES);
    store_block(channel, pixel + 4u * N_LANES, far, c[1]);
    store_block(channel + M_LANES, pixel + 4u * N_LANES, far, c[3]);
    store_block(channel + 2u * M_LANES, pixel + 4u * N_LANES, far, c[5]);
    store_block(channel + 3u * M_LANES, pixel + 4u * N_LANES, far, c[7]);
}
