//! Adds the prediction of one window of frames into the running sum.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::bridge::{Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised_like};
use super::source::Shader;

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
    if shader_serves(&sum) {
        let (sum, counter) = <Dispatch as ShaderOps>::window_scatter(
            sum.into_dispatch(),
            counter.into_dispatch(),
            prediction.into_dispatch(),
            window.to_vec(),
        );
        return (Tensor::from_dispatch(sum), Tensor::from_dispatch(counter));
    }
    reference(sum, counter, prediction, window)
}

pub(super) fn launch(
    sum: CubeTensor,
    counter: CubeTensor,
    prediction: CubeTensor,
    window: Vec<usize>,
) -> (CubeTensor, CubeTensor) {
    const WORKGROUP: usize = 256;
    const NONE: u32 = u32::MAX;
    let [sum, counter, prediction] = contiguous([sum, counter, prediction]);
    let [_, _, t, h, w] = sum.shape().dims();
    let mut slots = vec![NONE; t];
    for (slot, &frame) in window.iter().enumerate() {
        slots[frame] = slot as u32;
    }
    let slots = sum.client.create_from_slice(bytemuck::cast_slice(&slots));
    let (sum_out, counter_out) = (uninitialised_like(&sum), uninitialised_like(&counter));
    let elements = sum.shape().num_elements();
    let [x, y] = fold(elements.div_ceil(WORKGROUP));
    let [s, c, p, so, co] =
        [&sum, &counter, &prediction, &sum_out, &counter_out].map(|t| t.handle.clone());
    Launch {
        shader: Shader::new("window_scatter", sum.dtype, &[("WORKGROUP", WORKGROUP)]),
        buffers: vec![s, c, p, slots, so, co],
        sizes: &[elements, t, window.len(), h * w].map(|size| size as u32),
        grid: [x, y, 1],
    }
    .run(&sum);
    (sum_out, counter_out)
}

/// The twin in plain tensor operations.
pub fn reference(
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
        sum.select_assign(2, indices.clone(), prediction, IndexingUpdateOp::Add),
        counter.select_assign(0, indices, ones, IndexingUpdateOp::Add),
    )
}
