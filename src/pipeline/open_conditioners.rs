//! From the files of conditions to networks, all of which have to fit the denoiser.

use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::models::clip::vision::{self, CLIPVisionConfig};
use crate::models::controlnet::{self, ControlNetModel, ControlNetModelConfig};
use crate::models::ip_adapter::{face_id, image_proj, resampler};
use crate::models::pose_guider::{self, PoseGuider};
use crate::models::referencenet::{self, ReferenceNet2D, ReferenceNet2DConfig};
use crate::models::unet_2d::UNet2DEncoderConfig;
use crate::models::unet_3d::UNet3DConditionModelConfig;
use crate::models::vae::AutoencoderKL;
use crate::pipeline::adapter_files::{AdapterFile, AdapterKind};
use crate::pipeline::conditioner_files::{
    ConditionerFiles, FACE_PROJECTION, IMAGE_ENCODER, IMAGE_PROJECTION, REFERENCE_NET,
    pose_guider_config,
};
use crate::pipeline::files::NetworkFiles;
use crate::pipeline::open::Loader;
use crate::pipeline::slot::Slot;
use crate::pipeline::watch::{Event, Watch, report};
use crate::pipeline::{Conditioners, ImageAdapter, ImageProjection};

impl Loader {
    /// The networks of `files` for the denoiser of this configuration and its autoencoder.
    pub(super) fn conditioners(
        &self,
        files: &ConditionerFiles,
        (unet, vae): (&UNet3DConditionModelConfig, &AutoencoderKL),
        watch: &mut dyn Watch,
    ) -> Result<Conditioners> {
        let fit = Fit { unet, halvings: vae.downscale().ilog2() as usize };
        let reference_net = files.reference_net.as_ref();
        let reference_net = reference_net.map(|net| self.reference_net(net, &fit)).transpose()?;
        let image_adapter = self.image_adapter(files, &fit)?;
        let face_adapter = match &files.face_adapter {
            Some(AdapterFile { kind: AdapterKind::Face(config), projection, .. }) => {
                fit.check_tokens(files.face_adapter.as_ref())?;
                let config = config.clone();
                let init = move |device: &_| config.init(device);
                Some(self.slot(FACE_PROJECTION, face_id::KEYS, projection, init)?)
            }
            _ => None,
        };
        let mut control_nets = Vec::new();
        for net in &files.control_nets {
            control_nets.push(self.control_net(net, &fit)?);
            report(watch, Event::Loaded { part: "controlnet" })?;
        }
        let pose_guider = match &files.pose_guider {
            Some(weights) => {
                let guider = self.pose_guider(weights, &fit)?;
                report(watch, Event::Loaded { part: "pose_guider" })?;
                Some(guider)
            }
            None => None,
        };
        Ok(Conditioners { reference_net, image_adapter, face_adapter, control_nets, pose_guider })
    }

    fn reference_net(&self, files: &NetworkFiles, fit: &Fit<'_>) -> Result<Slot<ReferenceNet2D>> {
        let config: ReferenceNet2DConfig = files.parse()?;
        // The original's loader sets these, whatever the file says.
        let config = ReferenceNet2DConfig {
            need_block_embs: true,
            need_self_attn_block_embs: false,
            ..config
        };
        config.validate(&files.origin)?;
        if !fit.unet.variant.need_refer_emb {
            let reason = "the motion model has no place for a ReferenceNet; take one that was \
                          trained with it, as musev_referencenet";
            return Err(Error::config(files.origin.clone(), reason));
        }
        fit.check_levels(&config.encoder, &files.origin)?;
        let init = move |device: &_| config.init(device);
        self.slot(REFERENCE_NET, referencenet::KEYS, &files.weights, init)
    }

