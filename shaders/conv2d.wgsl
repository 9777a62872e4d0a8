// Convolution with a 3x3 window, stride, zero padding and bias, as implicit GEMM.
// x: [n, c_in, h, w]; weight: [c_out, c_in, 3, 3]; bias: [c_out]; y: [n, c_out, h', w'].
// Grid: (tiles of channels, tiles of pixels folded into y and z); see gemm.
const KERNEL = 3u;
const TAPS = KERNEL * KERNEL;
#import outer
#import gemm
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

// Where the window of an output pixel begins in x, and which of its taps are not in the padding.
struct Column {
    origin: u32,
    taps: u32,
}

fn column_of(pixel: u32) -> Column {
    let image = pixel / sizes.out_plane;
    let position = pixel % sizes.out_plane;
    // Rows and columns wrap below 0 and are then larger than any size.
    let row = position / sizes.out_width * sizes.stride - sizes.padding;
    let column = position % sizes.out_width * sizes.stride - sizes.padding;
    var taps = 0u;
    for (var tap = 0u; tap < TAPS; tap++) {
        let inside = row + tap / KERNEL < sizes.in_height && column + tap % KERNEL < sizes.in_width;
        taps |= u32(inside) << tap;
    }
    let plane = image * sizes.in_channels * sizes.in_plane;
    return Column(plane + row * sizes.in_width + column, taps);
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
