//! What a file or folder is: its parts, their tensors, and which networks they fit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::Serialize;

use super::keys::KeyRename;
use super::load::{is_ignored, mismatch};
use super::lora::{Lora, LoraSummary};
use super::single_file::SingleFile;
use super::state_dict::slots;
use super::weights::{Format, Weights};
use crate::error::{Error, Result};

/// Folders of a diffusers model, in the order in which they are told.
const PARTS: [&str; 5] = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"];

/// A network that found weights are compared with.
#[derive(Clone, Debug)]
pub struct KnownNetwork {
    name: String,
    /// Spellings and shape of each tensor.
    tensors: Vec<(Vec<String>, Vec<usize>)>,
}

impl KnownNetwork {
    /// The network `module`, which need not be loaded; `keys` as for [`super::load`].
    pub fn new<M: Module>(name: impl Into<String>, module: &M, keys: &[KeyRename]) -> Self {
        let tensors = slots(module, keys).into_iter().map(|slot| (slot.names, slot.shape));
        Self { name: name.into(), tensors: tensors.collect() }
    }

    /// The same network under another name, with only the tensors whose names pass `keep`.
    pub fn only(&self, name: impl Into<String>, keep: impl Fn(&str) -> bool) -> Self {
        let tensors = self.tensors.iter().filter(|(names, _)| keep(&names[0])).cloned();
        Self { name: name.into(), tensors: tensors.collect() }
    }

    fn compare(&self, weights: &Weights) -> NetworkMatch {
        let (mut missing, mut misshapen, mut present) = (vec![], vec![], 0);
        for (names, shape) in &self.tensors {
            match names.iter().find_map(|name| weights.info(name)) {
                None => missing.push(names[0].clone()),
                Some(info) => {
                    present += 1;
                    if mismatch(info, shape).is_some() {
                        misshapen.push(names[0].clone());
                    }
                }
            }
        }
        let known = weights.names().filter(|name| !is_ignored(name)).count();
        let unknown = known.saturating_sub(present);
        NetworkMatch {
            network: self.name.clone(),
            of: self.tensors.len(),
            present,
            missing,
            misshapen,
            unknown,
        }
    }
}

/// What a path holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The inspected file or folder.
    pub path: PathBuf,
    /// What it is as a whole.
    pub kind: Kind,
    /// Its networks and the other folders of a model.
    pub parts: Vec<Part>,
    /// What else each variant of the pipeline needs.
    pub missing: Vec<Missing>,
}

/// What a path is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One file, or one sharded set, of weights.
    Weights,
    /// A folder in the layout of diffusers.
    DiffusersModel,
    /// A folder whose `unet` holds MuseV's temporal layers.
    MotionModel,
    /// Both in one: what training writes.
    WholeModel,
    /// A model of Stable Diffusion 1 in one file.
    SingleFile,
    /// Changes to be laid over a model.
    Lora,
}

/// One network, or another folder of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// The folder's name, or that of the file.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its weights; absent for `tokenizer` and `scheduler`.
    pub weights: Option<WeightsSummary>,
    /// What it changes, where it is a LoRA.
    pub lora: Option<LoraSummary>,
    /// Why it cannot be read.
    pub error: Option<String>,
}

/// The tensors of a part.
#[derive(Clone, Debug, Serialize)]
pub struct WeightsSummary {
    /// How they are stored.
    pub format: Format,
    /// In how many files.
    pub files: usize,
    /// Number of elements.
    pub elements: u64,
    /// Bytes they take as stored.
    pub bytes: u64,
    /// How many tensors there are of each element type.
    pub dtypes: BTreeMap<String, usize>,
    /// The network that fits best, if any comes near.
    pub network: Option<NetworkMatch>,
    /// Every tensor.
    pub tensors: Vec<TensorLine>,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorLine {
    /// Its name in the file.
    pub name: String,
    /// Its sizes, outermost first.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: String,
}

/// How well weights fit a network.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkMatch {
    /// The network.
    pub network: String,
    /// How many of its tensors are there.
    pub present: usize,
    /// How many it has.
    pub of: usize,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Those of another shape.
    pub misshapen: Vec<String>,
    /// How many tensors there are that it does not know.
    pub unknown: usize,
}

impl NetworkMatch {
    /// Whether the weights would load as they are.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.unknown == 0
    }
}

/// What a variant of the pipeline needs besides the inspected path.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The variant, as `--unet-model-name` spells it.
    pub variant: String,
    /// The parts, as folders of a base model or of the motion model.
    pub parts: Vec<String>,
}

