//! Networks for the pictures that a video is to look like.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use musev::{ConditionerChoice, DEFAULT_IMAGE_ENCODER, Error, ModelChoice, Result};

/// What the motion model was trained with besides text and condition frames.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model: reference, image prompt and face")]
pub(crate) struct Conditioners {
    /// Give the video the look of a picture with the ReferenceNet of this name of the table,
    /// musev_referencenet; None takes --referencenet-model-cfg-path itself, or none at all.
    #[arg(long, value_name = "NAME")]
    pub(crate) referencenet_model_name: Option<String>,
    /// Look ReferenceNets up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH", requires = "referencenet_model_name")]
    pub(crate) referencenet_model_cfg_path: Option<PathBuf>,
    /// Read a picture like words with the IP-Adapter of this name of the table: musev_referencenet,
    /// musev_referencenet_pose, IPAdapter, IPAdapterPlus or IPAdapterPlus-face; None takes
    /// --ip-adapter-model-cfg-path itself, or none at all.
    #[arg(long, value_name = "NAME")]
    pub(crate) ip_adapter_model_name: Option<String>,
    /// Look IP-Adapters up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH", requires = "ip_adapter_model_name")]
    pub(crate) ip_adapter_model_cfg_path: Option<PathBuf>,
    /// Let the IP-Adapter see pictures with the encoder in this folder, or the one of this name
    /// [default with --vision-clip-extractor-class-name: image_encoder]
    #[arg(long, value_name = "PATH|NAME")]
    pub(crate) vision_clip_model_path: Option<String>,
    /// Let the IP-Adapter see pictures; without this and --vision-clip-model-path it sees none. What
    /// it reads of them is told by its file, whichever name is given.
    #[arg(long, value_name = "CLASS")]
    pub(crate) vision_clip_extractor_class_name: Option<ExtractorClass>,
    /// Read faces like words with the adapter of this name of the table, IPAdapterFaceID; None takes
    /// --ip-adapter-face-model-cfg-path itself, or none at all.
    #[arg(long, value_name = "NAME")]
    pub(crate) ip_adapter_face_model_name: Option<String>,
    /// Look adapters of faces up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH", requires = "ip_adapter_face_model_name")]
    pub(crate) ip_adapter_face_model_cfg_path: Option<PathBuf>,
    /// Refused but for None: FaceIn is in the original's options and not in its code.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) facein_model_name: Option<String>,
    /// Table of FaceIn models, which are not supported.
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) facein_model_cfg_path: Option<PathBuf>,
}

/// The original's classes for what an image encoder sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExtractorClass {
    /// The embedding of the whole picture.
    #[value(name = "ImageClipVisionFeatureExtractor")]
    Whole,
    /// The states of its patches.
    #[value(name = "ImageClipVisionFeatureExtractorV2")]
    Patches,
    /// Nothing.
    None,
}

impl Conditioners {
    /// The networks that are named.
    ///
    /// # Errors
    /// When FaceIn is asked for.
    pub(crate) fn choice(&self) -> Result<ConditionerChoice> {
        if self.facein_model_name.as_deref().is_some_and(|name| name != "None") {
            let reason = "FaceIn is not supported, as in the original; for faces there is \
                          --ip-adapter-face-model-name IPAdapterFaceID";
            return Err(Error::request("facein-model-name", reason));
        }
        let choice = |name: &Option<String>, table: &Option<PathBuf>| {
            Some(ModelChoice { name: name.clone()?, table: table.clone() })
        };
        Ok(ConditionerChoice {
            reference_net: choice(&self.referencenet_model_name, &self.referencenet_model_cfg_path),
            image_adapter: choice(&self.ip_adapter_model_name, &self.ip_adapter_model_cfg_path),
            image_encoder: self.image_encoder(),
            face_adapter: choice(
                &self.ip_adapter_face_model_name,
                &self.ip_adapter_face_model_cfg_path,
            ),
            ..ConditionerChoice::default()
        })
    }

    fn image_encoder(&self) -> Option<String> {
        let by_class = || match self.vision_clip_extractor_class_name? {
            ExtractorClass::None => None,
            ExtractorClass::Whole | ExtractorClass::Patches => {
                Some(DEFAULT_IMAGE_ENCODER.to_owned())
            }
        };
        self.vision_clip_model_path.clone().or_else(by_class)
    }

    /// Whether a network is named.
    pub(crate) fn name_a_network(&self) -> bool {
        let names = [
            &self.referencenet_model_name,
            &self.ip_adapter_model_name,
            &self.ip_adapter_face_model_name,
            &self.vision_clip_model_path,
        ];
        let named = |name: &&Option<String>| name.as_deref().is_some_and(|name| name != "None");
        let tables = [
            &self.referencenet_model_cfg_path,
            &self.ip_adapter_model_cfg_path,
            &self.ip_adapter_face_model_cfg_path,
        ];
        names.iter().any(named)
            || tables.iter().any(|table| table.is_some())
            || self.image_encoder().is_some()
    }
}
