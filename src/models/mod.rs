//! The networks: configuration, module and `forward`, nothing of files.

pub mod clip;
pub mod controlnet;
pub mod ip_adapter;
pub mod pose_guider;
pub mod referencenet;
pub mod unet_2d;
pub mod unet_3d;
pub mod vae;

mod check;
mod shapes;

pub use shapes::ShapeOf;
