//! Self-test for an unknown device: drivers are known that compute wrong but finite numbers.

mod bench_kernels;
mod bench_unet;
pub mod cases;
mod inspect;
mod kernels;
#[cfg(feature = "recordings")]
mod networks;
mod shapes;
mod unet_work;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::device::OpenDevice;
use crate::error::{Error, Result};
use cases::{CaseReport, Status};

pub use bench_kernels::{KernelTiming, bench_kernels};
pub use bench_unet::{UnetBench, UnetBenchOptions, bench_unet};
pub use inspect::inspect;

/// Tests `device`: every shader against its twin in plain tensor operations, the shapes of the
/// denoiser against the CPU, and (feature `recordings`) small networks against numbers of the
/// original. Tells each check as it ends.
pub async fn self_test(device: &OpenDevice, tell: &mut dyn FnMut(CaseReport)) {
    let mut checks = Checks { device: &device.device, tell };
    kernels::run(&mut checks).await;
    shapes::run(&mut checks).await;
    #[cfg(feature = "recordings")]
    networks::run(&mut checks).await;
}

/// Where checks run and whom they tell.
struct Checks<'a> {
    device: &'a Device,
    tell: &'a mut dyn FnMut(CaseReport),
}

impl Checks<'_> {
    /// The types to test in, with the factor of their tolerance: float32, and float16 where the
    /// device has it and networks would run in it.
    fn dtypes(&self) -> Vec<(DType, f64)> {
        let is_cpu = *self.device == Device::flex();
        let has_f16 = !is_cpu && self.device.supports_dtype(DType::F16);
        let f16 = has_f16.then_some((DType::F16, 100.0));
        [(DType::F32, 1.0)].into_iter().chain(f16).collect()
    }

    /// Tells how far `got` is from `want`, relative to the largest value of `want`.
    async fn compare<const D: usize>(
        &mut self,
        (kind, name): (&str, &str),
        tolerance: f64,
        got: Tensor<D>,
        want: Tensor<D>,
    ) {
        let dtype = got.dtype();
        let error = relative_error(got, want).await;
        let (status, detail) = match &error {
            Ok(error) if *error <= tolerance => (Status::Pass, String::new()),
            Ok(error) => (Status::Fail, format!("relative error {error:.1e}")),
            Err(error) => (Status::Fail, error.to_string()),
        };
        (self.tell)(CaseReport {
            case: format!("{kind}_{name}_{}", dtype.name()),
            kind: kind.to_owned(),
            status,
            error: error.ok(),
            tolerance,
            detail,
        });
    }
}

async fn relative_error<const D: usize>(got: Tensor<D>, want: Tensor<D>) -> Result<f64> {
    let (got, want) = (values(got).await?, values(want).await?);
    if got.len() != want.len() || got.iter().any(|value| !value.is_finite()) {
        return Ok(f64::INFINITY);
    }
    let largest = want.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let difference =
        got.iter().zip(&want).fold(0.0f64, |m, (a, b)| m.max(f64::from((a - b).abs())));
    Ok(difference / largest.max(f64::MIN_POSITIVE))
}

async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::Device {
        requested: "readback".to_owned(),
        reason: format!("{error:?}"),
    })?;
    Ok(data.convert::<f32>().iter::<f32>().collect())
}

/// Values between -1 and 1 that look random, the same on every run and device.
fn noise<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            // xorshift32 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}
