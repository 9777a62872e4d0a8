//! LoRA: changes of low rank that are added to weights while these are read.

mod blocks;
mod choice;
mod delta;
mod names;
mod peft;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::FloatDType;
use serde::Serialize;

use super::convert::{is_float, to_float};
use super::entry::Entry;
use super::keys::matches_glob;
use super::load::fits;
use super::weights::{Weights, shortened};
use crate::error::{Error, Result};
use crate::files::Files;

pub use blocks::BlockWeights;
pub use choice::LoraChoice;
pub(super) use choice::split_path;
pub(super) use delta::Delta;
pub use names::LoraNaming;
use names::{Layer, Network, Role};
use peft::Alphas;
use target::Target;

/// Globs of names that tell other ways of fine-tuning from a LoRA.
const OTHER_KINDS: [(&str, &str); 9] = [
    ("*.hada_*", "LoHa"),
    ("*.lokr_*", "LoKr"),
    ("*.dora_scale", "DoRA"),
    ("*lora_magnitude_vector*", "DoRA"),
    ("oft_*", "OFT"),
    ("*.glora_*", "GLoRA"),
    ("*.on_input", "IA3"),
    ("*.diff", "a difference of whole weights"),
    ("*.diff_b", "a difference of whole weights"),
];

/// The family that musev's models are of.
const SD1: &str = "Stable Diffusion 1.5";

/// The changes of a LoRA file, none of them read.
#[derive(Clone, Debug)]
pub struct Lora {
    origin: PathBuf,
    naming: LoraNaming,
    changes: BTreeMap<Layer, Change>,
}

/// What is added to one layer.
#[derive(Clone, Debug)]
struct Change {
    /// A name in the file, for messages.
    name: String,
    /// Its scale is that of strength 1.
    delta: Delta,
}

/// What a LoRA file is, for people.
#[derive(Clone, Debug, Serialize)]
pub struct LoraSummary {
    /// Whose spelling it is in.
    pub naming: LoraNaming,
    /// How many layers it changes with which rank.
    pub ranks: BTreeMap<usize, usize>,
    /// How many layers of the UNet it changes, by kind.
    pub unet: BTreeMap<String, usize>,
    /// How many layers of the text encoder it changes, by kind.
    pub text_encoder: BTreeMap<String, usize>,
    /// The family of models it was trained for, as far as the width of its cross attention tells.
    pub family: Option<String>,
}

/// Tensors of a layer, while they are collected.
#[derive(Default)]
struct Found {
    name: String,
    up: Option<Entry>,
    mid: Option<Entry>,
    down: Option<Entry>,
    alpha: Option<f32>,
}

impl Lora {
    /// Opens a file, or PEFT's folder of one.
    ///
    /// # Errors
    /// When it cannot be read, or is no LoRA.
    pub fn open(path: &Path) -> Result<Self> {
        let files = Files::disk();
        let weights = Weights::open_in(&files, path)?;
        Self::with_alphas(&weights, &Alphas::of(&files, &weights)?)
    }

    /// The LoRA that `weights` hold. Only the scale of each layer is read.
    ///
    /// # Errors
    /// When they are none, or one that is incomplete or of a kind that is not supported.
    pub fn of(weights: &Weights) -> Result<Self> {
        Self::with_alphas(weights, &Alphas::of_metadata(weights)?)
    }

