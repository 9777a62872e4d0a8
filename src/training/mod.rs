//! Training data and vocabularies.

pub mod emoji;
mod files;
pub mod vocabulary;
