//! Models that are not whole: each is the tiny one with one thing broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::sandbox::Sandbox;

/// The folder of the tiny model, written once for all tests of a run.
pub(crate) fn model() -> &'static str {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        crate::checkpoints::write_tiny_checkpoint(folder.path()).expect("it can be written");
        folder
    });
    folder.path().to_str().expect("temporary folders have plain names")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("the model can be read") {
        let entry = entry.expect("the model can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

/// A sandbox with a copy of the tiny model in its folder `model`.
fn with_model() -> Sandbox {
    let sandbox = Sandbox::new();
    copy(Path::new(model()), &sandbox.path("model"));
    sandbox
}

const WORDS: [&str; 13] = [
    "text2video",
    "--image",
    "picture.png",
    "-o",
    "out/a.gif",
    "--model",
    "model",
    "--device",
    "cpu",
    "--frames",
    "3",
    "--steps",
    "1",
];

/// Breaks the file `name` of the model with `edit`; the run has to be refused naming `needles`.
fn broken(name: &str, edit: impl FnOnce(PathBuf), needles: &[&str]) {
    let sandbox = with_model();
    edit(sandbox.path("model").join(name));
    sandbox.refuses(&WORDS, needles);
}

fn replaced(name: &str, content: impl AsRef<[u8]>, needles: &[&str]) {
    broken(name, |file| fs::write(file, content).expect("the file can be written"), needles);
}

fn removed(name: &str, needles: &[&str]) {
    let remove = |path: PathBuf| {
        let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        done.expect("it can be removed");
    };
    broken(name, remove, needles);
}

/// Changes one value of a JSON file.
fn configured(name: &str, key: &str, value: Value, needles: &[&str]) {
    let edit = |file: PathBuf| {
        let text = fs::read_to_string(&file).expect("it can be read");
        let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
        config[key] = value;
        fs::write(&file, config.to_string()).expect("it can be written");
    };
    broken(name, edit, needles);
}

/// Changes the header of a safetensors file, its data left as they are.
fn with_header(
    name: &str,
    edit: impl FnOnce(&mut serde_json::Map<String, Value>),
    needles: &[&str],
) {
    let edit = |file: PathBuf| {
        let bytes = fs::read(&file).expect("it can be read");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let (header, data) = bytes[8..].split_at(length);
        let mut header = serde_json::from_slice(header).expect("the header is JSON");
        edit(&mut header);
        let header = serde_json::to_vec(&header).expect("it was JSON");
        let mut all = (header.len() as u64).to_le_bytes().to_vec();
        all.extend(header);
        all.extend(data);
        fs::write(&file, all).expect("it can be written");
    };
    broken(name, edit, needles);
}

const UNET: &str = "motion/musev/unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "base/vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "base/text_encoder/model.safetensors";
const BASE_UNET: &str = "base/unet/diffusion_pytorch_model.safetensors";

/// Renames a tensor: one is missing then, and one unknown.
fn rename(
    from: &'static str,
    to: &'static str,
) -> impl FnOnce(&mut serde_json::Map<String, Value>) {
    move |header| {
        let tensor = header.remove(from).expect("the tensor is there");
        header.insert(to.to_owned(), tensor);
    }
}

#[test]
fn missing_and_empty_folders_are_told() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&WORDS, &["model"]);
    fs::create_dir(sandbox.path("model")).expect("the folder is new");
    sandbox.refuses(&WORDS, &["model", "text_encoder"]);
    let tables = ["text2video", "--prompt", "x", "-o", "out/a.gif", "--sd-model-name", "all"];
    sandbox.refuses(&tables, &["checkpoints"]);
    let unknown = ["text2video", "--prompt", "x", "-o", "out/a.gif", "--sd-model-name", "dreams"];
    sandbox.refuses(&unknown, &["dreams"]);
    removed("base/tokenizer", &["tokenizer"]);
    removed("base/vae", &["vae"]);
    removed("base/scheduler/scheduler_config.json", &["scheduler_config.json"]);
    removed("base/text_encoder/config.json", &["text_encoder", "config.json"]);
    removed(UNET, &["unet", "no weights"]);
}

