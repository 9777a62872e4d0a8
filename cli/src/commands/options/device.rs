//! What computes.

use clap::Args;
use musev::{DeviceChoice, Precision};

/// What computes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceOptions {
    /// Compute on this device: auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER; auto
    /// is the best GPU, otherwise the CPU (see musev devices).
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Compute in this precision: auto, f32 or f16.
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub(crate) dtype: Precision,
}