    fn with_alphas(weights: &Weights, alphas: &Alphas) -> Result<Self> {
        check_kind(weights)?;
        let wrong = |reason: String| Error::checkpoint(weights.origin(), reason);
        let mut naming = None;
        let mut found: BTreeMap<Layer, Found> = BTreeMap::new();
        let mut strangers = Vec::new();
        for (name, entry) in weights.entries() {
            let Some((layer, role, spelling)) = names::parse(name) else {
                strangers.push(name.as_str());
                continue;
            };
            naming = naming.or(spelling);
            let tensors = found.entry(layer).or_default();
            let slot = match role {
                Role::Alpha => {
                    tensors.alpha = Some(alpha(entry).map_err(|e| wrong(format!("{name} {e}")))?);
                    continue;
                }
                Role::Up => &mut tensors.up,
                Role::Mid => &mut tensors.mid,
                Role::Down => &mut tensors.down,
            };
            tensors.name.clone_from(name);
            *slot = Some(entry.clone());
        }
        let Some(naming) = naming else {
            let reason = "is no LoRA: none of its tensors is named like one (lora_down.weight, \
                          lora.down.weight, lora_A.weight)";
            return Err(wrong(reason.to_owned()));
        };
        if !strangers.is_empty() {
            let (count, names) = (strangers.len(), shortened(&strangers));
            return Err(wrong(format!("{count} of its tensors are of no known LoRA: {names}")));
        }
        let changes: Result<BTreeMap<_, _>, String> =
            found.into_iter().map(|(layer, found)| found.complete(layer, alphas)).collect();
        let changes = changes.map_err(wrong)?;
        Ok(Self { origin: weights.origin().to_path_buf(), naming, changes })
    }

    /// Lays the LoRA over `unet` and `text_encoder`: each change is added, in float32, whenever its
    /// weight is read. Changes of weight 0 leave a tensor as the file has it.
    ///
    /// # Errors
    /// Lists the changes that match nothing in the model, unless a glob of `allow_missing` covers
    /// them, and those of another shape.
    pub fn merge(
        &self,
        (strength, blocks): (f64, &BlockWeights),
        unet: Weights,
        text_encoder: Weights,
        allow_missing: &[String],
    ) -> Result<(Weights, Weights)> {
        let mut networks = [Target::new(Network::Unet, unet), Target::text(text_encoder)];
        let (mut unmatched, mut misshapen) = (Vec::new(), Vec::new());
        for (layer, Change { name, delta }) in &self.changes {
            let found = networks.iter_mut().find_map(|network| {
                let tensor = network.find(layer)?;
                Some((network, tensor))
            });
            let Some((network, tensor)) = found else {
                if !allow_missing.iter().any(|glob| matches_glob(glob, name)) {
                    unmatched.push(name.as_str());
                }
                continue;
            };
            let entry = &network.entries[&tensor];
            let problem = match delta.shape() {
                Err(problem) => Some(problem),
                Ok(shape) if !fits(&entry.info().shape, &shape) => {
                    Some(format!("{shape:?}, {:?} in the model", entry.info().shape))
                }
                Ok(_) => None,
            };
            if let Some(problem) = problem {
                misshapen.push(format!("{name} ({problem})"));
                continue;
            }
            let weight = match network.network {
                Network::Unet => blocks.unet(&tensor),
                Network::TextEncoder => blocks.text_encoder(),
            };
            let scale = (f64::from(delta.scale) * strength * weight) as f32;
            if scale != 0.0 {
                let changed = entry.with_delta(Arc::new(Delta { scale, ..delta.clone() }));
                network.entries.insert(tensor, changed);
            }
        }
        self.check_fit(&unmatched, &misshapen)?;
        let [unet, text_encoder] = networks.map(Target::into_weights);
        Ok((unet, text_encoder))
    }

    fn check_fit(&self, unmatched: &[&str], misshapen: &[String]) -> Result<()> {
        if unmatched.is_empty() && misshapen.is_empty() {
            return Ok(());
        }
        let mut reason = self.origin.display().to_string();
        if let Some(family) = self.family().filter(|family| *family != SD1) {
            reason.push_str(&format!(", a LoRA for {family}"));
        }
        if !misshapen.is_empty() {
            let (count, names) = (misshapen.len(), shortened(misshapen));
            reason.push_str(&format!("\n  {count} of another shape: {names}"));
        }
        if !unmatched.is_empty() {
            let (count, names) = (unmatched.len(), shortened(unmatched));
            reason.push_str(&format!("\n  {count} match nothing in the model: {names}"));
        }
        reason.push_str(if misshapen.is_empty() {
            "\n  if that is intended, --allow-missing PATTERN (with * and ?) leaves them out"
        } else {
            "\n  it was trained for another model, or is damaged"
        });
        Err(Error::Weights { part: "the LoRA".to_owned(), reason })
    }

