//! Single-file checkpoints of Stable Diffusion 1: UNet, autoencoder and text encoder in one file,
//! their tensors under the names of diffusers.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::keys::matches_glob;
use super::ldm::{UnetLayout, VaeLayout, text_to_diffusers};
use super::load::is_ignored;
use super::weights::{Weights, shortened};
use crate::error::{Error, Result};

/// What the names of each network begin with in a single file.
pub(super) const UNET: &str = "model.diffusion_model.";
pub(super) const VAE: &str = "first_stage_model.";
pub(super) const TEXT_ENCODER: &str = "cond_stage_model.transformer.";

/// What a checkpoint of a training framework puts before every name of its model.
const WRAPPER: &str = "state_dict.";

/// A tensor that every autoencoder in LDM's naming has.
const VAE_ALONE: &str = "encoder.down.0.block.0.conv1.weight";

/// Globs of tensors without use: those of a training run, tables that follow from the schedule, and
/// heads of CLIP that Stable Diffusion does not look at.
const WITHOUT_USE: [&str; 15] = [
    "model_ema.*",
    "first_stage_model.loss.*",
    "loss.*",
    "optimizer_states.*",
    "callbacks.*",
    "cond_stage_model.*logit_scale",
    "cond_stage_model.*text_projection*",
    "betas",
    "alphas_cumprod*",
    "sqrt_*",
    "log_one_minus_alphas_cumprod",
    "posterior_*",
    "logvar",
    "lvlb_weights",
    "scale_factor",
];

/// The networks of a single file.
#[derive(Clone, Debug)]
pub struct SingleFile {
    /// The UNet; absent where the file is an autoencoder.
    pub unet: Option<Weights>,
    /// The autoencoder.
    pub vae: Option<Weights>,
    /// The text encoder.
    pub text_encoder: Option<Weights>,
}

impl SingleFile {
    /// The networks of `weights`, `None` if its names are not those of a single file. No tensor is
    /// read. A tensor that the networks are not known to have keeps its name, for the strict
    /// report of loading.
    ///
    /// # Errors
    /// When it is a checkpoint of another family than Stable Diffusion 1.
    pub fn of(weights: &Weights) -> Result<Option<Self>> {
        let is_wrapped = weights.names().any(|name| name.starts_with(WRAPPER));
        let bare = if is_wrapped { weights.with_prefix_removed(WRAPPER) } else { weights.clone() };
        if let Some(family) = other_family(&bare) {
            let reason = format!(
                "is a checkpoint of {family}; the motion of MuseV was trained with Stable Diffusion \
                 1.5, so only models of that family fit"
            );
            return Err(Error::checkpoint(weights.origin(), reason));
        }
        if bare.info(VAE_ALONE).is_some() {
            let vae = autoencoder(bare.entries().iter(), &bare)?;
            return Ok(Some(Self { unet: None, vae: Some(vae), text_encoder: None }));
        }
        if !bare.names().any(|name| name.starts_with(UNET)) {
            return Ok(None);
        }
        let (mut unet, mut vae, mut text) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut strangers = BTreeMap::new();
        for (name, entry) in bare.entries() {
            let parts = [(UNET, &mut unet), (VAE, &mut vae), (TEXT_ENCODER, &mut text)];
            if is_without_use(name) {
                continue;
            }
            let part = parts
                .into_iter()
                .find_map(|(prefix, part)| name.strip_prefix(prefix).map(|inner| (part, inner)));
            match part {
                Some((part, inner)) => part.insert(inner.to_owned(), entry.clone()),
                None => strangers.insert(name.clone(), entry.clone()),
            };
        }
        let layout = UnetLayout::of_ldm(unet.keys().map(String::as_str));
        let mut unet = renamed(unet.iter(), UNET, &bare, |name| layout.to_diffusers(name))?;
        unet.extend(strangers);
        let text = renamed(text.iter(), TEXT_ENCODER, &bare, |name| Some(text_to_diffusers(name)))?;
        Ok(Some(Self {
            unet: Some(bare.with_entries(unet)),
            vae: if vae.is_empty() { None } else { Some(autoencoder(vae.iter(), &bare)?) },
            text_encoder: (!text.is_empty()).then(|| bare.with_entries(text)),
        }))
    }

