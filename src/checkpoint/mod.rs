//! Weights on disk: named, lazy tensors of one or more files.

use std::path::Path;

use burn::tensor::TensorData;

use crate::error::Result;

/// Named, lazy tensors of one or more files.
#[derive(Clone, Debug)]
pub struct Weights {}
