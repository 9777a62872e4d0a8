// C[m, p] = bias[m] + Σ_k A[m, k] · B[k, p]: the channels m and pixels p of a convolution, k = its
// input channels · TAPS. A is the weight as it is stored, B is gathered from x tile by tile.
// 64 invocations; each keeps 8 channels x 8 pixels. A tile is TILE_M channels x TILE_N pixels
// x TILE_K = TILE_C · TAPS; TILE_M · TILE_N = 4096.
// Needs: const TAPS; x, weight, bias, y: array<Elem>; Place { origin, .. } with locate(pixel),
// tap_inside(place, tap) and tap_offset(tap): x[origin + tap_offset + channel · in_plane] is read;
// sizes: out_channels, in_channels, pixels (of all images), in_plane and out_plane (positions of
// one channel of x and y).
const TILE_K = TILE_C * TAPS;
const M_QUADS = TILE_M / 4u;
const N_QUADS = TILE_N / 4u;
const N_LANES = TILE_N / 8u;
const M_LANES = TILE_M / 8u;
// One vector of padding a row keeps the columns of `a_tile` in different banks.
const A_ROW = M_QUADS + 1u;
const B_ROWS = 64u / N_QUADS;

// [k, quad]; a quad holds the channels (pixels) quad, quad + M_QUADS, quad + 2·M_QUADS, ..,
// so that neighbouring invocations touch neighbouring addresses.
var<workgroup> a_tile: array<vec4<f32>, TILE_K * A_ROW>;
var<workgroup> b_tile: array<vec4<f32>, TILE_K * N_QUADS>;

fn load_a(first_channel: u32, first_k: u32, lane: u32) {
    let depth = sizes.in_channels * TAPS;
    let last = sizes.out_channels - 1u;
    for (var e = lane; e < TILE_K * M_QUADS; e += 64u) {
        let quad = e / TILE_K;
        let k = e % TILE_K;
        var value = vec4<f32>();
        if (first_k + k < depth) {
            let at = first_k + k;
            let m = first_channel + quad;
            value = vec4<f32>(
                f32(weight[min(m, last) * depth + at]),
                f32(weight[min(m + M_QUADS, last) * depth + at]),
                f32(weight[min(m + 2u * M_QUADS, last) * depth + at]),
                f32(weight[min(m + 3u * M_QUADS, last) * depth + at]),
            );
        }
        a_tile[k * A_ROW + quad] = value;
    }
}

fn gather(place: Place, tap: u32, offset: u32) -> f32 {
    if (tap_inside(place, tap)) {
        return f32(x[place.origin + offset]);
    }
    return 0.0;
}

fn load_b(places: array<Place, 4>, first_k: u32, lane: u32) {
    let quad = lane % N_QUADS;
    let first_channel = first_k / TAPS;
    for (var k = lane / N_QUADS; k < TILE_K; k += B_ROWS) {
        let tap = k % TAPS;
        // Channels past the end meet a weight of 0.
        let channel = min(first_channel + k / TAPS, sizes.in_channels - 1u);
        let offset = tap_offset(tap) + channel * sizes.in_plane;
        b_tile[k * N_QUADS + quad] = vec4<f32>(
            gather(places[0], tap, offset),
            gather(places[1], tap, offset),
            gather(places[2], tap, offset),
            gather(places[3], tap, offset),
        );
    }
}

fn store(channel: u32, pixel: u32, values: vec4<f32>) {
    if (channel >= sizes.out_channels) {
        return;
    }
    let offset = f32(bias[channel]);
    for (var j = 0u; j < 4u; j++) {
        let p = pixel + j * N_QUADS;
        if (p < sizes.pixels) {
            let image = p / sizes.out_plane;
            let at = (image * sizes.out_channels + channel) * sizes.out_plane + p % sizes.out_plane;
            y[at] = Elem(values[j] + offset);
        }
    }
}

// One tile of C; `group` counts tiles of channels in x and of pixels in y.
fn convolve(group: vec2<u32>, lane: u32) {
    let first_channel = group.x * TILE_M;
    let first_pixel = group.y * TILE_N;
    let gather_pixel = first_pixel + lane % N_QUADS;
    let last = sizes.pixels - 1u;
    let places = array<Place, 4>(
        locate(min(gather_pixel, last)),
        locate(min(gather_pixel + N_QUADS, last)),
        locate(min(gather_pixel + 2u * N_QUADS, last)),
        locate(min(gather_pixel + 3u * N_QUADS, last)),
    );
    let n_lane = lane % N_LANES;
    let m_lane = lane / N_LANES;

    var c: array<vec4<f32>, 16>;
    for (var k = 0u; k < sizes.in_channels * TAPS; k += TILE_K) {
        load_a(first_channel, k, lane);
        load_b(places, k, lane);
        workgroupBarrier();
        for (var i = 0u; i < TILE_K; i++) {
            let a0 = a_tile[i * A_ROW + m_lane];
            let a1 = a_tile[i * A_ROW + m_lane + M_LANES];
            let b0 = b_tile[i * N_QUADS + n_lane];
            let b1 = b_tile[i * N_QUADS + n_lane + N_LANES];
            c[0] += a0.x * b0;
            c[1] += a0.x * b1;
            c[2] += a0.y * b0;
            c[3] += a0.y * b1;
            c[4] += a0.z * b0;
            c[5] += a0.z * b1;
            c[6] += a0.w * b0;
            c[7] += a0.w * b1;
            c[8] += a1.x * b0;
            c[9] += a1.x * b1;
            c[10] += a1.y * b0;
            c[11] += a1.y * b1;
            c[12] += a1.z * b0;
            c[13] += a1.z * b1;
            c[14] += a1.w * b0;
            c[15] += a1.w * b1;
        }
        workgroupBarrier();
    }

    for (var row = 0u; row < 8u; row++) {
        let quad = m_lane + (row / 4u) * M_LANES;
        let channel = first_channel + quad + (row % 4u) * M_QUADS;
        store(channel, first_pixel + n_lane, c[row * 2u]);
        store(channel, first_pixel + n_lane + N_LANES, c[row * 2u + 1u]);
    }
}