    fn image_adapter(
        &self,
        files: &ConditionerFiles,
        fit: &Fit<'_>,
    ) -> Result<Option<ImageAdapter>> {
        let encoder = files.image_encoder.as_ref().map(|encoder| {
            let config: CLIPVisionConfig = encoder.parse()?;
            let init = move |device: &_| config.init(device);
            self.slot(IMAGE_ENCODER, vision::KEYS, &encoder.weights, init)
        });
        let encoder = encoder.transpose()?;
        let Some(file) = &files.image_adapter else {
            return Ok(encoder.map(|encoder| ImageAdapter {
                encoder: Some(encoder),
                projection: ImageProjection::None,
            }));
        };
        fit.check_tokens(Some(file))?;
        let (part, weights) = (IMAGE_PROJECTION, &file.projection);
        let projection = match file.kind.clone() {
            AdapterKind::Whole(config) => {
                let init = move |device: &_| config.init(device);
                ImageProjection::Whole(self.slot(part, image_proj::KEYS, weights, init)?)
            }
            AdapterKind::Patches(config) => {
                let init = move |device: &_| config.init(device);
                ImageProjection::Patches(self.slot(part, resampler::KEYS, weights, init)?)
            }
            AdapterKind::Face(_) => ImageProjection::None,
        };
        Ok(Some(ImageAdapter { encoder, projection }))
    }

    fn control_net(&self, files: &NetworkFiles, fit: &Fit<'_>) -> Result<ControlNetModel> {
        let config: ControlNetModelConfig = files.parse()?;
        config.validate(&files.origin)?;
        fit.check_levels(&config.encoder, &files.origin)?;
        fit.check_halvings(config.conditioning_embedding_out_channels.len(), &files.origin)?;
        self.load("controlnet", config.init(&self.device), controlnet::KEYS, &files.weights)
    }

    fn pose_guider(&self, weights: &Weights, fit: &Fit<'_>) -> Result<PoseGuider> {
        let config = pose_guider_config(weights)?;
        let origin = weights.origin().display().to_string();
        let (made, wanted) =
            (config.conditioning_embedding_channels, fit.unet.block_out_channels[0]);
        if made != wanted {
            return Err(apart(&origin, format!("its features have {made} channels, not {wanted}")));
        }
        fit.check_halvings(config.block_out_channels.len(), &origin)?;
        self.load("pose_guider", config.init(&self.device), pose_guider::KEYS, weights)
    }
}

/// What networks of conditions have to fit.
struct Fit<'a> {
    unet: &'a UNet3DConditionModelConfig,
    /// How often the autoencoder halves the sides of pictures.
    halvings: usize,
}

impl Fit<'_> {
    /// A network with a feature for each of the denoiser's skip connections.
    fn check_levels(&self, encoder: &UNet2DEncoderConfig, origin: &str) -> Result<()> {
        let unet = self.unet;
        let sizes = [
            ("in_channels", encoder.in_channels, unet.in_channels),
            ("layers_per_block", encoder.layers_per_block, unet.layers_per_block),
            ("cross_attention_dim", encoder.cross_attention_dim, unet.cross_attention_dim),
        ];
        if let Some((key, made, wanted)) = sizes.iter().find(|(_, made, wanted)| made != wanted) {
            return Err(apart(origin, format!("{key} is {made}, not {wanted}")));
        }
        if encoder.block_out_channels != unet.block_out_channels {
            let (made, wanted) = (&encoder.block_out_channels, &unet.block_out_channels);
            return Err(apart(origin, format!("block_out_channels is {made:?}, not {wanted:?}")));
        }
        Ok(())
    }

    /// Convolutions of `levels` levels, from pictures to features of the latents' size.
    fn check_halvings(&self, levels: usize, origin: &str) -> Result<()> {
        let wanted = 1 + self.halvings;
        if levels == wanted {
            return Ok(());
        }
        let reason = format!("its control frames go through {levels} levels, not {wanted}");
        Err(apart(origin, reason))
    }

    /// Tokens that the denoiser reads beside the text.
    fn check_tokens(&self, adapter: Option<&AdapterFile>) -> Result<()> {
        let wanted = self.unet.cross_attention_dim;
        match adapter.map(|adapter| (adapter.token_channels(), adapter)) {
            Some((made, adapter)) if made != wanted => {
                let reason = format!("its tokens have {made} channels, not {wanted}");
                Err(apart(&adapter.origin(), reason))
            }
            _ => Ok(()),
        }
    }
}

fn apart(origin: &str, difference: String) -> Error {
    Error::config(origin, format!("{difference}; it does not belong to this motion model"))
}
