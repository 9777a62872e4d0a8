//! `musev bench`: how fast this machine is.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use musev::{DeviceChoice, KernelTiming, OpenDevice, Precision, UnetBench, UnetBenchOptions};
use serde::Serialize;

use crate::report;

/// Options of `musev bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time every operation of ours against its twin in plain tensor operations and burn's own.
    Kernels(KernelsArgs),
    /// Time the denoiser at production size against the device's own matrix product.
    Unet(UnetArgs),
}

#[derive(Args, Debug)]
struct DeviceArgs {
    /// Measure this device: auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Measure in this precision: auto, f32 or f16.
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    dtype: Precision,
}

#[derive(Args, Debug)]
struct KernelsArgs {
    /// Measure only these operations; without a name, all.
    #[arg(value_name = "OPERATION")]
    operations: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Args, Debug)]
struct UnetArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Denoise latents of this many frames.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=128))]
    frames: u32,
    /// Denoise latents of this side; a picture has eight times as many pixels a side.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(8..=256))]
    side: u32,
    /// Measure this many forward passes, after one that warms up.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
}

/// A measurement with the device it belongs to.
#[derive(Serialize)]
struct Measured<'a, T> {
    device: &'a str,
    #[serde(flatten)]
    numbers: &'a T,
}

/// Measures, and tells the numbers with the device they belong to.
pub(crate) fn run(args: &BenchArgs, json: bool) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Kernels(options) => kernels(options, json)?,
        What::Unet(options) => unet(options, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(args: &DeviceArgs) -> musev::Result<OpenDevice> {
    let device = pollster::block_on(OpenDevice::start(&args.device, args.dtype))?;
    report::say(format_args!("measuring {}", device.description));
    Ok(device)
}

fn kernels(args: &KernelsArgs, json: bool) -> anyhow::Result<()> {
    let device = start(&args.device)?;
    let mut told = Ok(());
    let tell = &mut |timing: &KernelTiming| {
        if told.is_ok() {
            told = tell_kernel(timing, &device.description, json);
        }
    };
    let wanted = args.operations.as_slice();
    pollster::block_on(musev::bench_kernels(&device.device, device.dtype.into(), wanted, tell))?;
    told
}

fn tell_kernel(timing: &KernelTiming, device: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return report::json_line(&Measured { device, numbers: timing });
    }
    let rate = timing.gflop.map(|gflop| format!("{:.0} GFLOP/s", 1e3 * gflop / timing.musev_ms));
    let twin = match timing.twin_ms {
        Some(twin) => format!("{:5.1} times its twin ({twin:.2} ms)", twin / timing.musev_ms),
        None => "its twin fails on this device".to_owned(),
    };
    let other = timing.burn_ms.map(|burn| format!(", burn's own {burn:.2} ms"));
    writeln!(
        io::stdout().lock(),
        "{:18} {:32} {:9.2} ms  {:13} {twin}{}",
        timing.operation,
        timing.shape,
        timing.musev_ms,
        rate.unwrap_or_default(),
        other.unwrap_or_default(),
    )?;
    Ok(())
}

fn unet(args: &UnetArgs, json: bool) -> anyhow::Result<()> {
    let device = start(&args.device)?;
    let side = args.side as usize;
    let options = UnetBenchOptions {
        latents: [1, 4, args.frames as usize, side, side],
        dtype: device.dtype.into(),
        runs: args.runs as usize,
        ..UnetBenchOptions::default()
    };
    let bench = musev::bench_unet(&device.device, &options)?;
    if json {
        return report::json_line(&Measured { device: &device.description, numbers: &bench });
    }
    let UnetBench { seconds, gflop, gflops, matmul_gflops, ratio, .. } = bench;
    let mut out = io::stdout().lock();
    writeln!(out, "latents {:?}: {seconds:.2} s a pass, {gflop:.0} GFLOP", bench.latents)?;
    writeln!(out, "{gflops:.1} GFLOP/s, {ratio:.2} of a 1024-cube product's {matmul_gflops:.1}")?;
    if let Some(bytes) = bench.peak_bytes {
        writeln!(out, "largest memory {:.2} GB", bytes as f64 / 1e9)?;
    }
    Ok(())
}
