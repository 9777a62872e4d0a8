//! Checkpoint folders of random weights, in the layout that MuseV and Stable Diffusion use:
//!
//! ```text
//! base/          model_index.json, scheduler/, tokenizer/, text_encoder/, unet/ (2-D), vae/
//! motion/musev/  unet/ (3-D, all of its tensors); of the other variant motion/musev_referencenet/
//! ```
//!
//! Tensors are written one block at a time, so the production size needs no memory.
#![allow(dead_code, reason = "each test and tool uses a part of this")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use half::f16;
use musev::Device;
use musev::checkpoint::state_dict;
use musev::models::clip::text::{self, CLIPTextConfig};
use musev::models::unet_3d::{self, UNet3DConditionModelConfig};
use musev::models::vae::{self, AutoencoderKLConfig};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Names and shapes, as in a state dict.
pub(crate) type Tensors = Vec<(String, Vec<usize>)>;

/// The networks of a checkpoint; the default is the production size.
#[derive(Default)]
pub(crate) struct Sizes {
    /// Both the 2-D and the 3-D UNet.
    pub(crate) unet: UNet3DConditionModelConfig,
    /// The autoencoder.
    pub(crate) vae: AutoencoderKLConfig,
    /// The text encoder; its vocabulary has to hold the [`TOKENS`] of the tokenizer.
    pub(crate) text_encoder: CLIPTextConfig,
}

/// Tokens of the written tokenizer: every byte, inside and at the end of a word, begin and end.
pub(crate) const TOKENS: usize = 514;

impl Sizes {
    /// Two levels, few channels: a complete model that is written and run in a moment. The
    /// autoencoder halves each side once.
    pub(crate) fn tiny() -> Self {
        let named = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        Self {
            unet: UNet3DConditionModelConfig {
                block_out_channels: vec![32, 64],
                layers_per_block: 1,
                norm_num_groups: 8,
                attention_head_dim: 4,
                cross_attention_dim: 32,
                down_block_types: named(["CrossAttnDownBlock3D", "DownBlock3D"]),
                up_block_types: named(["UpBlock3D", "CrossAttnUpBlock3D"]),
                ..Default::default()
            },
            vae: AutoencoderKLConfig {
                block_out_channels: vec![16, 32],
                down_block_types: named(["DownEncoderBlock2D"; 2]),
                up_block_types: named(["UpDecoderBlock2D"; 2]),
                layers_per_block: 1,
                norm_num_groups: 8,
                ..Default::default()
            },
            text_encoder: CLIPTextConfig {
                vocab_size: TOKENS,
                hidden_size: 32,
                intermediate_size: 64,
                num_hidden_layers: 2,
                num_attention_heads: 4,
                ..Default::default()
            },
        }
    }

    /// The tensors of the 3-D UNet, those of the base model among them.
    pub(crate) fn unet_tensors(&self) -> Tensors {
        state_dict(&self.unet.init(&Device::flex()), unet_3d::KEYS)
    }

    /// The tensors of the autoencoder.
    pub(crate) fn vae_tensors(&self) -> Tensors {
        state_dict(&self.vae.init(&Device::flex()), vae::KEYS)
    }

    /// The tensors of the text encoder.
    pub(crate) fn text_encoder_tensors(&self) -> Tensors {
        state_dict(&self.text_encoder.init(&Device::flex()), text::KEYS)
    }
}

/// Writes a complete tiny checkpoint under `root`.
pub(crate) fn write_tiny_checkpoint(root: &Path) -> io::Result<()> {
    write_checkpoint(root, &Sizes::tiny())
}

/// Writes a complete checkpoint of these sizes under `root`, in float16.
pub(crate) fn write_checkpoint(root: &Path, sizes: &Sizes) -> io::Result<()> {
    let base = root.join("base");
    let unet = sizes.unet_tensors();
    let spatial: Tensors = unet.iter().filter(|(name, _)| !is_motion(name)).cloned().collect();
    let diffusers = "diffusion_pytorch_model.safetensors";

    let vae_config = class("AutoencoderKL", &sizes.vae)?;
    write_network(&base.join("vae"), &vae_config, diffusers, &sizes.vae_tensors())?;
    let text_config = class("CLIPTextModel", &sizes.text_encoder)?;
    let text_tensors = sizes.text_encoder_tensors();
    write_network(&base.join("text_encoder"), &text_config, "model.safetensors", &text_tensors)?;
    let flat_config = two_dimensional(class("UNet2DConditionModel", &sizes.unet)?);
    write_network(&base.join("unet"), &flat_config, diffusers, &spatial)?;
    let unet_config = class("UNet3DConditionModel", &sizes.unet)?;
    let motion = match sizes.unet.variant.need_refer_emb {
        true => "motion/musev_referencenet",
        false => "motion/musev",
    };
    write_network(&root.join(motion).join("unet"), &unet_config, diffusers, &unet)?;

    write_scheduler(&base.join("scheduler"))?;
    write_tokenizer(&base.join("tokenizer"))?;
    let index = json!({
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    });
    write_json(&base.join("model_index.json"), &index)
}

