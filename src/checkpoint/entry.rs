//! One tensor of a file: where it lies, and how it is read.

use std::sync::Arc;

use burn::tensor::{Bytes, DType, Element, FloatDType, TensorData, bf16, f16};
use bytemuck::Pod;

use super::convert::to_float;
use super::lora::Delta;
use super::source::Source;
use crate::error::Result;

/// Shape and element type of a stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: DType,
}

impl TensorInfo {
    /// Number of elements, `None` past `usize`.
    pub(super) fn checked_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A tensor in a file: which bytes, and in which order.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    source: Arc<Source>,
    info: TensorInfo,
    /// Where the first element begins in the file.
    start: u64,
    /// Elements from the first to the last one stored, inclusive.
    span: usize,
    /// Steps in elements per dimension; `None` when the elements lie in order.
    strides: Option<Vec<usize>>,
    /// Element type in the file.
    stored: DType,
    /// What is added to it, in float32.
    deltas: Vec<Arc<Delta>>,
    /// The matrices that make this one, one below the other; none where it lies in a file itself.
    parts: Arc<[Entry]>,
}

impl Entry {
    /// A tensor inside the bytes `start..end` of `source`; `strides` are in elements.
    ///
    /// Whatever the file claims, a tensor larger than its file is refused here, so that reading
    /// never allocates more than the file's size.
    pub(super) fn new(
        source: &Arc<Source>,
        info: TensorInfo,
        (start, end): (u64, u64),
        strides: Option<Vec<usize>>,
    ) -> Result<Self, String> {
        let size = info.dtype.size();
        let too_large = || format!("shape {:?} is larger than the file", info.shape);
        let elements = info.checked_elements().ok_or_else(too_large)?;
        if elements.checked_mul(size).is_none_or(|bytes| bytes as u64 > source.len()) {
            return Err(too_large());
        }
        let strides = strides.filter(|strides| !is_contiguous(&info.shape, strides));
        let span = match &strides {
            _ if elements == 0 => Some(0),
            None => Some(elements),
            Some(strides) => {
                info.shape.iter().zip(strides).try_fold(1usize, |span, (&len, &step)| {
                    span.checked_add((len - 1).checked_mul(step)?)
                })
            }
        };
        let bytes = span.and_then(|span| (span as u64).checked_mul(size as u64));
        let last = bytes.and_then(|bytes| start.checked_add(bytes));
        match (span, last) {
            (Some(span), Some(last)) if last <= end && end <= source.len() => {
                let (source, stored) = (source.clone(), info.dtype);
                let (deltas, parts) = (Vec::new(), Arc::default());
                Ok(Self { source, info, start, span, strides, stored, deltas, parts })
            }
            _ => Err(format!(
                "shape {:?} reaches beyond its {} stored bytes",
                info.shape,
                end.saturating_sub(start)
            )),
        }
    }

    /// The same with `delta` added: read as float32 from now on.
    pub(super) fn with_delta(&self, delta: Arc<Delta>) -> Self {
        let mut entry = self.clone();
        entry.info.dtype = DType::F32;
        entry.deltas.push(delta);
        entry
    }

    /// This matrix with those of `rows`, as wide, below it: read as float32 from now on.
    pub(super) fn with_rows(&self, rows: impl Iterator<Item = Entry>) -> Self {
        let parts: Arc<[Entry]> = std::iter::once(self.clone()).chain(rows).collect();
        let mut entry = self.clone();
        entry.info.shape[0] = parts.iter().map(|part| part.info.shape[0]).sum();
        entry.info.dtype = DType::F32;
        entry.deltas.clear();
        entry.parts = parts;
        entry
    }

    /// A vector as a matrix of one row.
    pub(super) fn as_row(&self) -> Self {
        let mut entry = self.clone();
        entry.info.shape.insert(0, 1);
        if let Some(strides) = &mut entry.strides {
            strides.insert(0, 0);
        }
        entry
    }

