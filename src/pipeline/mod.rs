//! pipeline

pub mod guidance;
pub mod noise;
pub mod window;
