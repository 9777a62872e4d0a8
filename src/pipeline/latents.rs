//! Latents of a shot: how they begin, and how condition frames stand among generated ones.

use burn::tensor::Tensor;

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
