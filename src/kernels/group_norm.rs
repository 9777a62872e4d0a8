//! GroupNorm, optionally followed by SiLU, over one image or over all frames of a clip.

use burn::backend::wgpu::CubeTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::bridge::{Launch, ShaderOps, contiguous, fold, shader_serves, uninitialised_like};
use super::flex::{self, CpuOps};
use super::source::Shader;

/// What a [`group_norm`] call does besides its affine parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormOptions {
    /// Number of channel groups.
    pub num_groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Consecutive batch entries that share their statistics: 1 for images, `t` for clips.
    pub frames: usize,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// GroupNorm (Wu & He 2018, arXiv:1803.08494) with statistics over `frames` batch entries, the
/// channels of a group and all positions.
///
/// # Shapes
/// - `x`, output: `[b·frames, c, ..]`
/// - `weight`, `bias`: `[c]`
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    options: GroupNormOptions,
) -> Tensor<D> {
    if shader_serves(&x) {
        return Tensor::from_dispatch(<Dispatch as ShaderOps>::group_norm(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            options,
        ));
    }
    if flex::serves(&x) {
        return Tensor::from_dispatch(<Dispatch as CpuOps>::group_norm(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            options,
        ));
    }
    reference(x, weight, bias, options)
}

const WORKGROUP: usize = 256;
/// Least number of elements worth a workgroup of their own in the statistics.
const SLICE: usize = 8192;
/// Most partial statistics of a group: every workgroup of the second pass merges them all.
const MAX_SLICES: usize = 16;
/// Elements that one workgroup of the second pass writes.
const CHUNK: usize = 8192;

pub(super) fn launch(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    options: GroupNormOptions,
) -> CubeTensor {
    let GroupNormOptions { num_groups, eps, frames, silu } = options;
    let [x, weight, bias] = contiguous([x, weight, bias]);
    let shape = x.shape();
    let (n, c) = (shape[0], shape[1]);
    let positions = shape.num_elements() / (n * c);
    let run = c / num_groups * positions;
    let slices = (run * frames / SLICE).clamp(1, MAX_SLICES);
    let constants = [("WORKGROUP", WORKGROUP)];
    let sizes = |rows: usize| [frames, num_groups, run, slices, rows].map(|size| size as u32);

    let rows = n / frames * num_groups;
    let partials = x.client.empty(rows * slices * 2 * size_of::<f32>());
    let [y, z] = fold(rows);
    Launch {
        shader: Shader::new("group_norm_statistics", x.dtype, &constants),
        buffers: vec![x.handle.clone(), partials.clone()],
        sizes: &sizes(rows),
        grid: [slices as u32, y, z],
    }
    .run(&x);

    let out = uninitialised_like(&x);
    let rows = n * num_groups;
    let [y, z] = fold(rows);
    let [xh, wh, bh, oh] = [&x, &weight, &bias, &out].map(|t| t.handle.clone());
    let mut words = sizes(rows).to_vec();
    words.extend([CHUNK as u32, positions as u32, u32::from(silu), (eps as f32).to_bits()]);
    Launch {
        shader: Shader::new("group_norm_silu", x.dtype, &constants),
        buffers: vec![xh, wh, bh, partials, oh],
        sizes: &words,
        grid: [run.div_ceil(CHUNK) as u32, y, z],
    }
    .run(&x);
    out
}

/// The twin in plain tensor operations.
pub fn reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    options: GroupNormOptions,
) -> Tensor<D> {
    let shape = x.shape();
    let GroupNormOptions { num_groups, eps, frames, silu: activate } = options;
    let (n, c) = (shape[0], shape[1]);
    let positions = shape.num_elements() / (n * c);
    let b = n / frames;
    // [b, groups, t · (c/groups · positions)]
    let grouped = x
        .reshape([b, frames, num_groups, c / num_groups * positions])
        .swap_dims(1, 2)
        .reshape([b, num_groups, frames * (c / num_groups) * positions]);
    let (var, mean) = grouped.clone().var_mean_bias(2);
    let normed = ((grouped - mean) / (var + eps).sqrt())
        .reshape([b, num_groups, frames, c / num_groups * positions])
        .swap_dims(1, 2)
        .reshape([n, c, positions]);
    let out = normed * weight.reshape([1, c, 1]) + bias.reshape([1, c, 1]);
    let out = if activate { silu(out) } else { out };
    out.reshape(shape)
}
