//! Latents of a shot: how condition frames stand among generated ones, and what all frames share.

use burn::tensor::{Int, Tensor};

/// Puts condition frames at `positions` and generated frames everywhere else, both in order.
///
/// # Shapes
/// - `condition`: `[b, c, k, h, w]`, `generated`: `[b, c, t, h, w]`, `positions`: k, ascending
/// - output: `[b, c, k + t, h, w]`
pub(crate) fn insert_condition(
    condition: Tensor<5>,
    generated: Tensor<5>,
    positions: &[usize],
) -> Tensor<5> {
    let total = positions.len() + generated.dims()[2];
    let mut pieces = Vec::new();
    let (mut from_condition, mut from_generated) = (0, 0);
    for run in runs(positions, total) {
        let (source, start) = if run.condition {
            (&condition, &mut from_condition)
        } else {
            (&generated, &mut from_generated)
        };
        pieces.push(source.clone().narrow(2, *start, run.len));
        *start += run.len;
    }
    Tensor::cat(pieces, 2)
}

/// Takes the frames at `positions` out again.
///
/// # Shapes
/// - `all`: `[b, c, k + t, h, w]`; output: `[b, c, t, h, w]`
pub(crate) fn remove_condition(all: Tensor<5>, positions: &[usize]) -> Tensor<5> {
    if positions.is_empty() {
        return all;
    }
    let total = all.dims()[2];
    let mut start = 0;
    let mut pieces = Vec::new();
    for run in runs(positions, total) {
        if !run.condition {
            pieces.push(all.clone().narrow(2, start, run.len));
        }
        start += run.len;
    }
    Tensor::cat(pieces, 2)
}

/// The frames with these numbers, in their order.
///
/// # Shapes
/// - `x`: `[b, c, t, h, w]`, output: `[b, c, count of frames, h, w]`
pub(crate) fn select_frames(x: Tensor<5>, frames: &[usize]) -> Tensor<5> {
    let indices: Vec<i32> = frames.iter().map(|&frame| frame as i32).collect();
    let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &x.device());
    x.select(2, indices)
}

/// The mean of all frames.
///
/// It is a sum of frames: `mean_dim(2)` in its place comes out wrong on graphics adapters (burn 0.22.1
/// with fusion).
///
/// # Shapes
/// - `x`: `[b, c, t, h, w]`, output: `[b, c, 1, h, w]`
pub(crate) fn mean_frame(x: Tensor<5>) -> Tensor<5> {
    let frames = x.dims()[2];
    let frame = |index| x.clone().narrow(2, index, 1);
    (1..frames).fold(frame(0), |sum, index| sum + frame(index)) / frames as f64
}

/// Consecutive frames of one origin.
struct Run {
    condition: bool,
    len: usize,
}

fn runs(positions: &[usize], total: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for frame in 0..total {
        let condition = positions.contains(&frame);
        match runs.last_mut() {
            Some(last) if last.condition == condition => last.len += 1,
            _ => runs.push(Run { condition, len: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::mean_frame;

    fn clip(frames: &[f32]) -> Tensor<5> {
        Tensor::<1>::from_floats(frames, &Device::flex()).reshape([1, 1, frames.len(), 1, 1])
    }

    fn values(x: Tensor<5>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn the_mean_frame_is_of_all() {
        assert_eq!(values(mean_frame(clip(&[3.0, 6.0, 0.0, 12.0]))), [5.25]);
    }
}
