//! What diffusers did.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use musev::checkpoint::Weights;
use musev::schedulers::SchedulerConfig;
use musev::{
    Guidance, Mode, Noise, NoiseType, Prompt, Request, Rng, Sampling, SchedulerKind, Size,
};
use serde::Deserialize;

use crate::common;

/// Of the largest value, the largest difference.
const TOLERANCE: f32 = 1e-3;

/// A run of a pipeline.
#[derive(Deserialize)]
pub(crate) struct Run {
    pub(crate) name: String,
    scheduler: String,
    pub(crate) config: SchedulerConfig,
    pub(crate) lora: Option<(String, f64)>,
    num_inference_steps: usize,
    guidance_scale: f64,
    seed: u64,
    #[serde(default)]
    eta: f64,
    strength: Option<f64>,
    pub(crate) controlnet_conditioning_scale: Option<f64>,
    pub(crate) control_guidance_start: Option<f64>,
    pub(crate) control_guidance_end: Option<f64>,
    #[serde(default)]
    pub(crate) guess_mode: bool,
}

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/diffusers").join(name)
}

/// The runs whose names begin with `prefix`.
pub(crate) fn runs(prefix: &str) -> Vec<Run> {
    let text = fs::read_to_string(golden("runs.json")).unwrap();
    let mut runs: Vec<Run> = serde_json::from_str(&text).unwrap();
    runs.retain(|run| run.name.starts_with(prefix));
    assert!(!runs.is_empty(), "{prefix}");
    runs
}

/// A recorded tensor.
pub(crate) fn recorded<const D: usize>(name: &str) -> Tensor<D> {
    let data = Weights::open(&golden("runs.safetensors")).unwrap().tensor(name).unwrap();
    Tensor::from_data(data, &common::device())
}

/// The latents at the end of a run.
pub(crate) fn latents(name: &str) -> Tensor<5> {
    recorded::<4>(name).unsqueeze_dim(2)
}

pub(crate) fn assert_close<const D: usize>(got: Tensor<D>, wanted: Tensor<D>, name: &str) {
    assert_eq!(got.dims(), wanted.dims(), "{name}");
    let values =
        |tensor: Tensor<D>| TensorData::iter::<f32>(&tensor.into_data()).collect::<Vec<_>>();
    let (got, wanted) = (values(got), values(wanted));
    let largest = wanted.iter().fold(0f32, |most, value| most.max(value.abs()));
    let apart = got.iter().zip(&wanted).map(|(got, wanted)| (got - wanted).abs());
    let apart =
        apart.fold(0f32, |most, value| if value > most || value.is_nan() { value } else { most });
    assert!(apart <= TOLERANCE * largest, "{name}: {apart} of {largest}");
}

impl Run {
    pub(crate) fn kind(&self) -> SchedulerKind {
        SchedulerKind::of_class(&self.scheduler).unwrap()
    }

    pub(crate) fn guidance(&self) -> Guidance {
        Guidance { scale: self.guidance_scale, ..Guidance::default() }
    }

    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            steps: self.num_inference_steps,
            scheduler: self.kind(),
            eta: self.eta,
            seed: self.seed,
            rng: Rng::TorchCpu,
            noise: Noise { noise_type: NoiseType::Random, img_weight: None, ..Noise::default() },
            strength: self.strength.unwrap_or(1.0),
        }
    }

    /// One picture, of words alone.
    pub(crate) fn request(&self) -> Request {
        Request {
            prompt: Prompt {
                positive: "a red cat, sitting".to_owned(),
                negative: "blurry".to_owned(),
            },
            size: Size { width: 128, height: 64 },
            frames: 1,
            sampling: self.sampling(),
            guidance: self.guidance(),
            mode: Mode::Image,
            ..Request::default()
        }
    }
}
