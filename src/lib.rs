//! musev animates a picture, or a prompt, into a clip of any length by visual-conditioned parallel
//! denoising: MuseV (Stable Diffusion 1.5 with a motion module) on burn and wgpu.

pub mod checkpoint;
pub mod config;
pub mod doctor;
pub mod error;
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
    Format, Inspection, Kind, Missing, NetworkMatch, Part, TensorLine, WeightsSummary,
};
pub use config::{
    ModelChoice, ModelSpec, NegativePrompts, OutputName, Task, TaskFile, Variant, checkpoint_root,
};
pub use doctor::inspect;
pub use error::{Error, Result};
pub use pipeline::guidance::{Guidance, GuidanceMethod};
pub use pipeline::noise::{Noise, NoiseType};
pub use pipeline::window::{Window, WindowSchedule};
pub use prompt::{ClipTokenizer, fill_template};
pub use random::Rng;
