//! What a checkpoint is, compared with the networks of this library.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::checkpoint::{self, Inspection, KnownNetwork, Weights};
use crate::error::Result;
use crate::models::clip::text::{self, CLIPTextConfig};
use crate::models::clip::vision::{self, CLIPVisionConfig};
use crate::models::controlnet::{self, ControlNetModelConfig};
use crate::models::ip_adapter::face_id::{self, FaceIDProjModelConfig};
use crate::models::ip_adapter::image_proj::{self, ImageProjModelConfig};
use crate::models::ip_adapter::resampler::{self, ResamplerConfig};
use crate::models::pose_guider::{self, PoseGuiderConfig};
use crate::models::referencenet::{self, ReferenceNet2DConfig};
use crate::models::unet_3d::{self, UNet3DConditionModelConfig, UNet3DVariant};
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

/// The networks of the published sizes, that of the `config.json` in `folder`, if any, and those
/// whose sizes the weights tell.
fn known_networks(folder: &Path, weights: &Weights) -> Vec<KnownNetwork> {
    let class = class_name(folder);
    let class = class.as_deref().unwrap_or_default();
    let mut known = unets("Stable Diffusion 1.5", &UNet3DConditionModelConfig::default());
    known.push(autoencoder(&AutoencoderKLConfig::default()));
    known.push(text_encoder(&CLIPTextConfig::default()));
    known.push(image_encoder(&CLIPVisionConfig::default()));
    known.push(control_net(&ControlNetModelConfig::default()));
    known.push(reference_net(&ReferenceNet2DConfig::default()));
    known.extend(sized_by(weights));
    let file = folder.join("config.json");
    match class {
        "AutoencoderKL" => known.extend(
            configured(&file, AutoencoderKLConfig::validate).map(|config| autoencoder(&config)),
        ),
        "CLIPTextModel" | "CLIPTextModelWithProjection" => known.extend(
            configured(&file, CLIPTextConfig::validate).map(|config| text_encoder(&config)),
        ),
        "CLIPVisionModel" | "CLIPVisionModelWithProjection" => known.extend(
            configured(&file, CLIPVisionConfig::validate).map(|config| image_encoder(&config)),
        ),
        "ControlNetModel" => known.extend(
            configured(&file, ControlNetModelConfig::validate).map(|config| control_net(&config)),
        ),
        "ReferenceNet2D" => known.extend(
            configured(&file, ReferenceNet2DConfig::validate).map(|config| reference_net(&config)),
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

/// The denoiser of that size in its variants, and its spatial half.
fn unets(size: &str, config: &UNet3DConditionModelConfig) -> Vec<KnownNetwork> {
    let of = |name: &str, variant| {
        let module = UNet3DConditionModelConfig { variant, ..config.clone() }.init(&Device::flex());
        KnownNetwork::new(format!("UNet of {name}, {size}"), &module, unet_3d::KEYS)
    };
    let whole = of("musev", UNet3DVariant::MUSEV);
    let spatial = |name: &str| name.split('.').all(|segment| !MOTION.contains(&segment));
    let flat = whole.only(format!("2-D UNet, {size}"), spatial);
    let refers = UNet3DVariant::MUSEV_REFERENCENET;
    let faces = UNet3DVariant { need_t2i_ip_adapter_face: true, ..refers };
    vec![whole, flat, of("musev_referencenet", refers), of("musev_referencenet with faces", faces)]
}

/// The networks that have no configuration: the shapes of their tensors tell it.
fn sized_by(weights: &Weights) -> Option<KnownNetwork> {
    let shape = |name: &str| Some(weights.info(name)?.shape.clone());
    let device = Device::flex();
    let origin = weights.origin().display().to_string();
    if let Some(config) = ImageProjModelConfig::of_shapes(&shape) {
        config.validate(&origin).ok()?;
        let name = "image projection of IP-Adapter";
        return Some(KnownNetwork::new(name, &config.init(&device), image_proj::KEYS));
    }
    if let Some(config) = ResamplerConfig::of_shapes(&shape) {
        config.validate(&origin).ok()?;
        let name = "resampler of IP-Adapter Plus";
        return Some(KnownNetwork::new(name, &config.init(&device), resampler::KEYS));
    }
    if let Some(config) = FaceIDProjModelConfig::of_shapes(&shape) {
        config.validate(&origin).ok()?;
        let name = "face projection of IP-Adapter FaceID";
        return Some(KnownNetwork::new(name, &config.init(&device), face_id::KEYS));
    }
    let config = PoseGuiderConfig::of_shapes(&shape)?;
    config.validate(&origin).ok()?;
    Some(KnownNetwork::new("pose guider", &config.init(&device), pose_guider::KEYS))
}

fn autoencoder(config: &AutoencoderKLConfig) -> KnownNetwork {
    KnownNetwork::new("AutoencoderKL", &config.init(&Device::flex()), vae::KEYS)
}

fn text_encoder(config: &CLIPTextConfig) -> KnownNetwork {
    KnownNetwork::new("CLIP text encoder", &config.init(&Device::flex()), text::KEYS)
}

fn image_encoder(config: &CLIPVisionConfig) -> KnownNetwork {
    KnownNetwork::new("CLIP image encoder", &config.init(&Device::flex()), vision::KEYS)
}

fn control_net(config: &ControlNetModelConfig) -> KnownNetwork {
    KnownNetwork::new("ControlNet", &config.init(&Device::flex()), controlnet::KEYS)
}

fn reference_net(config: &ReferenceNet2DConfig) -> KnownNetwork {
    KnownNetwork::new("ReferenceNet", &config.init(&Device::flex()), referencenet::KEYS)
}