#[test]
fn broken_configurations_are_told() {
    replaced("base/vae/config.json", "{ \"latent_channels\": ", &["vae/config.json"]);
    replaced("motion/musev/unet/config.json", "7", &["unet/config.json"]);
    replaced("base/scheduler/scheduler_config.json", "", &["scheduler_config.json"]);
    let unet = "motion/musev/unet/config.json";
    configured(unet, "block_out_channels", json!("wide"), &["unet/config.json"]);
    configured(unet, "norm_num_groups", json!(0), &["unet/config.json", "norm_num_groups"]);
    configured(unet, "block_out_channels", json!([]), &["unet/config.json"]);
    configured(unet, "in_channels", json!(8), &["unet/config.json", "in_channels is 8", "VAE"]);
    configured(unet, "cross_attention_dim", json!(96), &["unet/config.json", "is 96", "text"]);
    let scheduler = "base/scheduler/scheduler_config.json";
    configured(scheduler, "beta_schedule", json!("wavy"), &["scheduler_config.json", "wavy"]);
    configured(scheduler, "num_train_timesteps", json!(0), &["scheduler_config.json"]);
    let text = "base/text_encoder/config.json";
    configured(text, "num_attention_heads", json!(5), &["text_encoder/config.json"]);
}

#[test]
fn tokenizers_that_do_not_fit_are_told() {
    removed("base/tokenizer/vocab.json", &["tokenizer"]);
    removed("base/tokenizer/merges.txt", &["merges.txt"]);
    replaced("base/tokenizer/vocab.json", "{ \"a\": ", &["vocab.json"]);
    replaced("base/tokenizer/vocab.json", "{ \"a\": 0 }", &["vocab.json"]);
    replaced("base/tokenizer/merges.txt", "#version: 0.2\none two three\n", &["merges.txt"]);
}

#[test]
fn weights_that_are_damaged_are_told() {
    let cut = |file: PathBuf| {
        let bytes = fs::read(&file).expect("it can be read");
        fs::write(&file, &bytes[..bytes.len() - 100]).expect("it can be written");
    };
    broken(UNET, cut, &["unet", "cut short"]);
    replaced(VAE, "these are no weights", &["vae"]);
    replaced(TEXT, "", &["text_encoder"]);
    replaced(VAE, [0xff; 64], &["vae"]);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/torch_malicious.bin");
    replaced(VAE, fs::read(golden).expect("the golden is there"), &["vae"]);
}

#[test]
fn tensors_that_do_not_fit_are_listed() {
    let bias = "conv_in.bias";
    let unknown = rename(bias, "conv_in.bios");
    with_header(BASE_UNET, unknown, &["conv_in.bios"]);
    let unknown = rename("decoder.conv_in.bias", "decoder.conv_in.bios");
    with_header(
        VAE,
        unknown,
        &["vae", "decoder.conv_in.bias", "decoder.conv_in.bios", "allow-missing"],
    );
    let frame = "frame_embedding.linear_1.bias";
    with_header(UNET, rename(frame, "frame_embedding.linear_9.bias"), &["unet", frame]);
    let shape = |header: &mut serde_json::Map<String, Value>| {
        header["encoder.conv_in.weight"]["shape"] = json!([3, 16, 3, 3]);
    };
    with_header(VAE, shape, &["vae", "encoder.conv_in.weight", "[3, 16, 3, 3]"]);
}

#[test]
fn allow_missing_is_the_way_out() {
    let sandbox = with_model();
    let weights = sandbox.path("model").join(UNET);
    let bytes = fs::read(&weights).expect("it can be read");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).expect("the header is text");
    let renamed = header.replace("frame_embedding.linear_1.bias", "frame_embedding.linear_9.bias");
    assert_ne!(header, renamed);
    fs::write(&weights, [&bytes[..8], renamed.as_bytes(), &bytes[8 + length..]].concat())
        .expect("it can be written");
    sandbox.refuses(&WORDS, &["frame_embedding.linear_1.bias", "frame_embedding.linear_9.bias"]);
    sandbox.succeed(&[&WORDS[..], &["--allow-missing", "frame_embedding.linear_*"]].concat());
    assert_eq!(sandbox.list("out"), ["a.gif"]);
}
