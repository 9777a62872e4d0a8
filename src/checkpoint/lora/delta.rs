//! What a LoRA adds to a weight: the product of two narrow matrices, or of three.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::super::convert::to_float;
use super::super::entry::Entry;
use crate::error::Result;

/// `scale · up · mid · down`, read and multiplied when the weight is.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct Delta {
    /// `[out, rank]`, or the same as a 1x1 convolution.
    pub(super) up: Entry,
    /// `[rank, rank, h, w]`: the kernel, where it was factored out of `down`.
    pub(super) mid: Option<Entry>,
    /// `[rank, in]` or `[rank, in, h, w]`.
    pub(super) down: Entry,
    pub(super) scale: f32,
}

impl Delta {
    /// The rank.
    pub(super) fn rank(&self) -> usize {
        self.down.info().shape.first().copied().unwrap_or(0)
    }

    /// The shape of the change, or why there is none.
    pub(super) fn shape(&self) -> Result<Vec<usize>, String> {
        let shape = |entry: &Entry| entry.info().shape.clone();
        let (up, down, mid) = (shape(&self.up), shape(&self.down), self.mid.as_ref().map(shape));
        let (Ok([out, up_rank]), Ok([down_rank, inputs])) = (two(&up), two(&down)) else {
            return Err(format!("{up:?} up and {down:?} down, of no matrix or convolution"));
        };
        if up[2..].iter().any(|&size| size != 1) {
            return Err(format!("{up:?} up, where a 1x1 convolution was expected"));
        }
        let (kernel, inner) = match &mid {
            None => (&down[2..], [down_rank, down_rank]),
            Some(mid) => match two(mid) {
                Ok(inner) if down[2..].iter().all(|&size| size == 1) => (&mid[2..], inner),
                _ => return Err(format!("{mid:?} between {up:?} up and {down:?} down")),
            },
        };
        if up_rank != inner[0] || inner[1] != down_rank || down_rank == 0 {
            return Err(format!("rank {up_rank} up, rank {down_rank} down: {up:?} and {down:?}"));
        }
        Ok([&[out, inputs], kernel].concat())
    }

    /// `base`, in float32, with the change added.
    pub(in crate::checkpoint) fn add_to(&self, base: TensorData) -> Result<TensorData> {
        let device = Device::flex();
        let factor = |entry: &Entry, dims: [usize; 2]| -> Result<Tensor<2>> {
            let data = to_float(entry.read()?, FloatDType::F32);
            Ok(Tensor::<1>::from_data(flat(data), &device).reshape(dims))
        };
        let (up, down) = (&self.up.info().shape, &self.down.info().shape);
        let rank = self.rank();
        let inputs: usize = down[1..].iter().product();
        let mut narrow = factor(&self.down, [rank, inputs])?;
        if let Some(mid) = &self.mid {
            let shape = &mid.info().shape;
            let kernel: usize = shape[2..].iter().product();
            // [rank, rank, kernel] -> [kernel, rank, rank], so that each tap is a matrix.
            let taps = factor(mid, [shape[0] * shape[1], kernel])?.transpose();
            let taps = taps.reshape([kernel, shape[0], shape[1]]);
            let spread = taps.matmul(narrow.unsqueeze::<3>().repeat_dim(0, kernel));
            narrow = spread.permute([1, 2, 0]).reshape([shape[0], inputs * kernel]);
        }
        let wide = factor(&self.up, [up[0], up[1]])?.matmul(narrow) * self.scale;
        let shape = base.shape().clone();
        let base = Tensor::<1>::from_data(flat(base), &device);
        let sum = base + wide.flatten::<1>(0, 1);
        let (bytes, _, dtype) = sum.into_data().into_parts();
        Ok(TensorData::from_bytes(bytes, shape, dtype))
    }
}

/// The first two of two or four sizes.
fn two(shape: &[usize]) -> Result<[usize; 2], ()> {
    match shape {
        [rows, columns] | [rows, columns, _, _] => Ok([*rows, *columns]),
        _ => Err(()),
    }
}

/// The same elements in one dimension.
fn flat(data: TensorData) -> TensorData {
    let elements = data.num_elements();
    let (bytes, _, dtype) = data.into_parts();
    TensorData::from_bytes(bytes, [elements], dtype)
}
