//! The configurations of a model folder, where a single file carries none: Stable Diffusion 1.5's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::create;
use crate::error::{Error, Result};
use crate::models::clip::text::CLIPTextConfig;
use crate::models::unet_3d::UNet3DConditionModelConfig;
use crate::models::vae::AutoencoderKLConfig;
use crate::pipeline::{CONFIG_KEYS, SCHEDULER};

/// Writes the configurations into the folders of `model`: those `carried` by a single file, or
/// else the defaults.
pub(super) fn write(carried: &BTreeMap<String, String>, model: &Path) -> Result<()> {
    let mut index = json!({
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [null, null],
        "safety_checker": [null, null],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    });
    for (part, key) in CONFIG_KEYS {
        let folder = model.join(part);
        let (name, library, class) = match part {
            "scheduler" => ("scheduler_config.json", "diffusers", "PNDMScheduler"),
            "vae" => ("config.json", "diffusers", "AutoencoderKL"),
            "text_encoder" => ("config.json", "transformers", "CLIPTextModel"),
            _ => ("config.json", "diffusers", "UNet2DConditionModel"),
        };
        if part == "scheduler" {
            create(&folder)?;
        } else if !folder.is_dir() {
            continue;
        }
        let text = carried.get(key).cloned().unwrap_or_else(|| of_stable_diffusion(part));
        write_text(&folder.join(name), &text)?;
        index[part] = json!([library, class]);
    }
    write_text(&model.join("model_index.json"), &pretty(&index))
}

fn of_stable_diffusion(part: &str) -> String {
    match part {
        "scheduler" => SCHEDULER.to_owned(),
        "vae" => pretty(&class(&AutoencoderKLConfig::default(), "AutoencoderKL")),
        "text_encoder" => {
            let mut config = plain(&CLIPTextConfig::default());
            config["architectures"] = json!(["CLIPTextModel"]);
            config["model_type"] = "clip_text_model".into();
            pretty(&config)
        }
        _ => {
            let config = class(&UNet3DConditionModelConfig::default(), "UNet2DConditionModel");
            pretty(&two_dimensional(config))
        }
    }
}

/// The base model's spelling of the block types.
fn two_dimensional(mut config: Value) -> Value {
    for key in ["down_block_types", "up_block_types"] {
        for kind in config[key].as_array_mut().into_iter().flatten() {
            *kind = kind.as_str().unwrap_or_default().replace("3D", "2D").into();
        }
    }
    config
}

fn class(config: &impl Serialize, name: &str) -> Value {
    let mut config = plain(config);
    config["_class_name"] = name.into();
    config
}

fn plain(config: &impl Serialize) -> Value {
    serde_json::to_value(config).expect("a configuration can be written as JSON")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::io("write", path, error))
}
