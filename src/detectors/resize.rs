//! Resizing as OpenCV does it, which the original's detectors resize with.
//!
//! On 8-bit pictures OpenCV works in whole numbers: weights of 11 bits, rows first, rounded once at
//! the end. Areas are averaged in floats.

use super::SIDE_MULTIPLE;
use crate::media::Frame;

/// 1.0 as a weight.
const ONE: f32 = 2048.0;
/// Fractional bits of a product of two weights.
const BITS: u32 = 22;

/// How pixels of the new size are computed from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interpolation {
    /// The two nearest along each side.
    Linear,
    /// The eight nearest along each side.
    Lanczos4,
    /// The mean of what a new pixel covers; where one side grows, like linear.
    Area,
}

/// `frame` with `short` pixels along its short side, both sides rounded to multiples of 64.
pub(super) fn at_short_side(frame: &Frame, short: usize) -> Frame {
    let (width, height) = sides(frame, short);
    let grows = short > frame.width.min(frame.height);
    let how = if grows { Interpolation::Lanczos4 } else { Interpolation::Area };
    resized(frame, width, height, how)
}

/// The width and height of [`at_short_side`].
pub(super) fn sides(frame: &Frame, short: usize) -> (usize, usize) {
    let factor = short as f64 / frame.width.min(frame.height) as f64;
    let side = |pixels: usize| {
        let blocks = (pixels as f64 * factor / SIDE_MULTIPLE as f64).round_ties_even();
        blocks.max(1.0) as usize * SIDE_MULTIPLE
    };
    (side(frame.width), side(frame.height))
}

/// `frame` at `width x height`.
pub(super) fn resized(frame: &Frame, width: usize, height: usize, how: Interpolation) -> Frame {
    if (width, height) == (frame.width, frame.height) {
        return frame.clone();
    }
    let shrinks = width <= frame.width && height <= frame.height;
    let data = match how {
        Interpolation::Area if shrinks => averaged(frame, width, height),
        _ => interpolated(frame, width, height, how),
    };
    Frame { width, height, data }
}

/// Old positions and their weights.
type Taps<W> = Vec<(usize, W)>;

fn interpolated(frame: &Frame, width: usize, height: usize, how: Interpolation) -> Vec<u8> {
    let mut across = taps(frame.width, width, how);
    if how != Interpolation::Lanczos4 {
        // Along rows OpenCV takes a pixel of the border whole, along columns as two rounded parts.
        for taps in across.iter_mut().filter(|taps| taps[0].0 == taps[1].0) {
            *taps = vec![(taps[0].0, ONE as i32), (taps[0].0, 0)];
        }
    }
    let down = taps(frame.height, height, how);
    let mut wide = Vec::with_capacity(3 * width * frame.height);
    for row in frame.data.chunks_exact(3 * frame.width) {
        for taps in &across {
            wide.extend((0..3).map(|channel| {
                let value =
                    |&(at, weight): &(usize, i32)| i32::from(row[3 * at + channel]) * weight;
                taps.iter().map(value).sum::<i32>()
            }));
        }
    }
    let row = |at: usize| &wide[3 * width * at..3 * width * (at + 1)];
    let mut data = Vec::with_capacity(3 * width * height);
    for taps in &down {
        match taps.as_slice() {
            [(first, a), (second, b)] => {
                // Two rows are mixed with fewer bits.
                let mix = |(x, y): (&i32, &i32)| {
                    let sum = ((a * (x >> 4)) >> 16) + ((b * (y >> 4)) >> 16);
                    ((sum + 2) >> 2).clamp(0, 255) as u8
                };
                data.extend(row(*first).iter().zip(row(*second)).map(mix));
            }
            taps => data.extend((0..3 * width).map(|x| {
                let sum: i32 = taps.iter().map(|&(at, weight)| row(at)[x] * weight).sum();
                ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
            })),
        }
    }
    data
}

/// The taps of every new position along a side. Positions outside are those of the border.
fn taps(old: usize, new: usize, how: Interpolation) -> Vec<Taps<i32>> {
    let scale = old as f64 / new as f64;
    let whole = |weight: f32| (weight * ONE).round_ties_even() as i32;
    let clamped = |at: isize| at.clamp(0, old as isize - 1) as usize;
    let two = |first: isize, share: f32| {
        vec![(clamped(first), whole(1.0 - share)), (clamped(first + 1), whole(share))]
    };
    let make = |index: usize| {
        let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
        let (first, share) = (position.floor() as isize, position - position.floor());
        match how {
            Interpolation::Lanczos4 => {
                let weights = lanczos4(share);
                (-3..).zip(weights).map(|(k, w)| (clamped(first + k), whole(w))).collect()
            }
            Interpolation::Linear => two(first, share),
            Interpolation::Area => {
                let first = (index as f64 * scale).floor();
                let share = ((index + 1) as f64 - (first + 1.0) / scale) as f32;
                two(first as isize, if share <= 0.0 { 0.0 } else { share - share.floor() })
            }
        }
    };
    (0..new).map(make).collect()
}

