//! The networks that diffusers wrote, loaded as every other.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};
use musev::Device;
use musev::checkpoint::{KeyRename, LoadOptions, Weights, load};
use musev::models::clip::text::{self, CLIPTextConfig};
use musev::models::controlnet::{self, ControlNetModelConfig};
use musev::models::unet_3d::{self, UNet3DConditionModelConfig};
use musev::models::vae::{self, AutoencoderKLConfig};
use musev::pipeline::{Conditioners, Engine, TextEncoder};
use musev::random::Generator;
use musev::{ClipTokenizer, Request, Unwatched};
use serde::de::DeserializeOwned;

use crate::common;
use crate::record::{Run, golden};

/// What MuseV has besides Stable Diffusion: pictures are made without.
pub(crate) fn motion() -> Vec<String> {
    ["*temp_convs*", "*temp_attentions*", "transformer_in*", "frame_embedding*"]
        .map(str::to_owned)
        .to_vec()
}

fn config<T: DeserializeOwned>(folder: &Path) -> T {
    serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
}

fn loaded<M: Module>(module: M, folder: &Path, keys: &[KeyRename], device: &Device) -> M {
    let (part, allow_missing) = (folder.file_name().unwrap().to_str().unwrap(), motion());
    let options = LoadOptions { part, keys, allow_missing: &allow_missing, dtype: FloatDType::F32 };
    load(module, &Weights::open(folder).unwrap(), &options, device).unwrap()
}

pub(crate) fn text_encoder() -> TextEncoder {
    let (folder, cpu) = (golden("base/text_encoder"), Device::flex());
    let config: CLIPTextConfig = config(&folder);
    TextEncoder {
        tokenizer: ClipTokenizer::open(&golden("base/tokenizer")).unwrap(),
        model: loaded(config.init(&cpu), &folder, text::KEYS, &cpu).into(),
    }
}

/// The networks for `run`.
pub(crate) fn engine(run: &Run, with_control: bool) -> Engine {
    let device = common::device();
    let (unet, vae) = (golden("base/unet"), golden("base/vae"));
    let control_net = || {
        let folder = golden("controlnet");
        let config: ControlNetModelConfig = config(&folder);
        loaded(config.init(&device), &folder, controlnet::KEYS, &device)
    };
    let sizes: (UNet3DConditionModelConfig, AutoencoderKLConfig) = (config(&unet), config(&vae));
    Engine {
        unet: loaded(sizes.0.init(&device), &unet, unet_3d::KEYS, &device),
        vae: loaded(sizes.1.init(&device), &vae, vae::KEYS, &device),
        conditioners: Conditioners {
            control_nets: with_control.then(control_net).into_iter().collect(),
            ..Conditioners::default()
        },
        dtype: FloatDType::F32,
        scheduler: run.config.clone(),
        device,
    }
}

/// The latents that `request` ends with.
pub(crate) fn denoised(engine: &Engine, request: &Request) -> Tensor<5> {
    let mut generator = Generator::new(request.sampling.rng, request.sampling.seed);
    let run = async {
        let guidance = request.guidance.is_on();
        let prompts = [(&request.prompt, guidance)];
        let mut text = text_encoder().encode(&prompts, &engine.device, &mut Unwatched).await?;
        engine.denoise(request, text.remove(0), &mut generator, &mut Unwatched).await
    };
    pollster::block_on(run).unwrap().latents
}
