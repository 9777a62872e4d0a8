//! The shapes in which the denoiser computes (Stable Diffusion 1.5 at 256 x 256) against float32 on
//! the CPU. Some drivers are right for small matrices and wrong for these.

use burn::tensor::{DType, Device, Tensor};

use super::{Checks, noise};
use crate::kernels::{self, Conv2dGeometry};

/// Error of sums over up to 11,520 products in float32, in whatever order.
const TOLERANCE: f64 = 1e-4;

/// Rows, columns and inner size of the matrix products.
const PRODUCTS: [[usize; 3]; 5] =
    [[1024, 320, 320], [1024, 2560, 320], [256, 640, 2560], [64, 1280, 1280], [77, 320, 768]];
/// Frames, channels in, channels out, side and kernel of the convolutions.
const CONVOLUTIONS: [[usize; 5]; 6] = [
    [2, 4, 320, 32, 3],
    [2, 320, 320, 32, 3],
    [2, 640, 640, 16, 3],
    [2, 1280, 1280, 8, 3],
    [2, 320, 320, 32, 1],
    [2, 960, 640, 16, 1],
];
/// Query tokens, key tokens and head width of the attentions, of 8 heads each.
const ATTENTIONS: [[usize; 3]; 5] =
    [[1024, 2048, 40], [256, 512, 80], [64, 128, 160], [1024, 77, 40], [256, 154, 80]];

pub(super) async fn run(checks: &mut Checks<'_>) {
    for (dtype, factor) in checks.dtypes() {
        let tolerance = TOLERANCE * factor;
        for [rows, columns, inner] in PRODUCTS {
            let run = |device: &Device, dtype| {
                let a: Tensor<2> = noise([rows, inner], 1, device);
                let b: Tensor<2> = noise([inner, columns], 2, device);
                a.cast(dtype).matmul(b.cast(dtype))
            };
            let name = format!("matmul_{rows}x{columns}x{inner}");
            let (got, want) = (run(checks.device, dtype), on_the_cpu(run));
            checks.compare(("shape", &name), tolerance, got, want).await;
        }
        for [frames, c_in, c_out, side, kernel] in CONVOLUTIONS {
            let run = |device: &Device, dtype| {
                let x: Tensor<4> = noise([frames, c_in, side, side], 3, device);
                let weight: Tensor<4> = noise([c_out, c_in, kernel, kernel], 4, device);
                let bias: Tensor<1> = noise([c_out], 5, device);
                let geometry = Conv2dGeometry::new(1, kernel / 2);
                kernels::conv2d(x.cast(dtype), weight.cast(dtype), bias.cast(dtype), geometry)
            };
            let name = format!("conv_{kernel}x{kernel}_{c_in}_{c_out}_{side}");
            let (got, want) = (run(checks.device, dtype), on_the_cpu(run));
            checks.compare(("shape", &name), tolerance, got, want).await;
        }
        for [queries, keys, width] in ATTENTIONS {
            let run = |device: &Device, dtype| {
                let tokens = |count, seed| {
                    let tokens: Tensor<3> = noise([1, count, 8 * width], seed, device);
                    tokens.cast(dtype)
                };
                kernels::attention(tokens(queries, 6), tokens(keys, 7), tokens(keys, 8), 8)
            };
            let name = format!("attention_{queries}x{keys}x{width}");
            let (got, want) = (run(checks.device, dtype), on_the_cpu(run));
            checks.compare(("shape", &name), tolerance, got, want).await;
        }
    }
}

/// The same in float32 on the CPU.
fn on_the_cpu<const D: usize>(run: impl Fn(&Device, DType) -> Tensor<D>) -> Tensor<D> {
    run(&Device::flex(), DType::F32)
}
