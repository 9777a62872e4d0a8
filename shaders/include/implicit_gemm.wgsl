// The product that a convolution is: A is its weight, B what its window sees of x at each pixel of y.
// Needs: gemm; const TAPS; x, weight, bias, y: array<Elem>; Column { origin, taps } from
// column_of(pixel): x[origin + tap_offset(tap) + channel · in_plane] is read where bit `tap` of taps
// is set; sizes: out_channels, in_channels, pixels (of all images), in_plane and out_plane (positions
// of one channel of x and y).

// A tap of the window in an input channel, and its way from the window's origin.
struct Row {
    tap: u32,
    offset: u32,
}

fn row_of(k: u32) -> Row {
    let tap = k % TAPS;
    return Row(tap, tap_offset(tap) + k / TAPS * sizes.in_plane);
}

fn a_at(channel: u32, k: u32) -> f32 {
    return f32(weight[channel * sizes.in_channels * TAPS + k]);
}

fn b_at(row: Row, column: Column) -> f32 {
    let inside = ((column.taps >> row.tap) & 1u) != 0u;
    return select(0.0, f32(x[select(0u, column.origin + row.offset, inside)]), inside);
}

// Where channel 0 of a pixel goes in y.
fn place_of(pixel: u32) -> u32 {
    let image = pixel / sizes.out_plane;
    return image * sizes.out_channels * sizes.out_plane + pixel % sizes.out_plane;
}

fn put(channel: u32, place: u32, value: f32) {
    y[place + channel * sizes.out_plane] = Elem(value + f32(bias[channel]));
}

fn convolve(group: vec2<u32>, lane: u32) {
    multiply(group, Extent(sizes.out_channels, sizes.pixels, sizes.in_channels * TAPS), lane);
}
