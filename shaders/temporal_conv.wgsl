// Convolution along the frames of a clip, kernel (3, 1, 1), padding (1, 0, 0), with bias, as
// implicit GEMM. Clips do not see each other.
// x: [b·t, c_in, positions]; weight: [c_out, c_in, 3]; bias: [c_out]; y: [b·t, c_out, positions].
// Grid: (tiles of channels, tiles of pixels folded into y and z); see gemm.
const TAPS = 3u;
#import outer
#import gemm
#import implicit_gemm

struct Sizes {
    out_channels: u32,
    in_channels: u32,
    pixels: u32,
    in_plane: u32,
    out_plane: u32,
    frames: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

// A pixel of the frame before (origin wraps below 0), and which of the frames before, at and after
// are in its clip.
struct Column {
    origin: u32,
    taps: u32,
}

fn column_of(pixel: u32) -> Column {
    let image = pixel / sizes.out_plane;
    let position = pixel % sizes.out_plane;
    let plane = (image - 1u) * sizes.in_channels * sizes.in_plane;
    let frame = image % sizes.frames;
    let taps = u32(frame > 0u) | 2u | (u32(frame + 1u < sizes.frames) << 2u);
    return Column(plane + position, taps);
}

fn tap_offset(tap: u32) -> u32 {
    return tap * sizes.in_channels * sizes.in_plane;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    convolve(vec2<u32>(group.x, group.y + group.z * grid.y), lane);
}