    /// The same elements without trailing dimensions of one past the second.
    pub(super) fn trimmed(&self) -> Self {
        let shape = &self.info.shape;
        let kept = shape.iter().rposition(|&size| size != 1).map_or(2, |last| (last + 1).max(2));
        self.with_rank(kept.min(shape.len()))
    }

    /// The same elements with trailing dimensions of one, `rank` dimensions in all.
    pub(super) fn padded(&self, rank: usize) -> Self {
        self.with_rank(rank.max(self.info.shape.len()))
    }

    /// Cuts or adds trailing dimensions of one.
    fn with_rank(&self, rank: usize) -> Self {
        let mut entry = self.clone();
        entry.info.shape.resize(rank, 1);
        if let Some(strides) = &mut entry.strides {
            strides.resize(rank, 1);
        }
        entry
    }

    /// Shape and element type.
    pub(super) fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// Reads the tensor, and nothing else, into memory.
    pub(super) fn read(&self) -> Result<TensorData> {
        let stored = if self.parts.is_empty() { self.read_stored() } else { self.read_parts() }?;
        if self.deltas.is_empty() {
            return Ok(stored);
        }
        let wide = to_float(stored, FloatDType::F32);
        self.deltas.iter().try_fold(wide, |sum, delta| delta.add_to(sum))
    }

    /// The matrices of `parts` as one.
    fn read_parts(&self) -> Result<TensorData> {
        let mut values: Vec<f32> = Vec::with_capacity(self.info.elements());
        for part in self.parts.iter() {
            values.extend(to_float(part.read()?, FloatDType::F32).iter::<f32>());
        }
        Ok(TensorData::new(values, self.info.shape.clone()))
    }

    /// The tensor as the file has it.
    fn read_stored(&self) -> Result<TensorData> {
        match self.stored {
            DType::F64 => self.read_as::<f64>(),
            DType::F32 => self.read_as::<f32>(),
            DType::F16 => self.read_as::<f16>(),
            DType::BF16 => self.read_as::<bf16>(),
            DType::I64 => self.read_as::<i64>(),
            DType::I32 => self.read_as::<i32>(),
            DType::I16 => self.read_as::<i16>(),
            DType::I8 => self.read_as::<i8>(),
            DType::U64 => self.read_as::<u64>(),
            DType::U32 => self.read_as::<u32>(),
            DType::U16 => self.read_as::<u16>(),
            _ => {
                let bytes = self.gathered::<u8>()?;
                let bytes = Bytes::from_bytes_vec(bytes);
                Ok(TensorData::from_bytes(bytes, self.info.shape.clone(), self.stored))
            }
        }
    }

    fn read_as<E: Element + Pod>(&self) -> Result<TensorData> {
        Ok(TensorData::new(self.gathered::<E>()?, self.info.shape.clone()))
    }

    /// The elements in row-major order. Files are little-endian, as is every supported machine.
    fn gathered<E: Pod>(&self) -> Result<Vec<E>> {
        let mut stored = vec![E::zeroed(); self.span];
        self.source.read_at(self.start, bytemuck::cast_slice_mut(&mut stored))?;
        let Some(strides) = &self.strides else { return Ok(stored) };
        let mut gathered = Vec::with_capacity(self.info.elements());
        let mut index = vec![0; strides.len()];
        let mut at = 0;
        while gathered.len() < self.info.elements() {
            gathered.push(stored[at]);
            for (axis, (&len, &step)) in self.info.shape.iter().zip(strides).enumerate().rev() {
                index[axis] += 1;
                at += step;
                if index[axis] < len {
                    break;
                }
                index[axis] = 0;
                at -= len * step;
            }
        }
        Ok(gathered)
    }
}

/// Whether `strides` are those of row-major order; the step of a dimension of one is free.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    shape.iter().zip(strides).rev().all(|(&len, &step)| {
        let in_order = len <= 1 || step == expected;
        expected = expected.saturating_mul(len);
        in_order
    })
}