    /// The same networks under the names of a single file, ready to be written as one.
    ///
    /// # Errors
    /// When a tensor has no name there: temporal layers have none.
    pub fn joined(&self) -> Result<Weights> {
        let mut all = BTreeMap::new();
        let mut nameless = Vec::new();
        let mut add = |part: &Weights, prefix: &str, map: &dyn Fn(&str) -> Option<String>| {
            for (name, entry) in part.entries().iter().filter(|(name, _)| !is_ignored(name)) {
                match map(name) {
                    Some(ldm) => all.insert(format!("{prefix}{ldm}"), old_shape(&ldm, entry)),
                    None => {
                        nameless.push(name.clone());
                        None
                    }
                };
            }
        };
        if let Some(unet) = &self.unet {
            let layout = UnetLayout::of_diffusers(unet.names());
            add(unet, UNET, &|name| layout.to_ldm(name));
        }
        if let Some(vae) = &self.vae {
            let layout = VaeLayout::of_diffusers(vae.names());
            add(vae, VAE, &|name| layout.to_ldm(name));
        }
        if let Some(text) = &self.text_encoder {
            add(text, TEXT_ENCODER, &|name| Some(text_to_diffusers(name)));
        }
        let parts = [&self.unet, &self.vae, &self.text_encoder];
        let first = parts.into_iter().flatten().next();
        let first = first.ok_or_else(|| Error::checkpoint("", "there is no network to join"))?;
        if !nameless.is_empty() {
            let reason = format!(
                "a single file has no names for {} of its tensors: {}; the layout knows Stable \
                 Diffusion 1.5 alone, without motion",
                nameless.len(),
                shortened(&nameless)
            );
            return Err(Error::checkpoint(first.origin(), reason));
        }
        Ok(first.with_entries(all))
    }
}

/// The autoencoder of these tensors in LDM's naming.
fn autoencoder<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Entry)> + Clone,
    of: &Weights,
) -> Result<Weights> {
    let layout = VaeLayout::of_ldm(entries.clone().map(|(name, _)| name.as_str()));
    let entries = entries.filter(|(name, _)| !is_without_use(name));
    let mut renamed = renamed(entries, VAE, of, |name| layout.to_diffusers(name))?;
    for (name, entry) in &mut renamed {
        if name.contains(".attentions.") {
            *entry = entry.trimmed();
        }
    }
    Ok(of.with_entries(renamed))
}

/// Entries under the names that `map` gives; one without a name keeps its own, with the prefix.
fn renamed<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Entry)>,
    prefix: &str,
    of: &Weights,
    map: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Entry>> {
    let mut renamed = BTreeMap::new();
    for (name, entry) in entries {
        let new = map(name).unwrap_or_else(|| format!("{prefix}{name}"));
        if renamed.insert(new.clone(), entry.clone()).is_some() {
            let reason = format!("damaged: two of its tensors are {new}, one of them {name}");
            return Err(Error::checkpoint(of.origin(), reason));
        }
    }
    Ok(renamed)
}

/// The attention of the autoencoder consists of 1x1 convolutions in single files.
fn old_shape(ldm: &str, entry: &Entry) -> Entry {
    let is_projection = ldm.contains(".attn_1.") && entry.info().shape.len() == 2;
    if is_projection { entry.padded(4) } else { entry.clone() }
}

fn is_without_use(name: &str) -> bool {
    WITHOUT_USE.iter().any(|glob| matches_glob(glob, name)) || is_ignored(name)
}

/// The family of a checkpoint that is not Stable Diffusion 1.
fn other_family(weights: &Weights) -> Option<&'static str> {
    let has = |prefix: &str| weights.names().any(|name| name.starts_with(prefix));
    let width = |name: &str| weights.info(&format!("{UNET}{name}"))?.shape.get(1).copied();
    if has("conditioner.embedders.") || has("model.diffusion_model.label_emb.") {
        return Some("Stable Diffusion XL");
    }
    if has("model.diffusion_model.joint_blocks.") || has("joint_blocks.") {
        return Some("Stable Diffusion 3");
    }
    if has("model.diffusion_model.double_blocks.") || has("double_blocks.") {
        return Some("Flux");
    }
    let text_width = width("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight");
    if has("cond_stage_model.model.") || text_width == Some(1024) {
        return Some("Stable Diffusion 2");
    }
    match width("input_blocks.0.0.weight") {
        Some(9) => Some("Stable Diffusion's inpainting model"),
        Some(8) => Some("InstructPix2Pix"),
        _ => None,
    }
}
