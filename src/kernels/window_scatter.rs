//! Adds the prediction of one window of frames into the running sum.

use burn::tensor::{Int, Tensor};

/// `sum[:, :, window[i]] += prediction[:, :, i]` and `counter[window[i]] += 1`.
///
/// The frames of `window` are distinct.
///
/// # Shapes
/// - `sum`, output: `[b, c, t, h, w]`; `counter`, output: `[t]`
/// - `prediction`: `[b, c, window.len(), h, w]`
pub fn window_scatter(
    sum: Tensor<5>,
    counter: Tensor<1>,
    prediction: Tensor<5>,
    window: &[usize],
) -> (Tensor<5>, Tensor<1>) {
    reference(sum, counter, prediction, window)
}

pub(crate) fn reference(
    sum: Tensor<5>,
    counter: Tensor<1>,
    prediction: Tensor<5>,
    window: &[usize],
) -> (Tensor<5>, Tensor<1>) {
    let device = sum.device();
    let indices: Vec<i32> = window.iter().map(|&frame| frame as i32).collect();
    let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &device);
    let ones = Tensor::<1>::ones([window.len()], (&device, counter.dtype()));
    (
        sum.select_assign(2, indices.clone(), prediction, burn::tensor::IndexingUpdateOp::Add),
        counter.select_assign(0, indices, ones, burn::tensor::IndexingUpdateOp::Add),
    )
}
