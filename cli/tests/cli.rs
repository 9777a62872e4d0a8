//! The `musev` command as users meet it: the real binary, in a fresh folder, on the CPU.

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/bad_models.rs"]
mod bad_models;
#[path = "../../tests/common/checkpoints.rs"]
mod checkpoints;
#[path = "cli/commands.rs"]
mod commands;
#[path = "../../tests/common/conditioners.rs"]
mod conditioners;
#[path = "cli/detect.rs"]
mod detect;
#[path = "cli/embeddings.rs"]
mod embeddings;
#[cfg(feature = "face")]
#[path = "cli/face.rs"]
mod face;
#[path = "cli/formats.rs"]
mod formats;
#[cfg(feature = "pull")]
#[path = "cli/hub.rs"]
mod hub;
#[cfg(feature = "mini")]
#[path = "cli/mini.rs"]
mod mini;
#[cfg(feature = "mini")]
#[path = "cli/plan.rs"]
mod plan;
#[cfg(feature = "pull")]
#[path = "cli/pull.rs"]
mod pull;
#[path = "cli/references.rs"]
mod references;
#[path = "cli/sandbox.rs"]
mod sandbox;
#[cfg(feature = "train")]
#[path = "cli/train.rs"]
mod train;
#[path = "cli/video2video.rs"]
mod video2video;
#[path = "cli/videos.rs"]
mod videos;
