//! From a request to a video: plan, encode, denoise, decode.

mod conditioning;
pub mod control;
pub(crate) mod denoise;
mod engine;
pub(crate) mod files;
pub mod guidance;
mod latents;
mod memory;
#[cfg(feature = "mini")]
mod mini;
pub mod noise;
mod open;
mod plan;
mod prepare;
mod request;
mod shots;
mod single_file;
mod text;
mod textual_inversion;
mod watch;
pub mod window;

pub use conditioning::{Conditioners, ImageAdapter};
pub use control::{Control, ControlInterval};
pub use engine::{Engine, Shot};
pub use files::ModelFiles;
pub use guidance::{Guidance, GuidanceMethod};
pub use memory::{MemoryPlan, NetworkMemory};
pub use noise::{Noise, NoiseType};
pub use open::AllowMissing;
pub use plan::Plan;
pub use prepare::{Length, TaskDefaults};
pub use request::{
    ConditionFrames, Mode, PicturePrompt, Prompt, PromptPictures, Request, Sampling, Size,
    VisionCondition,
};
pub use shots::{FirstFrame, Text2Video};
pub use single_file::{CONFIG_KEYS, SCHEDULER};
pub use text::TextEncoder;
pub(crate) use text::encode_chunks;
pub use watch::{Event, Unwatched, Watch};
pub use window::{Window, WindowSchedule};

/// The whole model on one device: text encoder, VAE, UNet and scheduler.
#[derive(Debug)]
pub struct Pipeline {
    text_encoder: TextEncoder,
    engine: Engine,
}
