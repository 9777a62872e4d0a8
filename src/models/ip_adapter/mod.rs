//! IP-Adapter (Ye et al. 2023, arXiv:2308.06721): from what an encoder sees in a picture to tokens
//! that the denoiser reads like text. The tokens that stand for no picture are those of an embedding
//! of zeros.

pub mod face_id;
pub mod image_proj;
pub mod resampler;
