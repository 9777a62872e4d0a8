//! Prompts from text to windows of token ids.

#[path = "prompt/chunks.rs"]
mod chunks;
#[path = "prompt/template.rs"]
mod template;
#[path = "prompt/tokenizer.rs"]
mod tokenizer;
#[path = "prompt/weighting.rs"]
mod weighting;
