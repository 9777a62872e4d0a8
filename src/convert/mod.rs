//! From one layout of weights to another: a folder of diffusers, a single file, a file of tensors.

mod configs;
mod output;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use burn::tensor::FloatDType;
use serde::Serialize;

use crate::checkpoint::{SingleFile, Weights};
use crate::config::{SETTINGS_FILE, tokenizer_near};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::pipeline::CONFIG_KEYS;

use output::{Output, Target};

/// The networks of a base model, in the order in which they are written.
const NETWORKS: [&str; 3] = ["unet", "vae", "text_encoder"];

/// A type that weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
}

impl FromStr for StoredType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err("expected f32, f16 or bf16".to_owned()),
        }
    }
}

impl From<StoredType> for FloatDType {
    fn from(stored: StoredType) -> Self {
        match stored {
            StoredType::F32 => Self::F32,
            StoredType::F16 => Self::F16,
            StoredType::Bf16 => Self::BF16,
        }
    }
}

/// What is converted to what.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// A model folder in the layout of diffusers, a single file, or any weights.
    pub input: PathBuf,
    /// A name ending in `.safetensors` for one file, another for a folder.
    pub output: PathBuf,
    /// Type of the floats; without it each stays as it is.
    pub dtype: Option<StoredType>,
    /// Whether what is at `output` is replaced.
    pub force: bool,
    /// Folder of the tokenizer that a model folder gets, where the input has none.
    pub tokenizer: Option<PathBuf>,
    /// Folder of all models, where a tokenizer is looked for.
    pub root: PathBuf,
}

/// A tensor is about to be written.
#[derive(Clone, Copy, Debug)]
pub struct ConvertEvent<'a> {
    /// Its name in the output.
    pub name: &'a str,
    /// Counted from 0.
    pub index: usize,
    /// Tensors in all.
    pub of: usize,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Converted {
    /// Where.
    pub path: PathBuf,
    /// `folder`, `single_file` or `weights`.
    pub layout: &'static str,
    /// How many tensors.
    pub tensors: usize,
    /// How many bytes of files.
    pub bytes: u64,
}

/// What the input is.
enum Input {
    Folder(PathBuf),
    SingleFile(Weights, SingleFile),
    Weights(Weights),
}

