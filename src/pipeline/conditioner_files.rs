//! The files of the networks of conditions, opened, but nothing of the weights read yet.

use std::path::Path;

use serde_json::json;

use super::adapter_files::{AdapterFile, AdapterKind};
use super::files::{NetworkFiles, NetworkSize, size_of};
use crate::checkpoint::{self, Weights};
use crate::config::ConditionerSpec;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::media::CLIP_SIZE;
use crate::models::clip::vision::CLIPVisionConfig;
use crate::models::pose_guider::PoseGuiderConfig;

/// How messages call the image encoder.
pub(super) const IMAGE_ENCODER: &str = "image_encoder";
/// How messages call the projection of image prompts.
pub(super) const IMAGE_PROJECTION: &str = "image_proj";
/// How messages call the projection of faces.
pub(super) const FACE_PROJECTION: &str = "face_proj";
/// How messages call the ReferenceNet.
pub(super) const REFERENCE_NET: &str = "referencenet";

/// The files of those networks of conditions that a model has.
#[derive(Clone, Debug, Default)]
pub(super) struct ConditionerFiles {
    pub(super) reference_net: Option<NetworkFiles>,
    pub(super) image_adapter: Option<AdapterFile>,
    pub(super) image_encoder: Option<NetworkFiles>,
    pub(super) face_adapter: Option<AdapterFile>,
    pub(super) control_nets: Vec<NetworkFiles>,
    pub(super) pose_guider: Option<Weights>,
}

impl ConditionerFiles {
    /// Opens the files of `spec`.
    pub(super) fn open(files: &Files, spec: &ConditionerSpec) -> Result<Self> {
        let network = |path: &Path| match files.is_dir(&path.join("referencenet")) {
            true => NetworkFiles::open(files, &path.join("referencenet")),
            false => NetworkFiles::open(files, path),
        };
        let adapter = |path: &Path| AdapterFile::open(files, path);
        let opened = Self {
            reference_net: spec.reference_net.as_deref().map(network).transpose()?,
            image_adapter: spec.image_adapter.as_deref().map(adapter).transpose()?,
            image_encoder: (spec.image_encoder.as_deref())
                .map(|folder| NetworkFiles::open(files, folder))
                .transpose()?,
            face_adapter: spec.face_adapter.as_deref().map(adapter).transpose()?,
            control_nets: (spec.control_nets.iter())
                .map(|path| control_net(files, path))
                .collect::<Result<_>>()?,
            pose_guider: (spec.pose_guider.as_deref())
                .map(|path| Weights::open_in(files, path))
                .transpose()?,
        };
        opened.check_adapters()?;
        Ok(opened)
    }

    /// Whether the adapters are what they were named as, and the image encoder is theirs.
    fn check_adapters(&self) -> Result<()> {
        if let Some(adapter) = &self.image_adapter
            && matches!(adapter.kind, AdapterKind::Face(_))
        {
            let reason = "is an adapter of faces; give it with --ip-adapter-face-model-name";
            return Err(Error::checkpoint(adapter.projection.origin(), reason));
        }
        if let Some(adapter) = &self.face_adapter
            && !matches!(adapter.kind, AdapterKind::Face(_))
        {
            let reason = "is an adapter of whole pictures; give it with --ip-adapter-model-name";
            return Err(Error::checkpoint(adapter.projection.origin(), reason));
        }
        let Some(encoder) = &self.image_encoder else { return Ok(()) };
        let config: CLIPVisionConfig = encoder.parse()?;
        config.validate(&encoder.origin)?;
        let refused = |reason: String| Err(Error::config(encoder.origin.clone(), reason));
        if config.image_size != CLIP_SIZE {
            let size = config.image_size;
            return refused(format!("image_size is {size}; only {CLIP_SIZE} is supported"));
        }
        let (key, made, wanted) = match self.image_adapter.as_ref().map(|adapter| &adapter.kind) {
            Some(AdapterKind::Whole(projection)) => {
                ("projection_dim", config.projection_dim, projection.clip_embeddings_dim)
            }
            Some(AdapterKind::Patches(resampler)) => {
                ("hidden_size", config.hidden_size, resampler.embedding_dim)
            }
            _ => return Ok(()),
        };
        if made != wanted {
            return refused(format!(
                "{key} is {made}, but the IP-Adapter reads {wanted} channels; the two do not belong \
                 together"
            ));
        }
        Ok(())
    }

    /// What the networks weigh, and whether they stay until the video is done.
    pub(super) fn sizes(&self) -> Vec<(NetworkSize, bool)> {
        let network = |files: &NetworkFiles, name| files.size(name);
        let passing = [
            self.image_encoder.as_ref().map(|files| network(files, IMAGE_ENCODER)),
            self.image_adapter.as_ref().map(|file| file.size(IMAGE_PROJECTION)),
            self.face_adapter.as_ref().map(|file| file.size(FACE_PROJECTION)),
            self.reference_net.as_ref().map(|files| network(files, REFERENCE_NET)),
        ];
        let control_nets = self.control_nets.iter().map(|files| network(files, "controlnet"));
        let pose_guider = self.pose_guider.iter().map(|weights| size_of("pose_guider", weights));
        let staying = control_nets.chain(pose_guider).map(|size| (size, true));
        passing.into_iter().flatten().map(|size| (size, false)).chain(staying).collect()
    }
}

/// The sizes of the pose guider whose weights these are.
///
/// # Errors
/// When it is none, or they are absurd.
pub(super) fn pose_guider_config(weights: &Weights) -> Result<PoseGuiderConfig> {
    let shape = |name: &str| Some(weights.info(name)?.shape.clone());
    let config = PoseGuiderConfig::of_shapes(&shape).ok_or_else(|| {
        Error::checkpoint(weights.origin(), "is no pose guider: it has no conv_in and conv_out")
    })?;
    config.validate(&weights.origin().display().to_string())?;
    Ok(config)
}

/// A ControlNet: a folder in the layout of diffusers, its file of weights, or a file of ControlNet's
/// authors, whose sizes are those for Stable Diffusion 1.5.
fn control_net(files: &Files, path: &Path) -> Result<NetworkFiles> {
    if !files.is_file(path) {
        return NetworkFiles::open(files, path);
    }
    let weights = Weights::open_in(files, path)?;
    if let Some(weights) = checkpoint::control_net(&weights)? {
        // No tensor tells it: only the one for shuffled pictures averages, known by its name.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let config = json!({ "global_pool_conditions": name.contains("shuffle") }).to_string();
        return Ok(NetworkFiles { origin: path.display().to_string(), config, weights });
    }
    let beside = path.with_file_name("config.json");
    let (origin, config) = match files.is_file(&beside) {
        true => (beside.clone(), files.read_text(&beside)?),
        false => (path.to_owned(), "{}".to_owned()),
    };
    Ok(NetworkFiles { origin: origin.display().to_string(), config, weights })
}