/// Inspects a file or folder. `known` gives the networks that a part may hold, from the folder
/// its `config.json` lies in.
pub fn inspect(path: &Path, known: impl Fn(&Path) -> Vec<KnownNetwork>) -> Result<Inspection> {
    let folders: Vec<&str> = PARTS.into_iter().filter(|part| path.join(part).is_dir()).collect();
    let (kind, parts) = if folders.is_empty() {
        of_weights(path, &known)?
    } else {
        let parts: Vec<Part> =
            folders.iter().map(|name| part(&path.join(name), name, &known)).collect();
        let moves = parts.iter().any(|part| part.name == "unet" && is_motion(part));
        let kind = match moves {
            true if parts.iter().any(|part| part.name == "text_encoder") => Kind::WholeModel,
            true => Kind::MotionModel,
            false => Kind::DiffusersModel,
        };
        (kind, parts)
    };
    let missing = match kind {
        Kind::Lora => vec![],
        _ => vec![Missing { variant: "musev".to_string(), parts: missing(&parts, kind) }],
    };
    Ok(Inspection { path: path.to_path_buf(), kind, parts, missing })
}

/// What a file, or a folder of one network, holds.
fn of_weights(
    path: &Path,
    known: &impl Fn(&Path) -> Vec<KnownNetwork>,
) -> Result<(Kind, Vec<Part>)> {
    let weights = Weights::open(path)?;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let part = |name: &str, weights: &Weights, lora: Option<LoraSummary>| Part {
        name: name.to_owned(),
        path: path.to_path_buf(),
        weights: Some(summary(weights, &known(folder))),
        lora,
        error: None,
    };
    if let Some(SingleFile { unet: Some(unet), vae, text_encoder }) = SingleFile::of(&weights)? {
        let networks = [("unet", Some(unet)), ("vae", vae), ("text_encoder", text_encoder)];
        let parts = networks.iter().filter_map(|(name, weights)| {
            let weights = weights.as_ref()?;
            Some(part(name, weights, None))
        });
        return Ok((Kind::SingleFile, parts.collect()));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(match Lora::of(&weights) {
        Ok(lora) => (Kind::Lora, vec![part(&name, &weights, Some(lora.summary()))]),
        Err(_) => (Kind::Weights, vec![part(&name, &weights, None)]),
    })
}

fn part(folder: &Path, name: &str, known: &impl Fn(&Path) -> Vec<KnownNetwork>) -> Part {
    let required = match name {
        "tokenizer" => Some(["vocab.json", "tokenizer.json"].as_slice()),
        "scheduler" => Some(["scheduler_config.json"].as_slice()),
        _ => None,
    };
    let found: Result<Option<WeightsSummary>> = match required {
        Some(files) if files.iter().any(|file| folder.join(file).is_file()) => Ok(None),
        Some(files) => Err(Error::checkpoint(folder, format!("holds no {}", files.join(" or ")))),
        None => Weights::open(folder).map(|weights| Some(summary(&weights, &known(folder)))),
    };
    let (weights, error) = match found {
        Ok(weights) => (weights, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Part { name: name.to_string(), path: folder.to_path_buf(), weights, lora: None, error }
}

fn summary(weights: &Weights, known: &[KnownNetwork]) -> WeightsSummary {
    let mut dtypes = BTreeMap::new();
    let (mut elements, mut bytes, mut tensors) = (0, 0, vec![]);
    for (name, entry) in weights.entries() {
        let info = entry.info();
        let dtype = format!("{:?}", info.dtype).to_lowercase();
        *dtypes.entry(dtype.clone()).or_default() += 1;
        elements += info.elements() as u64;
        bytes += (info.elements() * info.dtype.size()) as u64;
        tensors.push(TensorLine { name: name.clone(), shape: info.shape.clone(), dtype });
    }
    // The best fit has the most tensors in common, then the fewest that are wrong.
    let network = known
        .iter()
        .map(|network| network.compare(weights))
        .filter(|found| 2 * found.present > found.of)
        .max_by_key(|found| {
            let wrong = found.missing.len() + found.misshapen.len() + found.unknown;
            (found.present, std::cmp::Reverse(wrong))
        });
    let (format, files) = (weights.format(), weights.files());
    WeightsSummary { format, files, elements, bytes, dtypes, network, tensors }
}

/// Whether a part holds temporal layers.
fn is_motion(part: &Part) -> bool {
    let tensors = part.weights.iter().flat_map(|weights| &weights.tensors);
    tensors.into_iter().any(|tensor| tensor.name.contains("temp_attentions."))
}

/// What variant `musev` needs that is not among these parts. A motion model alone replaces no part
/// of a base model: the spatial layers come from the latter.
fn missing(parts: &[Part], kind: Kind) -> Vec<String> {
    let usable = |part: &&Part| {
        let fit = part.weights.as_ref().map(|weights| weights.network.as_ref());
        part.error.is_none() && fit.is_none_or(|network| network.is_some_and(NetworkMatch::fits))
    };
    let is_base = |part: &Part| kind == Kind::WholeModel || !is_motion(part);
    let has =
        |name: &str| parts.iter().filter(usable).any(|part| part.name == name && is_base(part));
    // A single file's scheduler is Stable Diffusion 1.5's.
    let needs = |part: &&&str| !(has(part) || kind == Kind::SingleFile && **part == "scheduler");
    let mut missing: Vec<String> =
        PARTS.iter().filter(needs).map(|part| format!("base model: {part}")).collect();
    if !parts.iter().filter(usable).any(is_motion) {
        missing.push("motion model: unet".to_string());
    }
    missing
}