/// Whether a tensor of the 3-D UNet belongs to the motion module alone.
pub(crate) fn is_motion(name: &str) -> bool {
    let parts = ["temp_convs", "temp_attentions", "transformer_in", "frame_embedding"];
    let is_part = |segment: &str| {
        parts.contains(&segment) || segment.ends_with("refer_emb_attns") || segment.ends_with("_ip")
    };
    name.split('.').any(is_part)
}

/// Writes float16 tensors as safetensors, block by block. Weights have the variance that keeps
/// activations level, norms are near the identity; values depend on the name alone.
pub(crate) fn write_safetensors(path: &Path, tensors: &Tensors) -> io::Result<()> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let info = json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), info);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (name, shape) in tensors {
        write_values(&mut file, name, shape)?;
    }
    file.flush()
}

fn write_values(file: &mut impl Write, name: &str, shape: &[usize]) -> io::Result<()> {
    const BLOCK: usize = 1 << 16;
    let (mean, deviation) = distribution(name, shape);
    // Uniform values: of the same variance as normal ones, and made in a tenth of the time.
    let reach = deviation * 3f32.sqrt();
    let mut state = seed(name);
    let mut left: usize = shape.iter().product();
    let mut block = Vec::with_capacity(BLOCK);
    while left > 0 {
        let length = left.min(BLOCK);
        block.clear();
        block.extend((0..length).map(|_| f16::from_f32(mean + reach * uniform(&mut state))));
        file.write_all(bytemuck::cast_slice(&block))?;
        left -= length;
    }
    Ok(())
}

/// Mean and deviation of a tensor's values.
fn distribution(name: &str, shape: &[usize]) -> (f32, f32) {
    let fan_in: usize = shape.iter().skip(1).product();
    match shape.len() {
        // Temporal branches count a tenth, so that a test sees them.
        _ if name.ends_with("temporal_weight") => (0.1, 0.0),
        _ if name.contains("embedding") && name.starts_with("text_model") => (0.0, 0.02),
        0 | 1 if name.ends_with("weight") => (1.0, 0.02),
        0 | 1 => (0.0, 0.02),
        _ => (0.0, 1.0 / (fan_in as f32).sqrt()),
    }
}

/// FNV-1a.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// SplitMix64, as a number between -1 and 1.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed >> 40) as f32 / (1u64 << 23) as f32) - 1.0
}

pub(crate) fn write_network(
    folder: &Path,
    config: &Value,
    file: &str,
    tensors: &Tensors,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    write_json(&folder.join("config.json"), config)?;
    write_safetensors(&folder.join(file), tensors)
}

/// A configuration with the class that diffusers would build from it.
pub(crate) fn class(name: &str, config: &impl Serialize) -> io::Result<Value> {
    let mut config = serde_json::to_value(config)?;
    config["_class_name"] = name.into();
    Ok(config)
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

fn write_scheduler(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let config = json!({
        "_class_name": "EulerDiscreteScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "steps_offset": 1,
    });
    write_json(&folder.join("scheduler_config.json"), &config)
}

/// A byte-level vocabulary without merges: any text becomes one token a byte.
fn write_tokenizer(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let bytes = byte_characters();
    let inside = bytes.iter().map(|character| character.to_string());
    let at_end = bytes.iter().map(|character| format!("{character}</w>"));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let vocabulary: Map<String, Value> = inside
        .chain(at_end)
        .chain(special)
        .enumerate()
        .map(|(id, token)| (token, id.into()))
        .collect();
    assert_eq!(vocabulary.len(), TOKENS);
    write_json(&folder.join("vocab.json"), &vocabulary.into())?;
    fs::write(folder.join("merges.txt"), "#version: 0.2\n")?;
    let config = json!({
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    });
    write_json(&folder.join("tokenizer_config.json"), &config)
}

/// The characters that byte-level vocabularies write bytes with: printable ones stand for
/// themselves, the others for those from 256 on.
fn byte_characters() -> Vec<char> {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let shifted = (256u32..).take(256 - (0..256).filter(printable).count());
    let characters = (0..256).filter(printable).chain(shifted);
    characters.map(|code| char::from_u32(code).expect("all below 0x200")).collect()
}

fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    fs::write(path, serde_json::to_string_pretty(value)? + "\n")
}
