//! Weights written as safetensors, one tensor at a time.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::tensor::{BoolStore, DType, FloatDType};
use serde_json::{Map, Value, json};

use super::convert::{is_float, overflows, to_float};
use super::weights::Weights;
use crate::error::{Error, Result};

/// Headers are filled up to a multiple of this, so that tensors begin aligned.
const ALIGNMENT: usize = 8;

/// Writes `weights` to `out`, which messages call `target`, floats as `dtype` if one is given.
/// `tell` hears of every tensor before it is read, and may stop.
///
/// # Errors
/// When a tensor cannot be read, `out` takes no more, or a value is beyond what `dtype` holds.
pub fn write_safetensors(
    weights: &Weights,
    dtype: Option<FloatDType>,
    metadata: &BTreeMap<String, String>,
    (target, out): (&Path, &mut dyn Write),
    tell: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io("write", target, error);
    out.write_all(&header(weights, dtype, metadata)?).map_err(failed)?;
    for (name, entry) in weights.entries() {
        tell(name)?;
        let mut data = entry.read()?;
        if let Some(dtype) = dtype.filter(|_| is_float(entry.info().dtype)) {
            if overflows(&data, dtype) {
                let reason = format!(
                    "tensor {name} has values beyond what {dtype:?} holds; bf16 and f32 hold them"
                );
                return Err(Error::checkpoint(weights.origin(), reason));
            }
            data = to_float(data, dtype);
        }
        out.write_all(data.as_bytes()).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// The length of the header, and the header.
fn header(
    weights: &Weights,
    dtype: Option<FloatDType>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut header = Map::new();
    let mut metadata = metadata.clone();
    metadata.insert("format".to_owned(), "pt".to_owned());
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut start = 0;
    for (name, entry) in weights.entries() {
        let info = entry.info();
        let stored = match dtype {
            Some(dtype) if is_float(info.dtype) => DType::from(dtype),
            _ => info.dtype,
        };
        let end = start + info.elements() as u64 * stored.size() as u64;
        let dtype = type_name(stored).ok_or_else(|| {
            Error::checkpoint(weights.origin(), format!("tensor {name}: {stored:?} has no name"))
        })?;
        let tensor: Value =
            json!({ "dtype": dtype, "shape": info.shape, "data_offsets": [start, end] });
        header.insert(name.clone(), tensor);
        start = end;
    }
    let mut json = serde_json::to_vec(&header).expect("names and numbers can be written as JSON");
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok(bytes)
}

/// How safetensors calls an element type.
fn type_name(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::F64 => "F64",
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::I32 => "I32",
        DType::I16 => "I16",
        DType::I8 => "I8",
        DType::U64 => "U64",
        DType::U32 => "U32",
        DType::U16 => "U16",
        DType::U8 => "U8",
        DType::Bool(BoolStore::Native) => "BOOL",
        _ => return None,
    })
}
