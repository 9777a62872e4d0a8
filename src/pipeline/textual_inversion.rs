//! Learned words laid over a model.

use super::files::ModelFiles;
use crate::checkpoint::{EmbeddingChoice, TextualInversion};
use crate::error::{Error, Result};
use crate::models::clip::text::CLIPTextConfig;
use crate::prompt::EmbeddingVectors;

/// The end of the name of the matrix that holds the vectors of all tokens.
const TOKEN_EMBEDDING: &str = "embeddings.token_embedding.weight";

impl ModelFiles {
    /// The same model with the words of these embeddings: tokenizer and text encoder know each as a
    /// new token, or several where it has several vectors, of which `vectors` tells how many its
    /// word stands for.
    ///
    /// Lay LoRAs over the model before: they know nothing of the new tokens.
    ///
    /// # Errors
    /// Names the file that cannot be read, is of another width, or whose word is a token already.
    pub fn with_embeddings(
        mut self,
        embeddings: &[EmbeddingChoice],
        vectors: EmbeddingVectors,
    ) -> Result<Self> {
        if embeddings.is_empty() {
            return Ok(self);
        }
        let mut config: CLIPTextConfig = self.text_encoder.parse()?;
        let opened: Result<Vec<_>> = embeddings.iter().map(TextualInversion::open).collect();
        let opened = opened?;
        for inversion in &opened {
            let rows = (config.vocab_size, inversion.count());
            self.tokenizer.add_placeholder(&inversion.token, rows, vectors).map_err(|reason| {
                let reason = format!("{reason}; give another with FILE:TOKEN");
                Error::checkpoint(inversion.origin(), reason)
            })?;
            config.vocab_size += inversion.count();
        }
        let weights = &self.text_encoder.weights;
        let name =
            weights.names().find(|name| name.ends_with(TOKEN_EMBEDDING)).ok_or_else(|| {
                let reason = format!("is no text encoder: it has no {TOKEN_EMBEDDING}");
                Error::checkpoint(weights.origin(), reason)
            })?;
        self.text_encoder.weights = weights.with_rows(name, &opened)?;
        self.text_encoder.config = serde_json::to_string(&config)
            .map_err(|error| Error::config(self.text_encoder.origin.clone(), error.to_string()))?;
        Ok(self)
    }
}
