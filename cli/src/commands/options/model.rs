//! Which networks.

use std::path::PathBuf;

use clap::Args;
use musev::LoraChoice;

use super::embeddings::Embeddings;

/// Which networks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct Model {
    /// Take the model mini, which is inside musev and taken where no option of this group names
    /// another, or the whole model in this folder: its text_encoder, tokenizer, vae, unet and
    /// scheduler, or these in base and the motion's unet in motion/musev (or musev_referencenet, or
    /// musev_referencenet_pose), with what was trained beside it.
    #[arg(
        short,
        long,
        value_name = "mini|FOLDER",
        conflicts_with_all = [
            "model_dir", "sd_model_name", "sd_model_cfg_path", "unet_model_name",
            "unet_model_cfg_path", "vae_model_path", "tokenizer",
        ]
    )]
    pub(crate) model: Option<PathBuf>,
    /// Look for the models of the tables below this folder; without it below MUSEV_MODELS, or
    /// below ./checkpoints.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model_dir: Option<PathBuf>,
    /// Take text encoder, scheduler and the spatial weights from this model of the table; several
    /// with commas; all takes those that are there, and None takes --sd-model-cfg-path itself, a
    /// folder or a single file (.safetensors, .ckpt) [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) sd_model_name: Option<String>,
    /// Look base models up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH")]
    pub(crate) sd_model_cfg_path: Option<PathBuf>,
    /// Take the motion from this model of the table: musev, musev_referencenet or
    /// musev_referencenet_pose; None takes --unet-model-cfg-path itself [default: musev; with a
    /// ReferenceNet or an adapter: musev_referencenet]
    #[arg(long, value_name = "NAME")]
    pub(crate) unet_model_name: Option<String>,
    /// Look motion models up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH")]
    pub(crate) unet_model_cfg_path: Option<PathBuf>,
    /// Take the VAE from this folder or single file, or the one of this name [default:
    /// sd-vae-ft-mse; of a single file: the one inside]
    #[arg(long, value_name = "PATH|NAME")]
    pub(crate) vae_model_path: Option<String>,
    /// Take the tokenizer from this folder [default: the base model's; of a single file: the folder
    /// tokenizer beside it, or a base model's of the table]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Lay this LoRA over text encoder and UNet, with this weight, on these blocks: ALL, FACE,
    /// DEFACE, MIDD, OUTALL, or 17 numbers with commas; may be repeated.
    #[arg(long, value_name = "FILE[:WEIGHT[:BLOCKS]]")]
    pub(crate) lora: Vec<LoraChoice>,
    /// Lay the LCM LoRA of this name over the model, lcm-lora-sdv1-5, and sample with lcm: good in
    /// 4 to 8 steps; None takes --lcm-model-cfg-path itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) lcm_model_name: Option<String>,
    /// Look LCM LoRAs up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH", requires = "lcm_model_name")]
    pub(crate) lcm_model_cfg_path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) embeddings: Embeddings,
    /// Leave tensors that match this pattern at their initial values instead of failing; `*` stands
    /// for anything; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) allow_missing: Vec<String>,
}
