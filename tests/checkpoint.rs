//! Checkpoints: formats, folders, loading, and what happens to damaged files.

#[path = "common/checkpoints.rs"]
mod checkpoints;
mod common;

#[path = "checkpoint/control_net.rs"]
mod control_net;
#[path = "checkpoint/convert.rs"]
mod convert;
#[path = "checkpoint/damaged.rs"]
mod damaged;
#[path = "checkpoint/folders.rs"]
mod folders;
#[path = "checkpoint/loading.rs"]
mod loading;
#[path = "checkpoint/lora.rs"]
mod lora;
#[path = "checkpoint/memory.rs"]
mod memory;
#[path = "checkpoint/models.rs"]
mod models;
#[path = "checkpoint/single_file.rs"]
mod single_file;
#[path = "checkpoint/textual_inversion.rs"]
mod textual_inversion;
#[path = "checkpoint/torch.rs"]
mod torch;

use std::fs;
use std::path::{Path, PathBuf};

/// A safetensors file of `(name, dtype, shape, bytes)`.
fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut end = 0;
    let infos: Vec<String> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let start = end;
            end += bytes.len();
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", infos.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(tensors.iter().flat_map(|(.., bytes)| bytes.clone()));
    file
}

/// Little-endian float32 values.
fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

fn case(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name).join(file)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}
