//! Prompts: from text to the windows of token ids that the text encoder reads.
//!
//! `template` fills in the keys of a task, `weighting` splits the text into runs of equal weight,
//! `tokenizer` turns each run into ids, where `textual_inversion` finds learned words, `chunks` lays the ids out in windows of 77.

pub mod chunks;
pub mod template;
pub mod textual_inversion;
pub mod tokenizer;
pub mod weighting;

pub use chunks::{
    ChunkedPrompts, PromptChunks, SpecialTokens, WeightedIds, chunk_batch, chunk_prompts,
};
pub use template::{fill_template, template_keys};
pub use textual_inversion::{EmbeddingVectors, Placeholders};
pub use tokenizer::{ClipTokenizer, split_words};
pub use weighting::{WeightedText, parse_weights};
