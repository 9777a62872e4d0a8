// C[m, n] = Σ_k A[m, k] · B[k, n]. A is staged tile by tile; B is read where it is, by column.
// A workgroup computes 32 rows x TILE_N columns of C, an invocation 16 x 8 of them: one read then
// serves many products, and reads are what the time goes to.
// Needs: outer; a_at(m, k); b_at(row_of(k), column_of(n)); put(m, place_of(n), value) to keep
// C[m, n]. None is called outside the matrices.
const TILE_M = 32u;
const THREADS = TILE_M * TILE_N / 128u;
const TILE_K = 16u;
const M_QUADS = TILE_M / 4u;
const M_LANES = TILE_M / 16u;
const N_LANES = TILE_N / 8u;

// The rows and columns of C, and the columns of A.
struct Extent {
    m: u32,
    n: u32,
    k: u32,
}

// [k, quad]; a quad holds the rows quad, quad + M_QUADS, quad + 2·M_QUADS, quad + 3·M_QUADS.
var<workgroup> a_tile: array<vec4<f32>, TILE_K * M_QUADS>;

// Neighbouring invocations write one column of `a_tile`: this keeps them in different banks.
fn a_index(k: u32, quad: u32) -> u32 {
    return k * M_QUADS + (quad ^ (k % M_QUADS));
}

fn load_a(first_m: u32, first_k: u32, extent: Extent, lane: u32) {
    let last = extent.m - 1u;
    for (var i = lane; i < TILE_K * M_QUADS; i += THREADS) {
        let k = i % TILE_K;
        let quad = i / TILE_K;
        let column = min(first_k + k, extent.k - 1u);
        let m = first_m + quad;
        let values = vec4<f32>(
            a_at(min(m, last), column),
            a_at(min(m + M_QUADS, last), column),
            a_at(min(m + 2u * M_QUADS, last), column),
            a_at(min(m + 3u * M_QUADS, last), column),
        );
        a_tile[a_index(k, quad)] = values * select(0.0, 1.0, first_k + k < extent.k);
    }
}

// Columns n, n + N_LANES and so on of one row.
fn store_row(m: u32, n: u32, extent: Extent, places: vec4<u32>, values: vec4<f32>) {
    if (m >= extent.m) {
        return;
    }
    for (var j = 0u; j < 4u; j++) {
        if (n + j * N_LANES < extent.n) {
            put(m, places[j], values[j]);
        }
    }
}

fn store(m: u32, n: u32, extent: Extent, places: vec4<u32>, block: mat4x4<f32>) {
    store_row(m, n, extent, places, block[0]);
    store_row(m + M_QUADS, n, extent, places, block[1]);
    store_row(m + 2u * M_QUADS, n, extent, places, block[2]);
    store_row(m + 3u * M_QUADS, n, extent, places, block[3]);
}

fn places_of(n: u32, last: u32) -> vec4<u32> {
    return vec4<u32>(
        place_of(min(n, last)),
        place_of(min(n + N_LANES, last)),
        place_of(min(n + 2u * N_LANES, last)),
        place_of(min(n + 3u * N_LANES, last)),
    );
}

// One tile of C; `group` counts tiles of rows in x and of columns in y.
fn multiply(group: vec2<u32>, extent: Extent, lane: u32) {
    let first_m = group.x * TILE_M;
    let m_lane = lane / N_LANES;
    let n = group.y * TILE_N + lane % N_LANES;
    let last = extent.n - 1u;
    let n0 = column_of(min(n, last));
    let n1 = column_of(min(n + N_LANES, last));
    let n2 = column_of(min(n + 2u * N_LANES, last));
    let n3 = column_of(min(n + 3u * N_LANES, last));
    let n4 = column_of(min(n + 4u * N_LANES, last));
    let n5 = column_of(min(n + 5u * N_LANES, last));
    let n6 = column_of(min(n + 6u * N_LANES, last));
    let n7 = column_of(min(n + 7u * N_LANES, last));

    // [quad of rows, half of the columns]
    var c: array<mat4x4<f32>, 8>;
    for (var first_k = 0u; first_k < extent.k; first_k += TILE_K) {
        load_a(first_m, first_k, extent, lane);
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            // Rows past the end meet an A of 0.
            let row = row_of(min(first_k + k, extent.k - 1u));
            let b0 = vec4<f32>(b_at(row, n0), b_at(row, n1), b_at(row, n2), b_at(row, n3));
            let b1 = vec4<f32>(b_at(row, n4), b_at(row, n5), b_at(row, n6), b_at(row, n7));
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

    let m = first_m + m_lane;
    let near = places_of(n, last);
    store(m, n, extent, near, c[0]);
    store(m + M_LANES, n, extent, near, c[2]);
    store(m + 2u * M_LANES, n, extent, near, c[4]);
    store(m + 3u * M_LANES, n, extent, near, c[6]);
    let far = places_of(n + 4u * N_LANES, last);
    store(m, n + 4u * N_LANES, extent, far, c[1]);
    store(m + M_LANES, n + 4u * N_LANES, extent, far, c[3]);
    store(m + 2u * M_LANES, n + 4u * N_LANES, extent, far, c[5]);
    store(m + 3u * M_LANES, n + 4u * N_LANES, extent, far, c[7]);
}