    /// What it is, for people.
    pub fn summary(&self) -> LoraSummary {
        let mut summary = LoraSummary {
            naming: self.naming,
            ranks: BTreeMap::new(),
            unet: BTreeMap::new(),
            text_encoder: BTreeMap::new(),
            family: self.family().map(str::to_owned),
        };
        for (layer, change) in &self.changes {
            *summary.ranks.entry(change.delta.rank()).or_default() += 1;
            let kinds = match layer.likely_network() {
                Network::Unet => &mut summary.unet,
                Network::TextEncoder => &mut summary.text_encoder,
            };
            *kinds.entry(layer.kind().to_owned()).or_default() += 1;
        }
        summary
    }

    /// The family of models whose text states are as wide as the cross attention expects.
    fn family(&self) -> Option<&'static str> {
        let cross = self.changes.iter().find(|(layer, _)| {
            let flat = layer.path.replace('.', "_");
            flat.contains("attn2_to_k") || flat.contains("attn2_to_v")
        });
        match cross?.1.delta.shape().ok()?[1] {
            768 => Some(SD1),
            1024 => Some("Stable Diffusion 2"),
            2048 => Some("Stable Diffusion XL"),
            _ => None,
        }
    }
}

impl Found {
    fn complete(self, layer: Layer, alphas: &Alphas) -> Result<(Layer, Change), String> {
        let (Some(up), Some(down)) = (self.up, self.down) else {
            let name = if self.name.is_empty() { &layer.path } else { &self.name };
            return Err(format!("damaged: {name} has no counterpart, up or down"));
        };
        for entry in [Some(&up), self.mid.as_ref(), Some(&down)].into_iter().flatten() {
            if !is_float(entry.info().dtype) {
                return Err(format!("damaged: {} is {:?}", self.name, entry.info().dtype));
            }
        }
        let mut delta = Delta { up, mid: self.mid, down, scale: 1.0 };
        let rank = delta.rank().max(1) as f32;
        delta.scale = match self.alpha {
            Some(alpha) => alpha / rank,
            None => alphas.scale(&layer, rank),
        };
        Ok((layer, Change { name: self.name, delta }))
    }
}

/// The scale that a file gives a layer, before it is divided by the rank.
fn alpha(entry: &Entry) -> Result<f32, String> {
    if !is_float(entry.info().dtype) || entry.info().elements() != 1 {
        return Err(format!("is no number: {:?} {:?}", entry.info().dtype, entry.info().shape));
    }
    let data = entry.read().map_err(|error| error.to_string())?;
    let value = to_float(data, FloatDType::F32).iter::<f32>().next().unwrap_or(f32::NAN);
    if value.is_finite() { Ok(value) } else { Err(format!("is {value}")) }
}

/// Refuses by name what was fine-tuned in another way, or for another family of models.
fn check_kind(weights: &Weights) -> Result<()> {
    let has = |glob: &str| weights.names().any(|name| matches_glob(glob, name));
    let reason = match OTHER_KINDS.iter().find(|(glob, _)| has(glob)) {
        Some((_, kind)) => format!("is {kind}, not LoRA, which alone is supported"),
        None if has("lora_te2_*") || has("text_encoder_2.*") => {
            "is a LoRA for Stable Diffusion XL; musev's models are Stable Diffusion 1.5".to_owned()
        }
        None => return Ok(()),
    };
    Err(Error::checkpoint(weights.origin(), reason))
}
