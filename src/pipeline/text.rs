//! Prompts to text states.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::Result;
use crate::image_tensor;
use crate::models::clip::text::CLIPTextModel;
use crate::pipeline::watch::Watch;
use crate::pipeline::{Prompt, Slot};
use crate::prompt::chunks::WINDOW;
use crate::prompt::{ChunkedPrompts, ClipTokenizer, PromptChunks, chunk_prompts};

/// Tokenizer and text encoder. They run on the CPU, once a prompt: there it takes a moment, while
/// the token embedding (151 MB) exceeds the largest buffer that many graphics drivers bind.
#[derive(Debug)]
pub struct TextEncoder {
    /// Text to token ids.
    pub tokenizer: ClipTokenizer,
    /// Token ids to states, on the CPU.
    pub model: Slot<CLIPTextModel>,
}

impl TextEncoder {
    /// Text states on `device` of each of `prompts`, with their weights applied; the second of a pair
    /// is whether there is guidance.
    ///
    /// # Shapes
    /// - outputs: `[2, 77k, c]` with guidance, negative prompt first; otherwise `[1, 77k, c]`
    ///
    /// # Errors
    /// When the tokenizer refuses the text, the model cannot be loaded, or `watch` breaks.
    pub async fn encode(
        &self,
        prompts: &[(&Prompt, bool)],
        device: &Device,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Tensor<3>>> {
        let model = self.model.get(watch)?;
        let mut all = Vec::with_capacity(prompts.len());
        for &(prompt, guidance) in prompts {
            let states = encode_chunks(&model, &self.chunks(prompt, guidance)?, &Device::flex());
            let shape = states.dims();
            let values = image_tensor::read(states).await?;
            all.push(Tensor::from_data(TensorData::new(values, shape), device));
        }
        Ok(all)
    }

    fn chunks(&self, prompt: &Prompt, guidance: bool) -> Result<ChunkedPrompts> {
        let positive = self.tokenizer.encode_weighted(&prompt.positive)?;
        let negative =
            guidance.then(|| self.tokenizer.encode_weighted(&prompt.negative)).transpose()?;
        let special = self.tokenizer.special_tokens();
        Ok(chunk_prompts(&positive, negative.as_ref(), special))
    }
}

/// Weighted states of a prompt, after those of its negative prompt if there is one.
///
/// # Shapes
/// - output: `[prompts, 77k, c]`
pub(crate) fn encode_chunks(
    model: &CLIPTextModel,
    chunked: &ChunkedPrompts,
    device: &Device,
) -> Tensor<3> {
    let prompts: Vec<&PromptChunks> = chunked.negative.iter().chain([&chunked.prompt]).collect();
    encode_batch(model, &prompts, device)
}

/// Weighted states of prompts of equally many windows.
///
/// # Shapes
/// - output: `[prompts, 77k, c]`
pub(crate) fn encode_batch(
    model: &CLIPTextModel,
    prompts: &[&PromptChunks],
    device: &Device,
) -> Tensor<3> {
    let count = prompts.first().map_or(0, |prompt| prompt.windows.len());
    let ids: Vec<i32> =
        prompts.iter().flat_map(|p| p.windows.iter().flatten()).map(|&id| id as i32).collect();
    let weights: Vec<f32> = prompts.iter().flat_map(|p| &p.weights).copied().collect();
    let ids = TensorData::new(ids, [prompts.len(), count, WINDOW]);
    let weights = TensorData::new(weights, [prompts.len(), count * WINDOW]);
    model.encode_weighted(
        Tensor::<3, Int>::from_data(ids, device),
        Tensor::<2>::from_data(weights, device),
    )
}
