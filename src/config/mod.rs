//! Files that say what to make: task files, negative prompts, model tables, output names.

pub mod catalogue;
pub mod conditioners;
pub mod embeddings;
pub mod find_model;
pub mod interpolation;
pub mod model_settings;
pub mod models;
pub mod negative_prompts;
pub mod output_name;
pub mod task;
pub mod task_file;
pub(crate) mod yaml;

pub use catalogue::{Catalogue, CatalogueModel, Licence};
pub use conditioners::{ConditionerChoice, ConditionerSpec, DEFAULT_IMAGE_ENCODER};
pub use embeddings::embeddings;
pub use find_model::{find_model, how_to_fetch};
pub use model_settings::{ModelSettings, SETTINGS_FILE};
pub use models::{
    ModelChoice, ModelSpec, PartChoice, Variant, checkpoint_root, lcm_lora, tokenizer_near,
};
pub use negative_prompts::NegativePrompts;
pub use output_name::{OutputName, OutputPictures, TransformedName};
pub use task::Task;
pub use task_file::{TaskFile, fission};

/// The one of `known` that `word` was probably meant to be: spelt alike, or the beginning of it.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |other: &&str| {
        distance(word, other) <= 1 + word.chars().count() / 3
            || (word.len() > 2 && other.starts_with(word))
    };
    known.into_iter().filter(close).min_by_key(|other| distance(word, other))
}

/// How many letters have to be added, removed or replaced to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// "; did you mean ..?" where one of `known` is near `word`, else nothing.
fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
