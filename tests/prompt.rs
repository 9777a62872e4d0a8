//! Prompts from text to windows of token ids.

#[path = "prompt/chunks.rs"]
mod chunks;
#[path = "prompt/weighting.rs"]
mod weighting;
