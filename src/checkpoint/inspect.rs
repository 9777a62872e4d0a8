//! What a file or folder is: its parts, their tensors, and which networks they fit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::Serialize;

use super::control_net::control_net;
use super::keys::KeyRename;
use super::load::{is_ignored, mismatch};
use super::lora::{Lora, LoraSummary};
use super::single_file::SingleFile;
use super::state_dict::slots;
use super::weights::{Format, Weights};
use crate::error::{Error, Result};

/// Folders of a base model, in the order in which they are told.
const BASE: [&str; 5] = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"];
/// What the variants with a ReferenceNet need besides: two folders, and a file of the motion model.
const REFERENCE: [&str; 3] = ["referencenet", "image_encoder", "ip_adapter_image_proj.bin"];

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
    /// A projection of pictures or faces to tokens, with or without what reads them.
    IpAdapter,
    /// A ControlNet in the naming of its authors.
    ControlNet,
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

/// Inspects a file or folder. `known` gives the networks that weights may be, from the folder their
/// `config.json` lies in, and from the weights where these tell the sizes.
pub fn inspect(
    path: &Path,
    known: impl Fn(&Path, &Weights) -> Vec<KnownNetwork>,
) -> Result<Inspection> {
    let parts: Vec<Part> = BASE
        .into_iter()
        .chain(REFERENCE)
        .filter(|name| path.join(name).is_dir() || name.contains('.') && path.join(name).is_file())
        .map(|name| part(&path.join(name), name, &known))
        .collect();
    let (kind, parts) = if parts.is_empty() {
        of_weights(path, &known)?
    } else {
        let moves = parts.iter().any(|part| part.name == "unet" && part.has("temp_attentions."));
        let kind = match moves {
            true if parts.iter().any(|part| part.name == "text_encoder") => Kind::WholeModel,
            true => Kind::MotionModel,
            false => Kind::DiffusersModel,
        };
        (kind, parts)
    };
    let missing = missing(&parts, kind);
    Ok(Inspection { path: path.to_path_buf(), kind, parts, missing })
}

/// What a file, or a folder of one network, holds.
fn of_weights(
    path: &Path,
    known: &impl Fn(&Path, &Weights) -> Vec<KnownNetwork>,
) -> Result<(Kind, Vec<Part>)> {
    let weights = Weights::open(path)?;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let part = |name: &str, weights: &Weights, lora: Option<LoraSummary>| Part {
        name: name.to_owned(),
        path: path.to_path_buf(),
        weights: Some(summary(weights, &known(folder, weights))),
        lora,
        error: None,
    };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if let Some(control_net) = control_net(&weights)? {
        return Ok((Kind::ControlNet, vec![part(&name, &control_net, None)]));
    }
    if let Some(SingleFile { unet: Some(unet), vae, text_encoder }) = SingleFile::of(&weights)? {
        let networks = [("unet", Some(unet)), ("vae", vae), ("text_encoder", text_encoder)];
        let parts = networks.iter().filter_map(|(name, weights)| {
            let weights = weights.as_ref()?;
            Some(part(name, weights, None))
        });
        return Ok((Kind::SingleFile, parts.collect()));
    }
    let adapter = ["image_proj", "ip_adapter"]
        .map(|name| (name, weights.with_prefix_removed(&format!("{name}."))));
    if adapter[0].1.names().next().is_some() {
        let parts = adapter.iter().filter(|(_, weights)| weights.names().next().is_some());
        let parts = parts.map(|(name, weights)| part(name, weights, None)).collect();
        return Ok((Kind::IpAdapter, parts));
    }
    Ok(match Lora::of(&weights) {
        Ok(lora) => (Kind::Lora, vec![part(&name, &weights, Some(lora.summary()))]),
        Err(_) => (Kind::Weights, vec![part(&name, &weights, None)]),
    })
}

fn part(folder: &Path, name: &str, known: &impl Fn(&Path, &Weights) -> Vec<KnownNetwork>) -> Part {
    let required = match name {
        "tokenizer" => Some(["vocab.json", "tokenizer.json"].as_slice()),
        "scheduler" => Some(["scheduler_config.json"].as_slice()),
        _ => None,
    };
    let found: Result<Option<WeightsSummary>> = match required {
        Some(files) if files.iter().any(|file| folder.join(file).is_file()) => Ok(None),
        Some(files) => Err(Error::checkpoint(folder, format!("holds no {}", files.join(" or ")))),
        None => Weights::open(folder).map(|weights| {
            // An adapter's keys and values are the denoiser's.
            let projection = weights.with_prefix_removed("image_proj.");
            let is_adapter = projection.names().next().is_some();
            let weights = if is_adapter { projection } else { weights };
            Some(summary(&weights, &known(folder, &weights)))
        }),
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

impl Part {
    /// Whether a tensor has `segment` in its name.
    fn has(&self, segment: &str) -> bool {
        let tensors = self.weights.iter().flat_map(|weights| &weights.tensors);
        tensors.into_iter().any(|tensor| tensor.name.contains(segment))
    }

    /// Whether it would load as it is.
    fn is_usable(&self) -> bool {
        let network = self.weights.as_ref().map(|weights| weights.network.as_ref());
        self.error.is_none() && network.is_none_or(|found| found.is_some_and(NetworkMatch::fits))
    }
}

/// What the variants need that is not among these parts: those variants that the motion model is,
/// all of them where there is none. A motion model alone replaces no part of a base model: the
/// spatial layers come from the latter.
fn missing(parts: &[Part], kind: Kind) -> Vec<Missing> {
    if !matches!(
        kind,
        Kind::DiffusersModel | Kind::MotionModel | Kind::WholeModel | Kind::SingleFile
    ) {
        return Vec::new();
    }
    let is_motion = |part: &Part| part.has("temp_attentions.");
    let refers = |part: &Part| part.has("refer_emb_attns.");
    let usable = |name: &str, wanted: &dyn Fn(&Part) -> bool| {
        parts.iter().any(|part| part.name == name && part.is_usable() && wanted(part))
    };
    let has_base = |name: &str| {
        usable(name, &|part| kind == Kind::WholeModel || !is_motion(part))
            // A single file's scheduler is Stable Diffusion 1.5's.
            || kind == Kind::SingleFile && name == "scheduler"
    };
    let motion = parts.iter().find(|part| is_motion(part));
    let of_variant = |(variant, with_references): (&str, bool)| {
        if motion.is_some_and(|motion| refers(motion) != with_references) {
            return None;
        }
        let base = BASE.into_iter().filter(|name| !has_base(name));
        let mut missing: Vec<String> = base.map(|name| format!("base model: {name}")).collect();
        if !usable("unet", &is_motion) {
            missing.push("motion model: unet".to_string());
        }
        let others =
            REFERENCE.into_iter().filter(|name| with_references && !usable(name, &|_| true));
        missing.extend(others.map(str::to_owned));
        Some(Missing { variant: variant.to_owned(), parts: missing })
    };
    let variants =
        [("musev", false), ("musev_referencenet", true), ("musev_referencenet_pose", true)];
    variants.into_iter().filter_map(of_variant).collect()
}
