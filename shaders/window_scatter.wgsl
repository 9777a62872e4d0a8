// Adds one window's prediction into the running sum, and one into the counter of its frames.
// sum, sum_out: [rows, t, positions]; prediction: [rows, window, positions];
// counter, counter_out: [t]; slots: [t], a frame's place in the window, or NONE.
// Grid: elements of sum in steps of WORKGROUP, folded into x and y.
const NONE = 0xffffffffu;

struct Sizes {
    elements: u32,
    frames: u32,
    window: u32,
    positions: u32,
}

@group(0) @binding(0) var<storage, read> sum: array<Elem>;
@group(0) @binding(1) var<storage, read> counter: array<Elem>;
@group(0) @binding(2) var<storage, read> prediction: array<Elem>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> sum_out: array<Elem>;
@group(0) @binding(5) var<storage, read_write> counter_out: array<Elem>;
@group(0) @binding(6) var<uniform> sizes: Sizes;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * grid.x) * WORKGROUP + lane;
    if (i >= sizes.elements) {
        return;
    }
    let line = i / sizes.positions;
    let row = line / sizes.frames;
    let frame = line % sizes.frames;
    let slot = slots[frame];
    var value = f32(sum[i]);
    if (slot != NONE) {
        let position = i % sizes.positions;
        value += f32(prediction[(row * sizes.window + slot) * sizes.positions + position]);
    }
    sum_out[i] = Elem(value);
    // The first row has an element of every frame: its first one keeps the counter.
    if (row == 0u && i % sizes.positions == 0u) {
        counter_out[frame] = counter[frame] + select(Elem(0.0), Elem(1.0), slot != NONE);
    }
}
