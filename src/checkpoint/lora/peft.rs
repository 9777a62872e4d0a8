//! The scale of PEFT's LoRAs, which stands beside the tensors: in `adapter_config.json`, or in the
//! file's own metadata where diffusers wrote it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::names::{Layer, Network};
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::files::Files;

/// Where diffusers puts it in a safetensors file.
const METADATA_KEY: &str = "lora_adapter_metadata";
/// Where PEFT puts it in a folder.
const CONFIG_FILE: &str = "adapter_config.json";

/// The scales of the networks, where they are told.
#[derive(Debug, Default)]
pub(super) struct Alphas {
    unet: Option<AdapterConfig>,
    text_encoder: Option<AdapterConfig>,
}

/// What of an adapter's configuration changes the numbers.
#[derive(Clone, Debug, Deserialize)]
struct AdapterConfig {
    lora_alpha: Option<f64>,
    /// Exceptions, by the end of a layer's path.
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
}

impl Alphas {
    /// Those that stand beside or in the file of `weights`.
    pub(super) fn of(files: &Files, weights: &Weights) -> Result<Self> {
        let origin = weights.origin();
        let folder = if files.is_dir(origin) { Some(origin) } else { origin.parent() };
        let beside = folder.map(|folder| folder.join(CONFIG_FILE));
        let Some(file) = beside.filter(|file| files.is_file(file)) else {
            return Self::of_metadata(weights);
        };
        let config = serde_json::from_str(&files.read_text(&file)?)
            .map_err(|error| Error::config(file.display().to_string(), error.to_string()))?;
        Self { unet: Some(config), text_encoder: None }.checked(&file.display().to_string())
    }

    /// Those that the file itself tells.
    pub(super) fn of_metadata(weights: &Weights) -> Result<Self> {
        let Some(text) = weights.metadata(METADATA_KEY) else { return Ok(Self::default()) };
        let origin = format!("{} ({METADATA_KEY})", weights.origin().display());
        let damaged = |error: serde_json::Error| Error::config(origin.clone(), error.to_string());
        let all: Map<String, Value> = serde_json::from_str(text).map_err(damaged)?;
        let of = |network: &str| {
            let prefix = format!("{network}.");
            let own: Map<String, Value> = all
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()))
                })
                .collect();
            let config = (!own.is_empty()).then(|| serde_json::from_value(Value::Object(own)));
            config.transpose().map_err(damaged)
        };
        Self { unet: of("unet")?, text_encoder: of("text_encoder")? }.checked(&origin)
    }

    fn checked(self, origin: &str) -> Result<Self> {
        if [&self.unet, &self.text_encoder].into_iter().flatten().any(|config| config.use_dora) {
            return Err(Error::config(origin, "is of DoRA; only LoRA is supported"));
        }
        Ok(self)
    }

    /// What the product of a layer's matrices is multiplied by. Without a word it is 1.
    pub(super) fn scale(&self, layer: &Layer, rank: f32) -> f32 {
        let config = match layer.likely_network() {
            Network::TextEncoder if self.text_encoder.is_some() => &self.text_encoder,
            _ => &self.unet,
        };
        let Some(config) = config else { return 1.0 };
        let is_own = |end: &&String| {
            // A caret stands for the whole path.
            let rest = layer.path.strip_suffix(end.trim_start_matches('^'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let own = config.alpha_pattern.iter().find(|(end, _)| is_own(end)).map(|(_, alpha)| *alpha);
        let Some(alpha) = own.or(config.lora_alpha) else { return 1.0 };
        alpha as f32 / if config.use_rslora { rank.sqrt() } else { rank }
    }
}
