//! Colours as video codecs store them.

use super::Frame;

/// The number of BT.709 for primaries, transfer and matrix alike (ITU-T H.273).
pub(super) const BT709: u16 = 1;

/// The planes Y, U and V of a frame whose last column and row are repeated up to the sides given;
/// limited range, each chroma value the mean of four pixels.
pub fn bt709(frame: &Frame, width: usize, height: usize) -> Vec<u8> {
    let rgb = |x: usize, y: usize| {
        frame.pixel(x.min(frame.width - 1), y.min(frame.height - 1)).map(f32::from)
    };
    let luma = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let mut planes = vec![0; width * height * 3 / 2];
    let (y_plane, chroma) = planes.split_at_mut(width * height);
    let (u_plane, v_plane) = chroma.split_at_mut(width * height / 4);
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let mut mean = [0.0; 3];
            for (px, py) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
                let pixel = rgb(px, py);
                y_plane[py * width + px] = (16.0 + luma(pixel) * 219.0 / 255.0).round() as u8;
                mean = std::array::from_fn(|channel| mean[channel] + pixel[channel] / 4.0);
            }
            let at = y / 2 * (width / 2) + x / 2;
            let chroma = |difference: f32, range: f32| {
                (128.0 + difference / range * 224.0 / 255.0).round() as u8
            };
            // The colour differences reach 2·(1 - 0.0722) and 2·(1 - 0.2126) times 255.
            u_plane[at] = chroma(mean[2] - luma(mean), 1.8556);
            v_plane[at] = chroma(mean[0] - luma(mean), 1.5748);
        }
    }
    planes
}
