//! Checkpoint folders of random weights with everything that a video can look like:
//!
//! ```text
//! base/                       as in `checkpoints`
//! motion/musev_referencenet/  unet/, referencenet/, ip_adapter_image_proj.bin
//! IP-Adapter/models/          image_encoder/, ip-adapter_sd15.bin, ip-adapter-plus_sd15.bin,
//!                             ip-adapter-faceid_sd15.bin
//! ```

use std::io;
use std::path::Path;

use musev::Device;
use musev::checkpoint::state_dict;
use musev::models::clip::vision::{self, CLIPVisionConfig};
use musev::models::ip_adapter::face_id::{self, FaceIDProjModelConfig};
use musev::models::ip_adapter::image_proj::{self, ImageProjModelConfig};
use musev::models::ip_adapter::resampler::{self, ResamplerConfig};
use musev::models::referencenet::{self, ReferenceNet2DConfig};
use musev::models::unet_2d::UNet2DEncoderConfig;
use musev::models::unet_3d::{UNet3DConditionModelConfig, UNet3DVariant};

use crate::checkpoints::{
    Sizes, Tensors, class, write_checkpoint, write_network, write_safetensors,
};

/// Numbers of an embedding of a face.
pub(crate) const FACE: usize = 512;

/// As [`Sizes::tiny`], for the denoiser that looks at references.
pub(crate) fn tiny() -> (Sizes, CLIPVisionConfig) {
    let mut sizes = Sizes::tiny();
    // The last level takes features of the level before it.
    sizes.unet.block_out_channels = vec![32, 32];
    sizes.unet.variant = UNet3DVariant::MUSEV_REFERENCENET;
    let encoder = CLIPVisionConfig {
        hidden_size: 48,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        patch_size: 56,
        projection_dim: sizes.unet.cross_attention_dim,
        ..Default::default()
    };
    (sizes, encoder)
}

/// Writes a complete checkpoint of these sizes under `root`, in float16.
pub(crate) fn write(root: &Path, sizes: &Sizes, encoder: &CLIPVisionConfig) -> io::Result<()> {
    write_checkpoint(root, sizes)?;
    let (device, unet) = (Device::flex(), &sizes.unet);
    let motion = root.join("motion/musev_referencenet");
    let reference_net = ReferenceNet2DConfig { encoder: half_of(unet), ..Default::default() };
    let tensors = state_dict(&reference_net.init(&device), referencenet::KEYS);
    let config = class("ReferenceNet2D", &reference_net)?;
    let file = "diffusion_pytorch_model.safetensors";
    write_network(&motion.join("referencenet"), &config, file, &tensors)?;

    let adapters = root.join("IP-Adapter/models");
    let tensors = state_dict(&encoder.init(&device), vision::KEYS);
    let config = class("CLIPVisionModelWithProjection", encoder)?;
    write_network(&adapters.join("image_encoder"), &config, "model.safetensors", &tensors)?;

    let whole = ImageProjModelConfig {
        cross_attention_dim: unet.cross_attention_dim,
        clip_embeddings_dim: encoder.projection_dim,
        clip_extra_context_tokens: 4,
    };
    let whole = projection(state_dict(&whole.init(&device), image_proj::KEYS));
    write_safetensors(&motion.join("ip_adapter_image_proj.bin"), &whole)?;
    let layers = layers(sizes);
    write_safetensors(&adapters.join("ip-adapter_sd15.bin"), &[whole, layers.clone()].concat())?;
    let patches = ResamplerConfig {
        dim: 32,
        depth: 1,
        heads: 1,
        embedding_dim: encoder.hidden_size,
        output_dim: unet.cross_attention_dim,
        ..Default::default()
    };
    let patches = projection(state_dict(&patches.init(&device), resampler::KEYS));
    write_safetensors(
        &adapters.join("ip-adapter-plus_sd15.bin"),
        &[patches, layers.clone()].concat(),
    )?;
    let face = FaceIDProjModelConfig {
        cross_attention_dim: unet.cross_attention_dim,
        id_embeddings_dim: FACE,
        num_tokens: 4,
    };
    let face = projection(state_dict(&face.init(&device), face_id::KEYS));
    let lora: Tensors = vec![("ip_adapter.0.to_q_lora.down.weight".to_owned(), vec![8, 32])];
    write_safetensors(&adapters.join("ip-adapter-faceid_sd15.bin"), &[face, layers, lora].concat())
}

/// The sizes of the way down of `unet`, in two dimensions.
pub(crate) fn half_of(unet: &UNet3DConditionModelConfig) -> UNet2DEncoderConfig {
    let down = unet.down_block_types.iter().map(|kind| kind.replace("3D", "2D"));
    UNet2DEncoderConfig {
        block_out_channels: unet.block_out_channels.clone(),
        layers_per_block: unet.layers_per_block,
        norm_num_groups: unet.norm_num_groups,
        cross_attention_dim: unet.cross_attention_dim,
        attention_head_dim: unet.attention_head_dim,
        down_block_types: down.collect(),
        ..Default::default()
    }
}

fn projection(tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, shape)| (format!("image_proj.{name}"), shape)).collect()
}

/// Keys and values for every cross attention, as IP-Adapter files number them.
fn layers(sizes: &Sizes) -> Tensors {
    let tensors = sizes.unet_tensors();
    let attentions = sizes.unet.cross_attentions();
    let layer = |(i, path): (usize, &String)| {
        ["k", "v"].map(|kind| {
            let name = format!("{path}.to_{kind}_ip.weight");
            let (_, shape) = tensors.iter().find(|(other, _)| *other == name).expect("a branch");
            (format!("ip_adapter.{}.to_{kind}_ip.weight", 2 * i + 1), shape.clone())
        })
    };
    attentions.iter().enumerate().flat_map(layer).collect()
}
