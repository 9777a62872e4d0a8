// The end of a denoising step: a·latents + b·guided, guided = u + g·(c - u) of the mean prediction
// sum / counter, whose first half is unconditional (u), the second conditional (c).
// latents, out: [rows, t, positions]; sum: [2·rows, t, positions]; counter: [t].
// Grid: elements of latents in steps of WORKGROUP, folded into x and y.
// Without guidance sum has `rows` rows and `guided` is 0.
struct Sizes {
    elements: u32,
    frames: u32,
    positions: u32,
    guided: u32,
    guidance_scale: f32,
    sample_coefficient: f32,
    output_coefficient: f32,
}

@group(0) @binding(0) var<storage, read> latents: array<Elem>;
@group(0) @binding(1) var<storage, read> sum: array<Elem>;
@group(0) @binding(2) var<storage, read> counter: array<Elem>;
@group(0) @binding(3) var<storage, read_write> out: array<Elem>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

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
    let count = f32(counter[(i / sizes.positions) % sizes.frames]);
    var output = f32(sum[i]) / count;
    if (sizes.guided != 0u) {
        let conditional = f32(sum[i + sizes.elements]) / count;
        output += sizes.guidance_scale * (conditional - output);
    }
    out[i] = Elem(sizes.sample_coefficient * f32(latents[i]) + sizes.output_coefficient * output);
}
