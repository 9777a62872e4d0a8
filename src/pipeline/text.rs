//! Prompts to text states.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::Result;
use crate::models::clip::text::CLIPTextModel;
use crate::pipeline::Prompt;
use crate::prompt::chunks::WINDOW;
use crate::prompt::{ClipTokenizer, PromptChunks, chunk_prompts};

/// Tokenizer and text encoder. They run on the CPU, once a prompt: there it takes a moment, while
/// the token embedding (151 MB) exceeds the largest buffer that many graphics drivers bind.
#[derive(Debug)]
pub struct TextEncoder {
    /// Text to token ids.
    pub tokenizer: ClipTokenizer,
    /// Token ids to states, on the CPU.
    pub model: CLIPTextModel,
}

impl TextEncoder {
    /// Text states of `prompt` on `device`, with its weights applied.
    ///
    /// # Shapes
    /// - output: `[2, 77k, c]` with guidance, negative prompt first; otherwise `[1, 77k, c]`
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub async fn encode(
        &self,
        prompt: &Prompt,
        guidance: bool,
        device: &Device,
    ) -> Result<Tensor<3>> {
        let positive = self.tokenizer.encode_weighted(&prompt.positive)?;
        let negative =
            guidance.then(|| self.tokenizer.encode_weighted(&prompt.negative)).transpose()?;
        let chunked = chunk_prompts(&positive, negative.as_ref(), self.tokenizer.special_tokens());
        let prompts: Vec<&PromptChunks> =
            chunked.negative.iter().chain([&chunked.prompt]).collect();
        let states = encode_chunks(&self.model, &prompts);
        let shape = states.dims();
        let values = crate::image_tensor::read(states).await?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

/// Weighted states of prompts with equally many windows.
///
/// # Shapes
/// - output: `[prompts, 77k, c]`
pub(crate) fn encode_chunks(model: &CLIPTextModel, prompts: &[&PromptChunks]) -> Tensor<3> {
    let device = Device::flex();
    let windows = prompts.first().map_or(0, |prompt| prompt.windows.len());
    let ids: Vec<i32> =
        prompts.iter().flat_map(|p| p.windows.iter().flatten().map(|&id| id as i32)).collect();
    let weights: Vec<f32> = prompts.iter().flat_map(|p| p.weights.iter().copied()).collect();
    let ids = TensorData::new(ids, [prompts.len(), windows, WINDOW]);
    let weights = TensorData::new(weights, [prompts.len(), windows * WINDOW]);
    model.encode_weighted(
        Tensor::<3, Int>::from_data(ids, &device),
        Tensor::<2>::from_data(weights, &device),
    )
}
