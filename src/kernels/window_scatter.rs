//! Adds the prediction of one window of frames into the running sum.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::bridge::{Launch, ShaderOps, contiguous, fold, shader_serves};
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
    let [sum, counter, prediction] = contiguous([sum, counter, prediction]);
    let own = |tensor: CubeTensor| if tensor.can_mut() { tensor } else { tensor.copy() };
    let (sum, counter) = (own(sum), own(counter));
    let [b, c, t, h, w] = sum.shape().dims();
    let places: Vec<u32> = window.iter().map(|&frame| frame as u32).collect();
    let places = sum.client.create_from_slice(bytemuck::cast_slice(&places));
    let lines = b * c * window.len();
    let [y, z] = fold(lines);
    let [s, n, p] = [&sum, &counter, &prediction].map(|tensor| tensor.handle.clone());
    Launch {
        shader: Shader::new("window_scatter", sum.dtype, &[("WORKGROUP", WORKGROUP)]),
        buffers: vec![s, n, p, places],
        sizes: &[lines, t, window.len(), h * w].map(|size| size as u32),
        grid: [(h * w).div_ceil(WORKGROUP) as u32, y, z],
    }
    .run(&sum);
    (sum, counter)
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
