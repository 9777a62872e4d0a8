//! What is found in pictures.

#[cfg(feature = "face")]
pub mod face;
