//! How fast the denoiser runs at production size, against the device's own matrix product.

use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

use super::unet_work::multiplications;
use crate::error::{Error, Result};
use crate::models::unet_3d::{
    UNet3DConditionModel, UNet3DConditionModelConfig, UNet3DConditions, UNet3DInput,
};

/// Side of the square matrices that measure the device.
const MATRIX: usize = 1024;
/// Products per measurement.
const PRODUCTS: usize = 4;
/// Text tokens of a prompt.
const TEXT_TOKENS: usize = 77;

/// What [`bench_unet`] runs.
#[derive(Clone, Debug)]
pub struct UnetBenchOptions {
    /// Sizes of the denoiser.
    pub config: UNet3DConditionModelConfig,
    /// Latents `[b, c, t, h, w]`.
    pub latents: [usize; 5],
    /// Which frames are condition frames.
    pub vision_condition_index: Vec<usize>,
    /// Element type of weights and latents.
    pub dtype: DType,
    /// Measured forward passes, after one that is not.
    pub runs: usize,
}

impl Default for UnetBenchOptions {
    fn default() -> Self {
        Self {
            config: UNet3DConditionModelConfig::default(),
            latents: [1, 4, 5, 32, 32],
            vision_condition_index: Vec::new(),
            dtype: DType::F32,
            runs: 3,
        }
    }
}

/// What [`bench_unet`] measured.
#[derive(Clone, Debug, Serialize)]
pub struct UnetBench {
    /// Latents `[b, c, t, h, w]`.
    pub latents: [usize; 5],
    /// Elements of all weights.
    pub parameters: usize,
    /// Shortest forward pass.
    pub seconds: f64,
    /// Every measured forward pass.
    pub all_seconds: Vec<f64>,
    /// Work of a forward pass: multiplications and additions of convolutions, linear layers and
    /// attention, in 10⁹.
    pub gflop: f64,
    /// Rate of the shortest forward pass.
    pub gflops: f64,
    /// Best rate of burn's product of two 1024×1024 matrices, measured between the passes.
    pub matmul_gflops: f64,
    /// `gflops / matmul_gflops`.
    pub ratio: f64,
    /// Largest resident memory of the process so far, where the system tells.
    pub peak_bytes: Option<u64>,
}

/// Runs a denoiser with made-up weights on `device`.
///
/// # Errors
/// When the device fails.
pub fn bench_unet(device: &Device, options: &UnetBenchOptions) -> Result<UnetBench> {
    let UnetBenchOptions { config, latents, vision_condition_index, dtype, runs } = options;
    let mut filler = Filler { device, dtype: *dtype, count: 0 };
    let unet = config.init(device).map(&mut filler);
    let sample = made_up(*latents, 1.0, 1, (device, *dtype));
    let text = [latents[0], TEXT_TOKENS, config.cross_attention_dim];
    let encoder_hidden_states = made_up(text, 1.0, 2, (device, *dtype));
    let input = UNet3DInput {
        sample,
        timesteps: vec![500.0],
        encoder_hidden_states,
        vision_condition_index: vision_condition_index.clone(),
        skip_temporal_layers: false,
        unseen_condition: false,
        conditions: UNet3DConditions::default(),
    };
    let mut matmul_seconds = f64::INFINITY;
    let mut all_seconds = Vec::with_capacity(*runs);
    forward(&unet, &input, device)?;
    for _ in 0..(*runs).max(1) {
        matmul_seconds = matmul_seconds.min(product(device, *dtype)?);
        all_seconds.push(forward(&unet, &input, device)?);
        matmul_seconds = matmul_seconds.min(product(device, *dtype)?);
    }
    let seconds = all_seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let work = multiplications(config, *latents, TEXT_TOKENS, vision_condition_index.len());
    let gflop = 2e-9 * work;
    let matmul_gflops = 2e-9 * (MATRIX as f64).powi(3) / matmul_seconds;
    let gflops = gflop / seconds;
    Ok(UnetBench {
        latents: *latents,
        parameters: filler.count,
        seconds,
        all_seconds,
        gflop,
        gflops,
        matmul_gflops,
        ratio: gflops / matmul_gflops,
        peak_bytes: peak_memory(),
    })
}

/// Seconds of a forward pass.
fn forward(unet: &UNet3DConditionModel, input: &UNet3DInput, device: &Device) -> Result<f64> {
    let start = Instant::now();
    let output = unet.forward(input.clone());
    finish(device)?;
    drop(output);
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds of a product of two square matrices, the shortest of a few.
fn product(device: &Device, dtype: DType) -> Result<f64> {
    let [a, b] = [3, 4].map(|seed| made_up([MATRIX, MATRIX], 1.0, seed, (device, dtype)));
    let mut best = f64::INFINITY;
    // The first one may tune or compile.
    for _ in 0..=PRODUCTS {
        let start = Instant::now();
        let c = a.clone().matmul(b.clone());
        finish(device)?;
        drop(c);
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn finish(device: &Device) -> Result<()> {
    device.sync().map_err(|error| Error::Device {
        requested: format!("{device:?}"),
        reason: error.to_string(),
    })
}

/// Replaces weights by made-up ones that keep activations of a moderate size.
struct Filler<'a> {
    device: &'a Device,
    dtype: DType,
    count: usize,
}

impl ModuleMapper for Filler<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape: [usize; D] = param.lazy_shape().dims();
        let fan_in: usize = match D {
            1 => 1,
            2 => shape[0],
            _ => shape[1..].iter().product(),
        };
        let tensor =
            made_up(shape, (fan_in as f32).powf(-0.5), self.count, (self.device, self.dtype));
        self.count += shape.iter().product::<usize>();
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// Values of about the size `scale`, the same for each `seed`.
fn made_up<const D: usize>(
    shape: [usize; D],
    scale: f32,
    seed: usize,
    options: (&Device, DType),
) -> Tensor<D> {
    let mut values = vec![0.0f32; shape.iter().product()];
    values.par_chunks_mut(1 << 16).enumerate().for_each(|(chunk, values)| {
        let mut state = (seed as u64 + 1) << 32 | chunk as u64;
        for value in values {
            // Knuth's linear congruential generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1 << 24) as f32;
            *value = (uniform - 0.5) * 3.0 * scale;
        }
    });
    Tensor::from_data(TensorData::new(values, shape), options)
}

/// Largest resident memory of this process so far.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
