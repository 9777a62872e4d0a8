// Partial statistics of GroupNorm: mean and sum of squared deviations of each slice of a group.
// x: [b, frames, groups, run], run = channels of a group · positions, contiguous.
// partials: [b·groups, slices, 2].
// Grid: (slices, b·groups folded into y and z); one workgroup a slice.
#import reduce

struct Sizes {
    frames: u32,
    groups: u32,
    run: u32,
    slices: u32,
    rows: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y + group.z * grid.y;
    let slice = group.x;
    let extent = sizes.frames * sizes.run;
    let length = (extent + sizes.slices - 1u) / sizes.slices;
    let begin = min(slice * length, extent);
    // Rows past the end of the folded grid have an empty slice: barriers need every invocation.
    let end = select(begin, min(begin + length, extent), row < sizes.rows);
    let batch = row / sizes.groups;
    let origin = (batch * sizes.frames * sizes.groups + row % sizes.groups) * sizes.run;
    let frame_stride = sizes.groups * sizes.run;

    // Deviations from one of the values keep their digits however large the mean is.
    var shift = 0.0;
    if (begin < end) {
        shift = f32(x[origin + (begin / sizes.run) * frame_stride + begin % sizes.run]);
    }
    var sum = 0.0;
    var squares = 0.0;
    for (var i = begin + lane; i < end; i += WORKGROUP) {
        let frame = i / sizes.run;
        let d = f32(x[origin + frame * frame_stride + (i - frame * sizes.run)]) - shift;
        sum += d;
        squares += d * d;
    }
    sum = workgroup_sum(sum, lane);
    squares = workgroup_sum(squares, lane);
    if (lane == 0u && row < sizes.rows) {
        let count = f32(max(end - begin, 1u));
        let at = (row * sizes.slices + slice) * 2u;
        partials[at] = shift + sum / count;
        partials[at + 1u] = max(squares - sum * sum / count, 0.0);
    }
}