/// The weights of eight neighbours, three before the nearest at or before the position.
fn lanczos4(share: f32) -> [f32; 8] {
    const HALF_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;
    /// Sine and cosine of multiples of 135 degrees: what every neighbour adds to the first's angle.
    const TURNS: [(f64, f64); 8] = [
        (1.0, 0.0),
        (-HALF_ROOT, -HALF_ROOT),
        (0.0, 1.0),
        (HALF_ROOT, -HALF_ROOT),
        (-1.0, 0.0),
        (HALF_ROOT, HALF_ROOT),
        (0.0, -1.0),
        (-HALF_ROOT, HALF_ROOT),
    ];
    let quarter = std::f64::consts::FRAC_PI_4;
    let (sine, cosine) = (-f64::from(share + 3.0) * quarter).sin_cos();
    let weight = |k: usize| {
        let distance = share + 3.0 - k as f32;
        if distance.abs() < 1e-6 {
            // Exactly there: all the others vanish beside it.
            return 1e30;
        }
        let angle = -f64::from(distance) * quarter;
        ((TURNS[k].0 * sine + TURNS[k].1 * cosine) / (angle * angle)) as f32
    };
    let weights: [f32; 8] = std::array::from_fn(weight);
    let factor = 1.0 / weights.iter().sum::<f32>();
    weights.map(|weight| weight * factor)
}

fn averaged(frame: &Frame, width: usize, height: usize) -> Vec<u8> {
    let (across, down) = (shares(frame.width, width), shares(frame.height, height));
    // Halves along both sides are rounded up, everything else to even.
    let halves = frame.width == 2 * width && frame.height == 2 * height;
    let mut data = Vec::with_capacity(3 * width * height);
    for rows in &down {
        for columns in &across {
            data.extend((0..3).map(|channel| {
                let along = |row: usize| {
                    let at = |column: usize| frame.data[3 * (row * frame.width + column) + channel];
                    columns.iter().map(|&(x, share)| f32::from(at(x)) * share).sum::<f32>()
                };
                let mean: f32 = rows.iter().map(|&(y, share)| along(y) * share).sum();
                if halves { (mean + 0.5) as u8 } else { round_level(mean) }
            }));
        }
    }
    data
}

/// The old positions that every new one covers, and how much of it each makes up.
fn shares(old: usize, new: usize) -> Vec<Taps<f32>> {
    let scale = old as f64 / new as f64;
    let make = |index: usize| {
        let (from, to) = (index as f64 * scale, (index + 1) as f64 * scale);
        let covered = scale.min(old as f64 - from);
        let end = (to.floor() as usize).min(old - 1);
        let start = (from.ceil() as usize).min(end);
        let mut taps = Taps::new();
        // Slivers are left out, as OpenCV does.
        if start as f64 - from > 1e-3 {
            taps.push((start - 1, ((start as f64 - from) / covered) as f32));
        }
        taps.extend((start..end).map(|at| (at, (1.0 / covered) as f32)));
        if to - end as f64 > 1e-3 {
            taps.push((end, ((to - end as f64).min(1.0).min(covered) / covered) as f32));
        }
        taps
    };
    (0..new).map(make).collect()
}

/// The four taps of every new position along a side, by cubic interpolation (a = -0.75).
pub(super) fn cubic(old: usize, new: usize) -> Vec<[(usize, f64); 4]> {
    const A: f32 = -0.75;
    let scale = old as f64 / new as f64;
    let make = |index: usize| {
        let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
        let first = position.floor();
        let x = position - first;
        let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
        let (before, at, after) = (far(x + 1.0), near(x), near(1.0 - x));
        let weights = [before, at, after, 1.0 - before - at - after];
        std::array::from_fn(|k| {
            let place = first as isize + k as isize - 1;
            (place.clamp(0, old as isize - 1) as usize, f64::from(weights[k]))
        })
    };
    (0..new).map(make).collect()
}

/// `value` as a level, halves to even.
pub(super) fn round_level(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Frame {
        let path = format!("{}/tests/goldens/detectors/{name}.png", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).expect("the golden is there");
        crate::media::decode_frame(&path, &bytes).expect("the golden is a picture")
    }

    #[test]
    fn sizes_are_those_of_opencv_to_the_bit() {
        let photograph = golden("photograph");
        let sizes = [
            ("area", Interpolation::Area, (64, 64)),
            ("area", Interpolation::Area, (75, 55)),
            ("area", Interpolation::Area, (50, 22)),
            ("area", Interpolation::Area, (64, 128)),
            ("lanczos4", Interpolation::Lanczos4, (192, 128)),
            ("lanczos4", Interpolation::Lanczos4, (300, 110)),
            ("linear", Interpolation::Linear, (192, 128)),
            ("linear", Interpolation::Linear, (101, 77)),
        ];
        for (name, how, (width, height)) in sizes {
            let ours = resized(&photograph, width, height, how);
            let theirs = golden(&format!("photograph_{name}_{width}x{height}"));
            let far = ours.data.iter().zip(&theirs.data).map(|(a, b)| a.abs_diff(*b));
            let (most, differing) = (far.clone().max(), far.filter(|far| *far > 0).count());
            assert_eq!((most, differing), (Some(0), 0), "{name} {width} x {height}");
        }
    }

    #[test]
    fn sides_are_whole_blocks() {
        let frame = |width, height| Frame::filled(width, height, [0; 3]);
        assert_eq!(sides(&frame(640, 480), 512), (704, 512));
        // 2.5 blocks are rounded to even.
        assert_eq!(sides(&frame(160, 64), 64), (128, 64));
        assert_eq!(sides(&frame(1, 3000), 64), (64, 192_000));
    }
}
