//! CLIP (Radford et al. 2021, arXiv:2103.00020).

mod encoder;
pub mod text;
pub mod vision;
pub mod weighting;

pub use encoder::HiddenAct;
