// GroupNorm, y = (x - mean) / sqrt(variance + eps) · weight + bias, and SiLU where asked.
// x, y: [b, frames, groups, run], run = channels of a group · positions, contiguous.
// weight, bias: [groups · channels of a group]; partials: [b·groups, slices, 2], see
// group_norm_statistics.
// Grid: (chunks of a run, b·frames·groups folded into y and z); one workgroup a chunk.
struct Sizes {
    frames: u32,
    groups: u32,
    run: u32,
    slices: u32,
    rows: u32,
    chunk: u32,
    positions: u32,
    silu: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<uniform> sizes: Sizes;

// Mean and 1 / sqrt(variance + eps) of a group, by the rule of Chan et al. (1979): the spread of
// the slices' means adds to the spread inside them.
fn statistics(row: u32) -> vec2<f32> {
    let extent = sizes.frames * sizes.run;
    let length = (extent + sizes.slices - 1u) / sizes.slices;
    let first = row * sizes.slices * 2u;
    var count = 0.0;
    var mean = 0.0;
    var squares = 0.0;
    for (var slice = 0u; slice < sizes.slices; slice++) {
        let begin = min(slice * length, extent);
        let n = f32(min(begin + length, extent) - begin);
        if (n > 0.0) {
            let total = count + n;
            let delta = partials[first + slice * 2u] - mean;
            squares += partials[first + slice * 2u + 1u] + delta * delta * (count * n / total);
            mean += delta * (n / total);
            count = total;
        }
    }
    return vec2<f32>(mean, inverseSqrt(squares / count + sizes.eps));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let run = group.y + group.z * grid.y;
    if (run >= sizes.rows) {
        return;
    }
    let index = run % sizes.groups;
    let found = statistics(run / (sizes.groups * sizes.frames) * sizes.groups + index);
    let origin = run * sizes.run;
    let first_channel = index * (sizes.run / sizes.positions);
    let begin = group.x * sizes.chunk;
    let end = min(begin + sizes.chunk, sizes.run);
    for (var i = begin + lane; i < end; i += WORKGROUP) {
        let channel = first_channel + i / sizes.positions;
        let normed = (f32(x[origin + i]) - found.x) * found.y;
        var value = normed * f32(weight[channel]) + f32(bias[channel]);
        if (sizes.silu != 0u) {
            value = value / (1.0 + exp(-value));
        }
        y[origin + i] = Elem(value);
    }
}
