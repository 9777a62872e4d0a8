//! Self-test for an unknown device.

mod bench_unet;
mod bench_kernels;
pub mod cases;
mod inspect;
mod unet_work;

pub use bench_unet::{UnetBench, UnetBenchOptions, bench_unet};
pub use bench_kernels::{KernelTiming, bench_kernels};
pub use inspect::inspect;
