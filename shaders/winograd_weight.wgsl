// The windows of a convolution as Winograd's filters: u[.., pair] = G · weight[pair] · Gᵀ.
// weight: [c_out · c_in, 3, WIDTH]; u: [4, ACROSS, pairs], of `pairs` pairs of channels from
// `first_pair` on. WIDTH is 3, and ACROSS 4; or both are 1, and only columns are filtered.
// Grid: pairs, folded into x and y. See src/kernels/winograd.rs.
struct Sizes {
    pairs: u32,
    first_pair: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<Elem>;
@group(0) @binding(1) var<storage, read_write> u: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn row_at(place: u32) -> vec3<f32> {
    if (WIDTH == 1u) {
        return vec3<f32>(f32(weight[place]), 0.0, 0.0);
    }
    return vec3<f32>(f32(weight[place]), f32(weight[place + 1u]), f32(weight[place + 2u]));
}

fn store(place: u32, row: vec3<f32>) {
    u[place] = row.x;
    if (WIDTH == 3u) {
        u[place + sizes.pairs] = 0.5 * (row.x + row.y + row.z);
        u[place + 2u * sizes.pairs] = 0.5 * (row.x - row.y + row.z);
        u[place + 3u * sizes.pairs] = row.z;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = (group.x + group.y * grid.x) * WORKGROUP + lane;
    if (pair >= sizes.pairs) {
        return;
    }
    let window = (sizes.first_pair + pair) * 3u * WIDTH;
    let above = row_at(window);
    let middle = row_at(window + WIDTH);
    let below = row_at(window + 2u * WIDTH);
    let step = ACROSS * sizes.pairs;
    store(pair, above);
    store(pair + step, 0.5 * (above + middle + below));
    store(pair + 2u * step, 0.5 * (above - middle + below));
    store(pair + 3u * step, below);
}
