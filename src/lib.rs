//! musev animates a picture, or a prompt, into a clip of any length by visual-conditioned parallel
//! denoising: MuseV (Stable Diffusion 1.5 with a motion module) on burn and wgpu.
//!
//! ```no_run
//! use musev::{DeviceChoice, ModelFiles, OpenDevice, Pipeline, Precision, Text2Video, Unwatched};
//!
//! # async fn run(files: ModelFiles, video: Text2Video) -> musev::Result<()> {
//! let device = OpenDevice::start(&DeviceChoice::Auto, Precision::Auto).await?;
//! let pipeline = Pipeline::open(&files, &[], &device, &mut Unwatched)?;
//! let clip = pipeline.text2video(&video, &mut Unwatched).await?;
//! assert!(!clip.frames.is_empty());
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod config;
#[cfg(not(target_family = "wasm"))]
pub mod convert;
pub mod detectors;
pub mod device;
pub mod doctor;
pub mod error;
pub mod files;
pub mod hub;
pub mod image_tensor;
mod json;
pub mod kernels;
pub mod media;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod prompt;
pub mod random;
pub mod schedulers;
#[cfg(feature = "train")]
pub mod training;

pub use burn::tensor::Device;
pub use checkpoint::{
    BlockWeights, EmbeddingChoice, Format as WeightsFormat, Inspection, Kind, LoraChoice,
    LoraNaming, LoraSummary, Missing, NetworkMatch, Part, TensorLine, WeightsSummary,
    face_embeddings,
};
pub use config::task::{TaskImages, TaskSize};
pub use config::{
    Catalogue, CatalogueModel, ConditionerChoice, ConditionerSpec, DEFAULT_IMAGE_ENCODER, Licence,
    ModelChoice, ModelSettings, ModelSpec, NegativePrompts, OutputName, OutputPictures, PartChoice,
    Task, TaskFile, TransformedName, Variant, checkpoint_root, embeddings, find_model,
    how_to_fetch, lcm_lora, tokenizer_near,
};
#[cfg(not(target_family = "wasm"))]
pub use convert::{Conversion, ConvertEvent, Converted, StoredType, convert};
#[cfg(feature = "face")]
pub use detectors::face::{Face, FaceEmbedder, write_face_embedding};
pub use detectors::{Detector, DetectorKind, Resolutions};
pub use device::{
    Adapter, AdapterChoice, AdapterKind, DeviceChoice, OpenDevice, Precision, adapters,
    automatic_adapter, cpu_description, cuda_devices,
};
pub use doctor::cases::{CaseReport, Status as CaseStatus, find as find_cases, run as run_case};
pub use doctor::{
    KernelTiming, UnetBench, UnetBenchOptions, bench_kernels, bench_unet, inspect, self_test,
};
pub use error::{Error, Result};
pub use files::{Files, ReadAt};
pub use hub::HubCache;
#[cfg(feature = "pull")]
pub use hub::{Hub, HubEvent};
pub use media::{Format, Frame, Video, bt709, decode_frame, decode_video, encode, mp4, write_info};
#[cfg(not(target_family = "wasm"))]
pub use media::{
    check_file, check_output, output_path, read_frame, read_video, write as write_video, write_file,
};
pub use pipeline::{
    ConditionFrames, Control, ControlInterval, Event, FacePrompt, FindFace, FirstFrame,
    FollowedControl, Guidance, GuidanceMethod, Length, MemoryPlan, Mode, ModelFiles, NetworkMemory,
    Noise, NoiseType, OwnPictures, PhaseMemory, PicturePrompt, Pipeline, Prompt, PromptPictures,
    Request, Sampling, SerialDenoise, Size, SourceVideo, TaskDefaults, TaskPictures, Text2Video,
    Transformed, Unwatched, Video2Video, VisionCondition, Watch, Window, WindowSchedule,
};
pub use prompt::{ClipTokenizer, EmbeddingVectors, fill_template};
pub use random::Rng;
pub use schedulers::SchedulerKind;
#[cfg(feature = "train")]
pub use training::emoji::{FetchEvent, Fetched, fetch as fetch_emoji};
#[cfg(feature = "train")]
pub use training::vocabulary::{MIN_VOCABULARY_SIZE, VOCABULARY_SIZE, Vocabulary, read_captions};
#[cfg(feature = "train")]
pub use training::{
    DenoisingError, DenoisingErrors, Evaluation, FrechetAtRealEnergy, Record as TrainRecord,
    TrainConfig, TrainEvent, evaluate, train,
};
