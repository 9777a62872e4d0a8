// Convolution with a KERNEL x KERNEL window, stride, zero padding and bias, as implicit GEMM.
// x: [n, c_in, h, w]; weight: [c_out, c_in, KERNEL, KERNEL]; bias: [c_out]; y: [n, c_out, h', w'].
// Grid: (tiles of channels, tiles of pixels folded into y and z); see implicit_gemm.
const TAPS = KERNEL * KERNEL;
#import implicit_gemm

struct Sizes {
    out_channels: u32,
    in_channels: u32,
    pixels: u32,
    in_plane: u32,
    out_plane: u32,
    in_height: u32,
    in_width: u32,
    out_width: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

// Where the window of an output pixel begins in x; rows and columns wrap below 0, where the
// padding is, and are then larger than any size.
struct Place {
    origin: u32,
    row: u32,
    column: u32,
}

fn locate(pixel: u32) -> Place {
    let image = pixel / sizes.out_plane;
    let position = pixel % sizes.out_plane;
    let row = position / sizes.out_width * sizes.stride - sizes.padding;
    let column = position % sizes.out_width * sizes.stride - sizes.padding;
    let plane = image * sizes.in_channels * sizes.in_plane;
    return Place(plane + row * sizes.in_width + column, row, column);
}

fn tap_inside(place: Place, tap: u32) -> bool {
    let row = place.row + tap / KERNEL;
    let column = place.column + tap % KERNEL;
    return row < sizes.in_height && column < sizes.in_width;
}

fn tap_offset(tap: u32) -> u32 {
    return tap / KERNEL * sizes.in_width + tap % KERNEL;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    convolve(vec2<u32>(group.x, group.y + group.z * grid.y), lane);
}
