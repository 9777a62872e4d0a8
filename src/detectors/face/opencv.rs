//! Resizing and warping as OpenCV 4 does it on 8-bit pictures: in whole numbers, bit for bit.

use super::align::Similarity;
use crate::detectors::resize::{Interpolation, resized};
use crate::media::Frame;

/// 1.0 as a coordinate of `warpAffine`.
const WARP_ONE: f64 = 1024.0;
/// Steps between two pixels to which `warpAffine` rounds, as a power of two.
const STEP_BITS: i32 = 5;
const STEPS: i32 = 1 << STEP_BITS;
/// Bits by which coordinates are finer than these steps.
const FINER_BITS: i32 = 10 - STEP_BITS;

/// `cv2.resize(frame, (width, height))`: linear between pixels, or the mean of four where both
/// sides are halved.
pub(super) fn resize_linear(frame: &Frame, width: usize, height: usize) -> Frame {
    if (2 * width, 2 * height) == (frame.width, frame.height) {
        return halved(frame);
    }
    resized(frame, width, height, Interpolation::Linear)
}

fn halved(frame: &Frame) -> Frame {
    let (width, height) = (frame.width / 2, frame.height / 2);
    let mut data = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let four = four.map(|(dx, dy)| frame.pixel(2 * x + dx, 2 * y + dy));
            data.extend([0, 1, 2].map(|c| {
                let sum: u16 = four.iter().map(|pixel| u16::from(pixel[c])).sum();
                ((sum + 2) >> 2) as u8
            }));
        }
    }
    Frame { width, height, data }
}

/// `cv2.warpAffine(frame, matrix, (side, side))`: linear between pixels, black outside.
pub(super) fn warp_affine(frame: &Frame, matrix: &Similarity, side: usize) -> Frame {
    let [[a, b, c], [d, e, f]] = inverse(matrix);
    // Sums of coordinates beyond 32 bits lie far outside of any picture.
    let fixed = |value: f64| (value * WARP_ONE).round_ties_even() as i32;
    let half_step = 1 << (FINER_BITS - 1);
    let mut data = Vec::with_capacity(3 * side * side);
    for y in 0..side {
        let row = [b * y as f64 + c, e * y as f64 + f].map(|at| fixed(at).wrapping_add(half_step));
        for x in 0..side {
            let column = [a, d].map(|step| fixed(step * x as f64));
            let at = [0, 1].map(|axis| row[axis].wrapping_add(column[axis]) >> FINER_BITS);
            data.extend(between(frame, at));
        }
    }
    Frame { width: side, height: side, data }
}

/// The colour at a place given in steps between pixels.
fn between(frame: &Frame, [x, y]: [i32; 2]) -> [u8; 3] {
    let ([left, top], [right, bottom]) =
        ([x, y].map(|at| at >> STEP_BITS), [x, y].map(|at| at & (STEPS - 1)));
    let corners = [
        (left, top, (STEPS - right) * (STEPS - bottom)),
        (left + 1, top, right * (STEPS - bottom)),
        (left, top + 1, (STEPS - right) * bottom),
        (left + 1, top + 1, right * bottom),
    ];
    let mut sums = [0; 3];
    for (x, y, weight) in corners {
        let inside = |at: i32, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        if let (Some(x), Some(y)) = (inside(x, frame.width), inside(y, frame.height)) {
            let pixel = frame.pixel(x, y);
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * i32::from(value));
        }
    }
    let whole = STEPS * STEPS;
    sums.map(|sum| ((sum + whole / 2) / whole) as u8)
}

/// From places of the result to places of the picture.
fn inverse([[a, b, c], [d, e, f]]: &Similarity) -> Similarity {
    let determinant = a * e - b * d;
    let factor = if determinant == 0.0 { 0.0 } else { 1.0 / determinant };
    let (p, q, r, s) = (e * factor, -b * factor, -d * factor, a * factor);
    [[p, q, -p * c - q * f], [r, s, -r * c - s * f]]
}
