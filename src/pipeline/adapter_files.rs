//! IP-Adapter files: a projection to tokens, and keys and values that the denoiser reads them with.

use std::path::Path;

use super::files::{NetworkSize, size_of};
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::models::ip_adapter::face_id::FaceIDProjModelConfig;
use crate::models::ip_adapter::image_proj::ImageProjModelConfig;
use crate::models::ip_adapter::resampler::ResamplerConfig;
use crate::models::unet_3d::UNet3DConditionModelConfig;

/// An opened file.
#[derive(Clone, Debug)]
pub(super) struct AdapterFile {
    /// What its projection projects.
    pub(super) kind: AdapterKind,
    /// The projection.
    pub(super) projection: Weights,
    /// Keys and values, by the number of the cross attention; none if the denoiser has its own. A
    /// LoRA among them is left aside, as in the original (quirk Q-8).
    layers: Weights,
}

/// What an adapter projects to tokens, with the sizes of its projection.
#[derive(Clone, Debug)]
pub(super) enum AdapterKind {
    /// CLIP's embedding of a picture.
    Whole(ImageProjModelConfig),
    /// What CLIP sees in the patches of a picture (IP-Adapter Plus).
    Patches(ResamplerConfig),
    /// Whose face it is (IP-Adapter FaceID).
    Face(FaceIDProjModelConfig),
}

/// Which of the denoiser's branches reads the tokens: the name of its keys and values, `#` being
/// `k` or `v`.
pub(super) const IMAGE_BRANCH: &str = "to_#_ip";
/// The same for faces.
pub(super) const FACE_BRANCH: &str = "ip_adapter_face_to_#_ip";

impl AdapterFile {
    /// Opens `path`, of which only the table of tensors is read.
    pub(super) fn open(files: &Files, path: &Path) -> Result<Self> {
        let weights = Weights::open_in(files, path)?;
        let projection = weights.with_prefix_removed("image_proj.");
        let shape = |name: &str| Some(projection.info(name)?.shape.clone());
        let origin = path.display().to_string();
        let kind = if let Some(config) = ImageProjModelConfig::of_shapes(&shape) {
            config.validate(&origin)?;
            AdapterKind::Whole(config)
        } else if let Some(config) = ResamplerConfig::of_shapes(&shape) {
            config.validate(&origin)?;
            AdapterKind::Patches(config)
        } else if let Some(config) = FaceIDProjModelConfig::of_shapes(&shape) {
            config.validate(&origin)?;
            AdapterKind::Face(config)
        } else {
            let reason = "is no IP-Adapter that is known: its image_proj is neither a projection of \
                          embeddings, nor a resampler of patches, nor a projection of faces";
            return Err(Error::checkpoint(path, reason));
        };
        let layers = weights.with_prefix_removed("ip_adapter.");
        Ok(Self { kind, projection, layers })
    }

    /// Its keys and values under the names that they have in `branch` of the denoiser of this
    /// configuration, `None` if it has none.
    pub(super) fn layers_for(
        &self,
        config: &UNet3DConditionModelConfig,
        branch: &str,
    ) -> Result<Option<Weights>> {
        if self.layers.names().next().is_none() {
            return Ok(None);
        }
        let attentions = config.cross_attentions();
        let name = |(i, path): (usize, &String)| {
            ["k", "v"].map(|kind| {
                let layer = branch.replace('#', kind);
                (format!("{}.to_{kind}_ip.weight", 2 * i + 1), format!("{path}.{layer}.weight"))
            })
        };
        let names: Vec<_> = attentions.iter().enumerate().flat_map(name).collect();
        self.layers.renamed(&names).map(Some)
    }

    /// Channels of the tokens.
    pub(super) fn token_channels(&self) -> usize {
        match &self.kind {
            AdapterKind::Whole(config) => config.cross_attention_dim,
            AdapterKind::Patches(config) => config.output_dim,
            AdapterKind::Face(config) => config.cross_attention_dim,
        }
    }

    /// The file, as messages call it.
    pub(super) fn origin(&self) -> String {
        self.projection.origin().display().to_string()
    }

    pub(super) fn size(&self, name: &'static str) -> NetworkSize {
        size_of(name, &self.projection)
    }
}
