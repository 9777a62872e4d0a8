// Adds one window's prediction into the running sum, and one into the counter of its frames, in
// place.
// sum: [rows, t, positions]; counter: [t]; prediction: [rows, window, positions]; places: [window],
// the frame of the sum that each frame of the window is.
// Grid: (positions in steps of WORKGROUP, lines of the prediction folded into y and z).
struct Sizes {
    lines: u32,
    frames: u32,
    window: u32,
    positions: u32,
}

@group(0) @binding(0) var<storage, read_write> sum: array<Elem>;
@group(0) @binding(1) var<storage, read_write> counter: array<Elem>;
@group(0) @binding(2) var<storage, read> prediction: array<Elem>;
@group(0) @binding(3) var<storage, read> places: array<u32>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let position = group.x * WORKGROUP + lane;
    let line = group.y + group.z * grid.y;
    if (line >= sizes.lines || position >= sizes.positions) {
        return;
    }
    let row = line / sizes.window;
    let frame = places[line % sizes.window];
    let at = (row * sizes.frames + frame) * sizes.positions + position;
    sum[at] = Elem(f32(sum[at]) + f32(prediction[line * sizes.positions + position]));
    // The first row has a line of every frame: its first position keeps the counter.
    if (row == 0u && position == 0u) {
        counter[frame] += Elem(1.0);
    }
}
