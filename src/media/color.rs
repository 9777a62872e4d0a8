//! Colour correction.

use super::{Frame, Video};

/// Gives each channel of `frame` the distribution of values it has in `reference`: the mapping of
/// scikit-image's `match_histograms` on 8-bit pictures, channel by channel.
pub fn match_histogram(frame: &Frame, reference: &Frame) -> Frame {
    let tables: [[u8; 256]; 3] =
        std::array::from_fn(|channel| table(&counts(frame, channel), &counts(reference, channel)));
    let data = frame.data.iter().enumerate().map(|(i, v)| tables[i % 3][usize::from(*v)]).collect();
    Frame { width: frame.width, height: frame.height, data }
}

/// Matches the colours of every later frame to those of the first.
pub fn match_video_to_first_frame(video: &mut Video) {
    if let Some((first, rest)) = video.frames.split_first_mut() {
        for frame in rest {
            *frame = match_histogram(frame, first);
        }
    }
}

fn counts(frame: &Frame, channel: usize) -> [u64; 256] {
    let mut counts = [0; 256];
    for value in frame.data.iter().skip(channel).step_by(3) {
        counts[usize::from(*value)] += 1;
    }
    counts
}

/// What each value of the source becomes: the value at the same quantile of the reference,
/// linearly interpolated between values that occur there and truncated.
fn table(source: &[u64; 256], reference: &[u64; 256]) -> [u8; 256] {
    let total: u64 = reference.iter().sum();
    let mut passed = 0;
    let mut quantiles: Vec<(f64, f64)> = Vec::new();
    for (value, count) in reference.iter().enumerate().filter(|(_, count)| **count > 0) {
        passed += count;
        quantiles.push((passed as f64 / total as f64, value as f64));
    }
    let total: u64 = source.iter().sum();
    let mut passed = 0;
    std::array::from_fn(|value| {
        passed += source[value];
        interpolate(&quantiles, passed as f64 / total as f64) as u8
    })
}

/// The piecewise linear function through `points` (sorted by their first number) at `x`, constant
/// outside; the order of operations is NumPy's `interp`, since the result is truncated.
fn interpolate(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|point| point.0 <= x);
    match (after.checked_sub(1).map(|at| points[at]), points.get(after)) {
        (None, None) => 0.0,
        (None, Some(first)) => first.1,
        (Some(last), None) => last.1,
        (Some((x0, y0)), Some((x1, y1))) => (y1 - y0) / (x1 - x0) * (x - x0) + y0,
    }
}
