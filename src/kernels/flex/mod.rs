//! Fused loops for the CPU device. They serve f32; every other type takes the twin in plain tensor
//! operations.
//!
//! burn-flex's own operations cost two to twenty times more: its convolution repacks the weights
//! at every call and builds im2col matrices, its matrix product reaches half of this one's speed
//! on AVX-512, and norms or softmax in single tensor operations pass over memory a dozen times.

mod attention;
mod dispatch;
mod gemm;
mod math;
mod norm;
mod operands;
mod ops;
mod patches;
mod project;
mod shared;
mod temporal_attention;
mod tile;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Tensor};

pub(super) use ops::CpuOps;

/// Whether the operations here serve tensors like `x`.
pub(super) fn serves<const D: usize>(x: &Tensor<D>) -> bool {
    matches!(x.device().as_dispatch(), DispatchDevice::Flex(_)) && x.dtype() == DType::F32
}