/// Converts, tensor by tensor. The output appears whole or not at all; `watch` may break.
///
/// # Errors
/// When the input is none that can become the output (the error tells which could), the output is
/// there already, the tokenizer is none, or a file cannot be read or written.
pub fn convert(
    conversion: &Conversion,
    watch: &mut dyn FnMut(ConvertEvent<'_>) -> ControlFlow<()>,
) -> Result<Converted> {
    let target = Target::new(&conversion.output, conversion.force)?;
    check_tokenizer(conversion.tokenizer.as_deref())?;
    let input = Input::open(&conversion.input)?;
    let dtype = conversion.dtype.map(FloatDType::from);
    match (input, target.is_folder()) {
        (Input::Weights(weights), false) => {
            let output = Output { target, layout: "weights", dtype, watch };
            output.file(&weights, &BTreeMap::new())
        }
        (Input::Weights(_), true) => {
            let reason = "holds one set of tensors, which becomes one file; give a name that ends \
                          in .safetensors";
            Err(Error::checkpoint(&conversion.input, reason))
        }
        (Input::Folder(folder), false) => {
            let (single, configs) = of_folder(&folder)?;
            let output = Output { target, layout: "single_file", dtype, watch };
            output.file(&joined(&single)?, &configs)
        }
        (Input::SingleFile(weights, single), false) => {
            let output = Output { target, layout: "single_file", dtype, watch };
            output.file(&joined(&single)?, &carried(&weights))
        }
        (Input::Folder(folder), true) => {
            let output = Output { target, layout: "folder", dtype, watch };
            output.folder(&networks_of(&folder)?, |to| copy_rest(&folder, conversion, to))
        }
        (Input::SingleFile(weights, single), true) => {
            let tokenizer = match &conversion.tokenizer {
                Some(tokenizer) => tokenizer.clone(),
                None => tokenizer_near(&conversion.input, &conversion.root)?,
            };
            let parts = [&single.unet, &single.vae, &single.text_encoder];
            let networks = NETWORKS
                .into_iter()
                .zip(parts)
                .filter_map(|(part, weights)| Some((part, weights.clone()?)));
            let output = Output { target, layout: "folder", dtype, watch };
            output.folder(&networks.collect::<Vec<_>>(), |to| {
                configs::write(&carried(&weights), to)?;
                copy_files(&tokenizer, &to.join("tokenizer"))
            })
        }
    }
}

impl Input {
    fn open(path: &Path) -> Result<Self> {
        if NETWORKS.iter().any(|part| path.join(part).is_dir()) {
            if path.join("text_encoder_2").is_dir() {
                let reason = "is a model of Stable Diffusion XL; only Stable Diffusion 1.5 fits \
                              the motion of MuseV";
                return Err(Error::checkpoint(path, reason));
            }
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let weights = Weights::open(path)?;
        Ok(match SingleFile::of(&weights)? {
            Some(single) if single.unet.is_some() => Self::SingleFile(weights, single),
            _ => Self::Weights(weights),
        })
    }
}

/// Whether `folder` holds a vocabulary, told before the weights are written.
fn check_tokenizer(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let holds = |name: &str| folder.join(name).is_file();
    let wrong = match folder.is_dir() {
        false => "is no folder",
        true if holds("tokenizer.json") || holds("vocab.json") && holds("merges.txt") => {
            return Ok(());
        }
        true => "holds neither vocab.json with merges.txt nor tokenizer.json",
    };
    let reason = format!(
        "{} {wrong}; give the folder `tokenizer` of any Stable Diffusion 1.5 model",
        folder.display()
    );
    Err(Error::request("tokenizer", reason))
}

/// One file of all networks; it has to be one that can be opened again.
fn joined(single: &SingleFile) -> Result<Weights> {
    let joined = single.joined()?;
    SingleFile::of(&joined)?;
    Ok(joined)
}

/// The networks of a model folder, and their configurations under the keys of a single file.
fn of_folder(folder: &Path) -> Result<(SingleFile, BTreeMap<String, String>)> {
    let files = Files::disk();
    let mut configs = BTreeMap::new();
    for (part, key) in CONFIG_KEYS {
        let name = if part == "scheduler" { "scheduler_config.json" } else { "config.json" };
        let file = folder.join(part).join(name);
        configs.insert(key.to_owned(), files.read_text(&file)?);
    }
    let network = |part: &str| Weights::open(&folder.join(part)).map(Some);
    let [unet, vae, text_encoder] = NETWORKS.map(network);
    Ok((SingleFile { unet: unet?, vae: vae?, text_encoder: text_encoder? }, configs))
}

/// The networks that a model folder has.
fn networks_of(folder: &Path) -> Result<Vec<(&'static str, Weights)>> {
    let there = NETWORKS.into_iter().filter(|part| folder.join(part).is_dir());
    there.map(|part| Ok((part, Weights::open(&folder.join(part))?))).collect()
}

/// The configurations that a single file carries, as far as it does.
fn carried(weights: &Weights) -> BTreeMap<String, String> {
    let carried = CONFIG_KEYS
        .iter()
        .filter_map(|(_, key)| Some(((*key).to_owned(), weights.metadata(key)?.to_owned())));
    carried.collect()
}

/// Copies what a model folder holds besides weights.
fn copy_rest(folder: &Path, conversion: &Conversion, to: &Path) -> Result<()> {
    for part in NETWORKS {
        let config = folder.join(part).join("config.json");
        if config.is_file() {
            copy(&config, &to.join(part).join("config.json"))?;
        }
    }
    for name in ["model_index.json", SETTINGS_FILE] {
        if folder.join(name).is_file() {
            copy(&folder.join(name), &to.join(name))?;
        }
    }
    let own = folder.join("tokenizer");
    let tokenizer = conversion.tokenizer.as_ref().unwrap_or(&own);
    for (from, name) in [(tokenizer, "tokenizer"), (&folder.join("scheduler"), "scheduler")] {
        if from.is_dir() {
            copy_files(from, &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies the files of a folder, without those below it.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    create(to)?;
    for file in Files::disk().list(from)? {
        let name = file.file_name().expect("a listed file has a name");
        copy(&file, &to.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(|error| Error::io("copy", from, error))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))
}
