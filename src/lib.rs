//! musev animates a picture, or a prompt, into a clip of any length by visual-conditioned parallel
//! denoising: MuseV (Stable Diffusion 1.5 with a motion module) on burn and wgpu.

pub mod checkpoint;
pub mod config;
pub mod device;
pub mod doctor;
pub mod error;
pub mod image_tensor;
pub mod kernels;
pub mod media;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod prompt;
pub mod random;
pub mod schedulers;

pub use burn::tensor::Device;
pub use checkpoint::{
    Format as WeightsFormat, Inspection, Kind, Missing, NetworkMatch, Part, TensorLine,
    WeightsSummary,
};
pub use config::{
    ModelChoice, ModelSpec, NegativePrompts, OutputName, Task, TaskFile, Variant, checkpoint_root,
};
pub use device::{
    Adapter, AdapterChoice, AdapterKind, DeviceChoice, OpenDevice, Precision, adapters,
};
pub use doctor::inspect;
pub use error::{Error, Result};
pub use media::{Format, Frame, Video};
pub use pipeline::{
    ConditionFrames, Event, FirstFrame, Guidance, GuidanceMethod, Mode, ModelPaths, Noise,
    NoiseType, Pipeline, Prompt, Request, Sampling, Size, Text2Video, Unwatched, VisionCondition,
    Watch, Window, WindowSchedule,
};
pub use prompt::{ClipTokenizer, fill_template};
pub use random::Rng;
