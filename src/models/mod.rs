//! The networks: configuration, module and `forward`, nothing of files.

pub mod clip;
pub mod unet_3d;
pub mod vae;

mod check;
