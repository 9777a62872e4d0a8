//! The model that is inside musev: small, trained by `musev train`, told of in
//! `configs/models/mini/README.md`.

use std::path::Path;

use super::files::{ModelFiles, NetworkFiles};
use crate::checkpoint::Weights;
use crate::config::ModelSettings;
use crate::error::Result;
use crate::prompt::ClipTokenizer;
use crate::schedulers::EulerDiscreteSchedulerConfig;

/// Its name.
const NAME: &str = "mini";

/// The text of one of its files.
macro_rules! text {
    ($($path:literal),+) => {
        include_str!(concat!("../../configs/models/mini/", $($path),+))
    };
}

/// Configuration and weights of one of its networks.
macro_rules! network {
    ($part:literal) => {
        NetworkFiles {
            origin: concat!("mini/", $part, "/config.json").to_owned(),
            config: text!($part, "/config.json").to_owned(),
            weights: Weights::from_bytes(
                concat!("mini/", $part, "/model.safetensors"),
                include_bytes!(concat!("../../configs/models/mini/", $part, "/model.safetensors"))
                    .as_slice(),
            )?,
        }
    };
}

impl ModelFiles {
    /// The model that is inside musev.
    ///
    /// # Errors
    /// Never with the files that musev is built from.
    pub fn mini() -> Result<Self> {
        Ok(Self {
            name: NAME.to_owned(),
            settings: ModelSettings::parse(text!("settings.yaml"), "mini/settings.yaml")?,
            scheduler: EulerDiscreteSchedulerConfig::from_json(
                "mini/scheduler/scheduler_config.json",
                text!("scheduler/scheduler_config.json"),
            )?,
            tokenizer: ClipTokenizer::from_texts(
                Path::new("mini/tokenizer"),
                text!("tokenizer/vocab.json"),
                text!("tokenizer/merges.txt"),
                None,
            )?,
            text_encoder: network!("text_encoder"),
            vae: network!("vae"),
            unet: network!("unet"),
        })
    }
}
