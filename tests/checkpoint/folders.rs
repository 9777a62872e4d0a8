//! Which file of a folder is opened.

use std::fs;

use musev::checkpoint::Weights;
use tempfile::tempdir;

use crate::{f32s, safetensors, write};

fn one(name: &str) -> Vec<u8> {
    safetensors(&[(name, "F32", &[1], f32s(&[1.0]))])
}

#[test]
fn safetensors_come_before_pickles() {
    let folder = tempdir().unwrap();
    write(folder.path(), "diffusion_pytorch_model.bin", b"never opened");
    write(folder.path(), "diffusion_pytorch_model.safetensors", &one("a"));
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn the_only_file_is_taken_whatever_its_name() {
    let folder = tempdir().unwrap();
    write(folder.path(), "config.json", b"{}");
    write(folder.path(), "mine.ckpt", &one("a"));
    assert!(Weights::open(folder.path()).unwrap().info("a").is_some());
    write(folder.path(), "other.safetensors", &one("b"));
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("mine.ckpt") && error.contains("other.safetensors"), "{error}");
}

#[test]
fn an_empty_folder_says_what_was_looked_for() {
    let folder = tempdir().unwrap();
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("diffusion_pytorch_model.safetensors"), "{error}");
}

#[test]
fn shards_are_joined() {
    let folder = tempdir().unwrap();
    write(folder.path(), "model-1.safetensors", &one("a"));
    write(folder.path(), "model-2.safetensors", &one("b"));
    let index = r#"{"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    write(folder.path(), "model.safetensors.index.json", index.as_bytes());
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);

    fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model-2.safetensors"), "{error}");
}

#[test]
fn an_index_does_not_lead_out_of_its_folder() {
    let outside = tempdir().unwrap();
    write(outside.path(), "secret.safetensors", &one("a"));
    let folder = outside.path().join("model");
    fs::create_dir(&folder).unwrap();
    for shard in ["../secret.safetensors", "/etc/passwd", "."] {
        let index = format!(r#"{{"weight_map": {{"a": "{shard}"}}}}"#);
        write(&folder, "model.safetensors.index.json", index.as_bytes());
        let error = Weights::open(&folder).unwrap_err().to_string();
        assert!(error.contains("plain file name"), "{error}");
    }
}

#[test]
fn a_shard_without_its_tensor_is_named() {
    let folder = tempdir().unwrap();
    write(folder.path(), "shard.safetensors", &one("a"));
    write(
        folder.path(),
        "model.safetensors.index.json",
        br#"{"weight_map": {"b": "shard.safetensors"}}"#,
    );
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tensor b is not in its shard shard.safetensors"), "{error}");
}

#[test]
fn a_missing_path_is_an_io_error() {
    let error = Weights::open("/nowhere/model.safetensors".as_ref()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nowhere/model.safetensors"), "{error}");
}

#[test]
fn what_is_not_weights_is_told() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "GGUF"),
    ];
    for (bytes, told) in cases {
        let error =
            Weights::from_bytes("file.safetensors", bytes.to_vec()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
