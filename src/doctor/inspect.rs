//! What a checkpoint is, compared with the networks of this library.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::checkpoint::{self, Inspection, KnownNetwork};
use crate::error::Result;
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig};
use crate::models::vae::{self, AutoencoderKLConfig};
use crate::{Device, Error};

/// Segments of the names that only the motion model has.
const MOTION: [&str; 4] = ["temp_convs", "temp_attentions", "transformer_in", "frame_embedding"];

/// Tells what a file or folder is, its tensors, which network they fit, and what is missing for
/// which variant. Only tables of tensors are read.
///
/// # Errors
/// When the path cannot be read as weights, nor as a folder of them.
pub fn inspect(path: &Path) -> Result<Inspection> {
    checkpoint::inspect(path, known_networks)
}

/// The networks of the published sizes, and those of the `config.json` in `folder`, if any.
fn known_networks(folder: &Path) -> Vec<KnownNetwork> {
    let class = class_name(folder);
    let class = class.as_deref().unwrap_or_default();
    let mut known = unets("Stable Diffusion 1.5", &UNet3DConditionModelConfig::default());
    known.push(autoencoder(&AutoencoderKLConfig::default()));
    known.push(text_encoder(&CLIPTextConfig::default()));
    let file = folder.join("config.json");
    match class {
        "AutoencoderKL" => known.extend(
            configured(&file, AutoencoderKLConfig::validate).map(|config| autoencoder(&config)),
        ),
        "CLIPTextModel" | "CLIPTextModelWithProjection" => known.extend(
            configured(&file, CLIPTextConfig::validate).map(|config| text_encoder(&config)),
        ),
        "UNet2DConditionModel" | "UNet3DConditionModel" => known.extend(
            configured(&file, UNet3DConditionModelConfig::validate)
                .into_iter()
                .flat_map(|config| unets("the size of its config.json", &config)),
        ),
        _ => {}
    }
    known
}

/// The class that a `config.json` is for.
fn class_name(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let named = config.get("_class_name").or_else(|| config.get("architectures")?.get(0))?;
    Some(named.as_str()?.to_string())
}

/// A configuration that can be built; a damaged one is left to the loading to complain about.
fn configured<C: DeserializeOwned>(
    file: &Path,
    validate: impl Fn(&C, &str) -> Result<(), Error>,
) -> Option<C> {
    let config: C = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    validate(&config, &file.display().to_string()).is_ok().then_some(config)
}

/// The denoiser of that size, and its spatial half.
fn unets(size: &str, config: &UNet3DConditionModelConfig) -> Vec<KnownNetwork> {
    let module = config.init(&Device::flex());
    let whole = KnownNetwork::new(format!("UNet of musev, {size}"), &module, unet_3d::KEYS);
    let spatial = |name: &str| name.split('.').all(|segment| !MOTION.contains(&segment));
    let flat = whole.only(format!("2-D UNet, {size}"), spatial);
    vec![whole, flat]
}

fn autoencoder(config: &AutoencoderKLConfig) -> KnownNetwork {
    KnownNetwork::new("AutoencoderKL", &config.init(&Device::flex()), vae::KEYS)
}

fn text_encoder(config: &CLIPTextConfig) -> KnownNetwork {
    KnownNetwork::new("CLIP text encoder", &config.init(&Device::flex()), text::KEYS)
}
