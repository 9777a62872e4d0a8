//! Fused loops for the CPU device. They serve f32; every other type takes the twin in plain tensor
//! operations.
//!
//! burn-flex's own convolution repacks the weights at every call and builds im2col matrices; norms
//! and softmax in single tensor operations pass over memory a dozen times; and a matrix product
//! between pixels and tokens needs transposed copies.

mod attention;
mod dispatch;
mod gemm;
#[cfg(feature = "train")]
mod gradients;
mod math;
mod norm;
mod operands;
mod ops;
mod patches;
mod project;
mod shared;
mod strided;
mod temporal_attention;
mod tile;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Tensor};

pub(super) use ops::CpuOps;

/// Whether the operations here serve tensors like `x`.
pub(super) fn serves<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_cpu(x.device().as_dispatch())
}

/// Whether `device` is the CPU, with or without a record of gradients.
fn is_cpu(device: &DispatchDevice) -> bool {
    match device {
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "train")]
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        _ => false,
    }
}
