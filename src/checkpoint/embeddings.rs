//! Embeddings in a file of their own: rows of numbers, as safetensors or as NumPy writes them.

use std::path::Path;

use super::weights::Weights;
use crate::error::{Error, Result};
use crate::files::Files;

/// How a file of NumPy begins.
const NPY_MAGIC: &[u8] = b"\x93NUMPY";
/// More numbers than any set of embeddings has; what is larger is another kind of file.
const MAX_BYTES: u64 = 64 << 20;

/// The embeddings of faces in `path`, each scaled to length 1, as ArcFace's normalised ones are: the
/// only tensor of a file of weights, or an array in NumPy's .npy; a row for every face, or a single
/// row.
///
/// # Errors
/// When the file is of another kind, or a row is empty, zero or not finite.
pub fn face_embeddings(path: &Path) -> Result<Vec<Vec<f32>>> {
    let wrong = |reason: String| Error::checkpoint(path, reason);
    let file = Files::disk().open(path)?;
    let mut head = vec![0; file.size().min(NPY_MAGIC.len() as u64) as usize];
    file.read_at(0, &mut head).map_err(|error| Error::io("read", path, error))?;
    let (shape, values) = if head == NPY_MAGIC {
        if file.size() > MAX_BYTES {
            return Err(wrong("is too large for embeddings of faces".to_owned()));
        }
        let mut bytes = vec![0; file.size() as usize];
        file.read_at(0, &mut bytes).map_err(|error| Error::io("read", path, error))?;
        npy(&bytes).map_err(wrong)?
    } else {
        only_tensor(path)?
    };
    let [rows, width] = match shape.as_slice() {
        [width] => [1, *width],
        [rows, width] => [*rows, *width],
        other => {
            let reason = format!("has the shape {other:?}; embeddings are rows of numbers");
            return Err(wrong(reason));
        }
    };
    if rows == 0 || width == 0 {
        return Err(wrong("has no embedding in it".to_owned()));
    }
    values
        .chunks_exact(width)
        .map(|row| {
            normalised(row)
                .ok_or_else(|| wrong("has an embedding that is zero or not finite".to_owned()))
        })
        .collect()
}

fn only_tensor(path: &Path) -> Result<(Vec<usize>, Vec<f32>)> {
    let weights = Weights::open(path)?;
    let names: Vec<&str> = weights.names().collect();
    let [name] = names.as_slice() else {
        let reason = format!("has {} tensors; embeddings of faces are a single one", names.len());
        return Err(Error::checkpoint(path, reason));
    };
    let data = weights.tensor(name)?;
    Ok((data.shape().to_vec(), data.iter::<f32>().collect()))
}

fn normalised(row: &[f32]) -> Option<Vec<f32>> {
    let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let usable = length.is_finite() && length > 0.0;
    usable.then(|| row.iter().map(|&value| (f64::from(value) / length) as f32).collect())
}

/// Shape and values of an array: little-endian floats, row by row.
fn npy(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), String> {
    let cut = || "is cut short".to_owned();
    let version = *bytes.get(NPY_MAGIC.len()).ok_or_else(cut)?;
    // The length of the header takes two bytes in version 1 and four later.
    let (start, length) = match version {
        1 => (10, bytes.get(8..10).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8)),
        _ => (
            12,
            bytes
                .get(8..12)
                .and_then(|b| b.try_into().ok())
                .map(|b| u32::from_le_bytes(b) as usize),
        ),
    };
    let end = length.and_then(|length| length.checked_add(start)).ok_or_else(cut)?;
    let header = bytes.get(start..end).ok_or_else(cut)?;
    let header = String::from_utf8_lossy(header);
    let field =
        |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let unknown = || format!("has a header that is not understood: {}", header.trim());
    let kind: String = field("descr").ok_or_else(unknown)?.chars().take(5).collect();
    if field("fortran_order").is_some_and(|order| order.starts_with("True")) {
        return Err("stores columns first; save it with numpy.ascontiguousarray".to_owned());
    }
    let shape = field("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
    let (shape, _) = shape.ok_or_else(unknown)?;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> =
        sides.map(|side| side.parse().map_err(|_| unknown())).collect::<Result<_, _>>()?;
    let data = &bytes[end..];
    let values: Vec<f32> = match kind.as_str() {
        "'<f4'" => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        "'<f8'" => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        "'<f2'" => {
            data.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect()
        }
        other => return Err(format!("holds {other}; floats of 16, 32 or 64 bits are read")),
    };
    let wanted = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    if wanted != Some(values.len()) {
        return Err(format!("holds {} numbers, and its shape is {shape:?}", values.len()));
    }
    Ok((shape, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [NPY_MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        face_embeddings(&path)
    }

    #[test]
    fn arrays_are_read_row_by_row_and_scaled() {
        let rows =
            read("two.npy", &file("<f4", "(2, 2)", &floats(&[3.0, 4.0, 0.0, -2.0]))).unwrap();
        assert_eq!(rows, [[0.6, 0.8], [0.0, -1.0]]);
        let doubles: Vec<u8> = [5f64, 0.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read("one.npy", &file("<f8", "(3,)", &doubles)).unwrap(), [[1.0, 0.0, 0.0]]);
    }

    #[test]
    fn what_is_no_embedding_is_refused() {
        let four = floats(&[3.0, 4.0, 0.0, 2.0]);
        for (bytes, expected) in [
            (file("<f4", "(3, 2)", &four), "its shape is [3, 2]"),
            (file("<f4", "(1, 2, 2)", &four), "rows of numbers"),
            (file("<i8", "(4,)", &four), "'<i8'"),
            (file("<f4", "(2, 2)", &floats(&[0.0, 0.0, 1.0, 1.0])), "zero or not finite"),
            (file("<f4", "(0, 2)", &[]), "no embedding"),
            (NPY_MAGIC.to_vec(), "cut short"),
            (b"a picture".to_vec(), "known formats"),
        ] {
            let error = read("face", &bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
