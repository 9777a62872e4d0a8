//! Operations that burn does not have, or has too slowly: each a WGSL shader in `shaders/`, a fused
//! loop for the CPU where that pays, and a twin in plain tensor operations for every other device.
//!
//! Activations are `[b·t, c, h, w]`: the frames `t` of a clip are folded into the batch, `t`
//! fastest. Operations that run over time take the number of frames.

mod attention;
mod bridge;
mod conv2d;
mod flex;
mod geglu;
mod gemm;
mod group_norm;
mod guided_step;
mod layer_norm;
mod project;
mod source;
mod temporal_attention;
mod temporal_conv;
mod window_scatter;
mod winograd;

pub use attention::{attention, streaming_attention};
pub use bridge::runs_shaders;
pub use conv2d::{Conv2dGeometry, conv2d};
pub use geglu::geglu;
pub use group_norm::{GroupNormOptions, group_norm};
pub use guided_step::{GuidedStep, guided_step};
pub use layer_norm::layer_norm;
pub use project::{Projection, Side, project, tiled_project};
pub use source::{InputAccess, shader_variants};
pub use temporal_attention::temporal_attention;
pub use temporal_conv::temporal_conv;
pub use window_scatter::window_scatter;

/// The twins of the shaders in plain tensor operations: what every other device runs, and what the
/// shaders are compared with.
pub mod reference {
    pub use super::attention::reference as attention;
    pub use super::conv2d::reference as conv2d;
    pub use super::geglu::reference as geglu;
    pub use super::group_norm::reference as group_norm;
    pub use super::guided_step::reference as guided_step;
    pub use super::layer_norm::reference as layer_norm;
    pub use super::project::reference as project;
    pub use super::temporal_attention::reference as temporal_attention;
    pub use super::temporal_conv::reference as temporal_conv;
    pub use super::window_scatter::reference as window_scatter;
}
