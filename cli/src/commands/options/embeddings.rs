//! Textual inversions: their options, and which of them are loaded.

use std::path::{Path, PathBuf};

use clap::Args;
use musev::{EmbeddingChoice, EmbeddingVectors, Result};

/// Learned words.
#[derive(Args, Debug)]
pub(crate) struct Embeddings {
    /// Teach text encoder and tokenizer the word of this textual inversion, of AUTOMATIC1111 or
    /// diffusers: TOKEN, or else the one in the file, or else the file's name; may be repeated.
    #[arg(long, value_name = "FILE[:TOKEN]")]
    embedding: Vec<EmbeddingChoice>,
    /// Let the word of a textual inversion stand for its first vector, as the original does, or for
    /// all of them: first or all.
    #[arg(long, value_name = "VECTORS", default_value_t = EmbeddingVectors::First)]
    pub(crate) embedding_vectors: EmbeddingVectors,
    /// Look textual inversions up in this YAML table instead of the built-in one (badhandv4,
    /// ng_deepnegative_v1_75t, EasyNegativeV2, bad_prompt_version2-neg); those that are there are
    /// loaded, of the built-in one only for the models of the tables. None loads none.
    #[arg(long, value_name = "PATH")]
    embedding_cfg_path: Option<PathBuf>,
}

impl Embeddings {
    /// Those that are named, and those of a table below `root` whose words they do not take;
    /// without a table of its own, only a model that `is_of_table` gets the latter.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) fn chosen(&self, is_of_table: bool, root: &Path) -> Result<Vec<EmbeddingChoice>> {
        let table = match self.embedding_cfg_path.as_deref() {
            Some(path) if path == Path::new("None") => return Ok(self.embedding.clone()),
            None if !is_of_table => return Ok(self.embedding.clone()),
            table => table,
        };
        let is_taken = |token: &str, path: &Path| {
            self.embedding.iter().any(|choice| match &choice.token {
                Some(word) => word == token,
                None => choice.path.file_stem() == path.file_stem(),
            })
        };
        let listed = musev::embeddings(table, root)?.into_iter();
        let others = listed.filter(|(token, path)| !is_taken(token, path));
        let others = others.map(|(token, path)| EmbeddingChoice { path, token: Some(token) });
        Ok(self.embedding.iter().cloned().chain(others).collect())
    }
}
