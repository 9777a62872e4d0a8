//! Self-test for an unknown device.

mod bench_kernels;
mod bench_unet;
pub mod cases;
mod inspect;
mod unet_work;

pub use bench_kernels::{KernelTiming, bench_kernels};
pub use bench_unet::{UnetBench, UnetBenchOptions, bench_unet};
pub use inspect::inspect;
