// C[m, p] = bias[m] + Σ_k A[m, k] · B[k, p]: the channels m and pixels p of a convolution, k = its
// input channels · TAPS. A is the weight as it is stored, B is gathered from x tile by tile.
// A workgroup computes TILE_M channels x TILE_N pixels, an invocation 8 x 8 of them.
// Needs: const TAPS; x, weight, bias, y: array<Elem>; Place { origin, .. } with locate(pixel),
// tap_inside(place, tap) and tap_offset(tap): x[origin + tap_offset + channel · in_plane] is read;
// sizes: out_channels, in_channels, pixels (of all images), in_plane and out_plane (positions of
// one channel of x and y).
const THREADS = TILE_M * TILE_N / 64u;
const TILE_K = 16u;
const M_QUADS = TILE_M / 4u;
const N_QUADS = TILE_N / 4u;
const M_LANES = TILE_M / 8u;
const N_LANES = TILE_N / 8u;

// [k, quad]; a quad holds the channels (pixels) quad, quad + M_QUADS, quad + 2·M_QUADS, ..,
// so that neighbouring invocations touch neighbouring addresses.
var<workgroup> a_tile: array<vec4<f32>, TILE_K * M_QUADS>;
var<workgroup> b_tile: array<vec4<f32>, TILE_K * N_QUADS>;

// Neighbouring invocations write one column of `a_tile`: this keeps them in different banks.
fn a_index(k: u32, quad: u32) -> u32 {
    return k * M_QUADS + (quad ^ (k % M_QUADS));
}

fn load_a(first_channel: u32, first_k: u32, lane: u32) {
    let depth = sizes.in_channels * TAPS;
    let last = sizes.out_channels - 1u;
    let k = lane % TILE_K;
    let column = min(first_k + k, depth - 1u);
    let inside = select(0.0, 1.0, first_k + k < depth);
    for (var quad = lane / TILE_K; quad < M_QUADS; quad += THREADS / TILE_K) {
        let m = first_channel + quad;
        let value = vec4<f32>(
            f32(weight[min(m, last) * depth + column]),
            f32(weight[min(m + M_QUADS, last) * depth + column]),
            f32(weight[min(m + 2u * M_QUADS, last) * depth + column]),
            f32(weight[min(m + 3u * M_QUADS, last) * depth + column]),
        );
        a_tile[a_index(k, quad)] = value * inside;
    }
}

fn gather(place: Place, tap: u32, offset: u32) -> f32 {
    let inside = tap_inside(place, tap);
    return select(0.0, f32(x[select(0u, place.origin + offset, inside)]), inside);
}

fn load_b(places: array<Place, 4>, first_k: u32, lane: u32) {
    let quad = lane % N_QUADS;
    for (var k = lane / N_QUADS; k < TILE_K; k += THREADS / N_QUADS) {
        let tap = (first_k + k) % TAPS;
        // Channels past the end meet a weight of 0.
        let channel = min((first_k + k) / TAPS, sizes.in_channels - 1u);
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
    for (var first_k = 0u; first_k < sizes.in_channels * TAPS; first_k += TILE_K) {
        load_a(first_channel, first_k, lane);
        load_b(places, first_k, lane);
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            let a0 = a_tile[a_index(k, m_lane)];
            let a1 = a_tile[a_index(k, m_lane + M_LANES)];
            let b0 = b_tile[k * N_QUADS + n_lane];
            let b1 = b_tile[k * N_QUADS + n_lane + N_LANES];
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
