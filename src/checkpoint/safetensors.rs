//! The safetensors format: a JSON header with offsets, then the tensors.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use burn::tensor::{BoolStore, DType};
use safetensors::tensor::{Dtype, Metadata, TensorInfo as StoredInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::entry::{Entry, TensorInfo};
use super::source::Source;
use crate::error::Result;

/// Largest header accepted, as in the reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// Whether a file that begins with `head` can be safetensors: a length, then a JSON object.
pub(super) fn is_safetensors(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

/// What a file says of itself.
type FileMetadata = BTreeMap<String, String>;

/// The tensors of a safetensors file, none of them read, and what the file says of itself.
pub(super) fn entries(source: &Arc<Source>) -> Result<(BTreeMap<String, Entry>, FileMetadata)> {
    let (Header { tensors, metadata }, data_start) = header(source)?;
    let mut entries = BTreeMap::new();
    for (name, stored) in tensors {
        let entry = dtype(stored.dtype)
            .ok_or_else(|| {
                format!(
                    "dtype {:?} is not supported; convert it to float16 or float32",
                    stored.dtype
                )
            })
            .and_then(|dtype| {
                let (start, end) = stored.data_offsets;
                let range = (data_start + start as u64, data_start + end as u64);
                Entry::new(source, TensorInfo { shape: stored.shape, dtype }, range, None)
            })
            .map_err(|reason| source.error(format!("tensor {name}: {reason}")))?;
        entries.insert(name, entry);
    }
    Ok((entries, metadata))
}

/// The header, its tensors ordered and checked, and the position of the first tensor.
fn header(source: &Arc<Source>) -> Result<(Header, u64)> {
    let damaged = |reason: String| source.error(format!("damaged safetensors file: {reason}"));
    let mut length = [0; 8];
    if source.len() < 8 {
        return Err(damaged(format!("{} bytes are too few for a header", source.len())));
    }
    source.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > source.len() - 8 {
        let rest = source.len() - 8;
        return Err(damaged(format!("its header claims {length} bytes, the file has {rest}")));
    }
    let mut json = vec![0; length as usize];
    source.read_at(8, &mut json)?;
    let Header { mut tensors, metadata } =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("header: {error}")))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    Metadata::new(None, tensors.clone()).map_err(|error| damaged(error.to_string()))?;
    let end = tensors.last().map_or(0, |(_, info)| info.data_offsets.1 as u64);
    let data = source.len() - 8 - length;
    if end != data {
        let problem = if end > data { "cut short" } else { "with bytes after its last tensor" };
        return Err(damaged(format!(
            "{problem}: the tensors take {end} bytes, the file holds {data}"
        )));
    }
    Ok((Header { tensors, metadata }, 8 + length))
}

fn dtype(stored: Dtype) -> Option<DType> {
    Some(match stored {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

/// The header as it stands in the file. The crate's own type reads into a map and so would let
/// the second of two equal names win without a word.
struct Header {
    tensors: Vec<(String, StoredInfo)>,
    metadata: FileMetadata,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut names = HashSet::new();
                let (mut tensors, mut metadata) = (Vec::new(), FileMetadata::new());
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("{name} occurs twice")));
                    }
                    if name == "__metadata__" {
                        let said: BTreeMap<String, Value> = map.next_value()?;
                        metadata.extend(said.into_iter().filter_map(|(key, value)| match value {
                            Value::String(text) => Some((key, text)),
                            _ => None,
                        }));
                    } else {
                        tensors.push((name, map.next_value()?));
                    }
                }
                Ok(Header { tensors, metadata })
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}
