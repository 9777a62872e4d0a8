//! From a request to a video: plan, encode, denoise, decode.

mod adapter_files;
mod chunks;
mod conditioner_files;
mod conditioners;
mod conditioning;
pub mod control;
pub(crate) mod denoise;
mod engine;
mod faces;
pub(crate) mod files;
mod first_frame;
pub mod guidance;
mod latents;
pub(crate) mod look;
mod memory;
#[cfg(feature = "mini")]
mod mini;
pub mod noise;
mod open;
mod open_conditioners;
mod own_pictures;
mod plan;
mod plan_memory;
mod prepare;
mod request;
mod serial;
mod shots;
mod single_file;
mod slot;
mod summary;
mod text;
mod textual_inversion;
mod transform;
mod video2video;
mod watch;
pub mod window;

pub use chunks::{FollowedControl, SourceVideo};
pub use conditioners::{Conditioners, ImageAdapter, ImageProjection};
pub use control::{Control, ControlInterval};
pub use engine::{Engine, Shot};
pub use faces::FindFace;
pub use files::ModelFiles;
pub use first_frame::FirstFrame;
pub use guidance::{Guidance, GuidanceMethod};
pub use memory::{MemoryPlan, NetworkMemory, PhaseMemory};
pub use noise::{Noise, NoiseType};
pub use open::AllowMissing;
pub use own_pictures::OwnPictures;
pub use plan::Plan;
pub use prepare::{Length, TaskDefaults, TaskPictures};
pub use request::{
    ConditionFrames, FacePrompt, Mode, PicturePrompt, Prompt, PromptPictures, Request, Sampling,
    Size, VisionCondition,
};
pub use serial::SerialDenoise;
pub use shots::Text2Video;
pub use single_file::{CONFIG_KEYS, SCHEDULER};
pub use slot::Slot;
pub use text::TextEncoder;
#[cfg(feature = "train")]
pub(crate) use text::encode_batch;
pub(crate) use text::encode_chunks;
pub use video2video::{Transformed, Video2Video};
pub use watch::{Event, Unwatched, Watch};
pub use window::{Window, WindowSchedule};

/// The whole model on one device: text encoder, VAE, UNet and scheduler.
#[derive(Debug)]
pub struct Pipeline {
    text_encoder: TextEncoder,
    engine: Engine,
}
