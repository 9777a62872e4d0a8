//! Whole checkpoint folders: the tiny one that the tests write, and a production-size one.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use burn::module::Module;
use burn::tensor::FloatDType;
use musev::checkpoint::{LoadOptions, Weights, load};
use musev::models::unet_3d;
use musev::{ClipTokenizer, Device, Kind, WeightsSummary, inspect};
use tempfile::tempdir;

use crate::checkpoints::{Sizes, write_tiny_checkpoint};
use crate::common::device;

fn options(keys: &'static [(&'static str, &'static str)]) -> LoadOptions<'static> {
    LoadOptions { part: "unet", keys, allow_missing: &[], dtype: FloatDType::F32 }
}

#[test]
fn a_tiny_checkpoint_loads_with_the_base_laid_over() {
    let root = tempdir().unwrap();
    write_tiny_checkpoint(root.path()).unwrap();
    let device = device();
    let motion = Weights::open(&root.path().join("motion/musev/unet")).unwrap();
    let base = Weights::open(&root.path().join("base/unet")).unwrap();
    let merged = motion.overlay(base).unwrap();
    let unet = Sizes::tiny().unet.init(&device);
    load(unet, &merged, &options(unet_3d::KEYS), &device).unwrap();
}

#[test]
fn the_tiny_tokenizer_fits_the_tiny_text_encoder() {
    let root = tempdir().unwrap();
    write_tiny_checkpoint(root.path()).unwrap();
    let tokenizer = ClipTokenizer::open(&root.path().join("base/tokenizer")).unwrap();
    assert_eq!(tokenizer.vocabulary_size(), Sizes::tiny().text_encoder.vocab_size);
    assert_eq!(tokenizer.encode("a cat, é").unwrap().len(), 7);
}

#[test]
fn inspecting_tells_what_is_there_and_what_is_missing() {
    let root = tempdir().unwrap();
    write_tiny_checkpoint(root.path()).unwrap();
    let base = inspect(&root.path().join("base")).unwrap();
    assert_eq!(base.kind, Kind::DiffusersModel);
    assert_eq!(base.missing[0].parts, ["motion model: unet"]);
    let networks: Vec<String> = base
        .parts
        .iter()
        .filter_map(|part| part.weights.as_ref()?.network.as_ref())
        .inspect(|network| assert!(network.fits(), "{network:?}"))
        .map(|network| network.network.clone())
        .collect();
    assert_eq!(
        networks,
        ["2-D UNet, the size of its config.json", "AutoencoderKL", "CLIP text encoder"]
    );

    let motion = inspect(&root.path().join("motion/musev")).unwrap();
    assert_eq!(motion.kind, Kind::MotionModel);
    assert_eq!(motion.missing[0].parts.len(), 5);
    assert!(motion.missing[0].parts.iter().all(|part| part.starts_with("base model: ")));

    // Side by side, as training writes them.
    let (base, unet) = (root.path().join("base"), root.path().join("motion/musev/unet"));
    fs::remove_dir_all(base.join("unet")).unwrap();
    fs::rename(unet, base.join("unet")).unwrap();
    let whole = inspect(&base).unwrap();
    assert_eq!(whole.kind, Kind::WholeModel);
    assert!(whole.missing[0].parts.is_empty(), "{:?}", whole.missing[0].parts);
}

#[test]
fn a_damaged_part_is_told_and_counts_as_missing() {
    let root = tempdir().unwrap();
    write_tiny_checkpoint(root.path()).unwrap();
    let base = root.path().join("base");
    fs::write(base.join("vae/diffusion_pytorch_model.safetensors"), b"short").unwrap();
    fs::remove_dir_all(base.join("scheduler")).unwrap();
    let inspection = inspect(&base).unwrap();
    let vae = inspection.parts.iter().find(|part| part.name == "vae").unwrap();
    assert!(vae.error.as_ref().unwrap().contains("diffusion_pytorch_model.safetensors"));
    let missing = ["base model: vae", "base model: scheduler", "motion model: unet"];
    assert_eq!(inspection.missing[0].parts, missing);
}

#[test]
fn a_single_file_is_recognised_by_its_tensors() {
    let root = tempdir().unwrap();
    write_tiny_checkpoint(root.path()).unwrap();
    let file = root.path().join("base/vae/diffusion_pytorch_model.safetensors");
    let inspection = inspect(&file).unwrap();
    assert_eq!(inspection.kind, Kind::Weights);
    let weights = inspection.parts[0].weights.as_ref().unwrap();
    assert_eq!(weights.network.as_ref().unwrap().network, "AutoencoderKL");
    assert_eq!(weights.dtypes.keys().collect::<Vec<_>>(), ["f16"]);
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["parts"][0]["weights"]["format"], "safetensors");
}

/// The folder that `MUSEV_CHECKPOINT` names, written by the example `random_checkpoint`.
fn production() -> Option<PathBuf> {
    env::var_os("MUSEV_CHECKPOINT").map(PathBuf::from)
}

/// The most memory this process had, in bytes.
fn peak_resident() -> Option<usize> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()? * 1024)
}

#[test]
fn a_production_checkpoint_loads_within_its_own_size() {
    let Some(root) = production() else {
        eprintln!(
            "skipped: set MUSEV_CHECKPOINT to a folder written by \
             `cargo run --example random_checkpoint -- FOLDER`, and run this test alone"
        );
        return;
    };
    for part in inspect(&root.join("base")).unwrap().parts {
        let fits = |weights: WeightsSummary| weights.network.is_some_and(|found| found.fits());
        assert!(part.error.is_none() && part.weights.is_none_or(fits), "{}", part.name);
    }
    let device = Device::flex();
    for (dtype, size) in [(FloatDType::F16, 2), (FloatDType::F32, 4)] {
        let start = Instant::now();
        let motion = Weights::open(&root.join("motion/musev/unet")).unwrap();
        let base = Weights::open(&root.join("base/unet")).unwrap();
        let merged = motion.overlay(base).unwrap();
        let options = LoadOptions { dtype, ..options(unet_3d::KEYS) };
        let unet = load(Sizes::default().unet.init(&device), &merged, &options, &device).unwrap();
        let bytes = unet.num_params() * size;
        let Some(peak) = peak_resident() else { return };
        let ratio = peak as f64 / bytes as f64;
        eprintln!("{dtype:?}: {bytes} bytes, peak {peak} ({ratio:.3}), {:?}", start.elapsed());
        assert!(ratio < 1.3, "{peak} bytes to load {bytes}");
    }
}
