//! GroupNorm, optionally followed by SiLU, over one image or over all frames of a clip.

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::flex::{self, CpuOps};

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
    if !flex::serves(&x) {
        return reference(x, weight, bias, options);
    }
    Tensor::from_dispatch(<Dispatch as CpuOps>::group_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    ))
}

pub(crate) fn reference<const D: usize>(
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
