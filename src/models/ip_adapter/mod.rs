//! IP-Adapter (Ye et al. 2023, arXiv:2308.06721): from what an encoder sees in a picture to tokens
//! that the denoiser reads like text. The tokens that stand for no picture are those of an embedding
//! of zeros.

//!
//! Files of adapters come without a configuration; sizes are read from the shapes of their tensors.

pub mod face_id;
pub mod image_proj;
pub mod resampler;
