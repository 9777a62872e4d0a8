//! Windows of 77 tokens out of prompts of up to 225.
//!
//! The text encoder reads 77 tokens, of which the first and the last mark begin and end. A longer
//! prompt is laid out over up to three such windows that are encoded one by one and then
//! concatenated whole, so the marks stay in the middle of the sequence.

/// Tokens the text encoder reads at once.
pub const WINDOW: usize = 77;
/// Tokens of a window that belong to the prompt.
pub const CAPACITY: usize = WINDOW - 2;
/// The most windows one prompt takes.
pub const MAX_WINDOWS: usize = 3;
/// The most tokens of a prompt that are read; what follows is dropped.
pub const MAX_TOKENS: usize = CAPACITY * MAX_WINDOWS;

/// The ids of the tokens that are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begin of a window.
    pub bos: u32,
    /// End of a window.
    pub eos: u32,
    /// Filling up to a whole window; CLIP uses the end token.
    pub pad: u32,
}

/// A tokenised prompt without begin and end, with one weight for each token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightedIds {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Weight of each token, as many as `ids`.
    pub weights: Vec<f32>,
}

impl WeightedIds {
    /// Appends a run of tokens of one weight.
    pub fn push_run(&mut self, ids: &[u32], weight: f32) {
        self.ids.extend_from_slice(ids);
        self.weights.resize(self.ids.len(), weight);
    }
}

/// A prompt as the text encoder reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptChunks {
    /// Windows of [`WINDOW`] ids, each to be encoded alone.
    pub windows: Vec<[u32; WINDOW]>,
    /// Weights of the concatenated output states, [`WINDOW`] for each window; 1.0 on begin, end and
    /// filling.
    pub weights: Vec<f32>,
}

/// A prompt and, under guidance, its negative prompt, in equally many windows.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkedPrompts {
    /// The prompt.
    pub prompt: PromptChunks,
    /// The negative prompt, if one was given.
    pub negative: Option<PromptChunks>,
}

/// Lays out a prompt and its negative prompt in as many windows as the longer one needs, at least
/// one and at most [`MAX_WINDOWS`]. Tokens past [`MAX_TOKENS`] are dropped with a warning.
///
/// The weights belong to the encoder's *output*: multiply each output state by its weight, then
/// scale the sequence back to its mean before.
///
/// # Panics
/// When a prompt has not one weight for each id.
pub fn chunk_prompts(
    prompt: &WeightedIds,
    negative: Option<&WeightedIds>,
    special: SpecialTokens,
) -> ChunkedPrompts {
    let windows = windows_for([prompt].into_iter().chain(negative));
    ChunkedPrompts {
        prompt: chunk("prompt", prompt, windows, special),
        negative: negative.map(|n| chunk("negative prompt", n, windows, special)),
    }
}

/// Lays out prompts that are encoded together, in as many windows as the longest needs; otherwise as
/// [`chunk_prompts`].
///
/// # Panics
/// When a prompt has not one weight for each id.
pub fn chunk_batch(prompts: &[WeightedIds], special: SpecialTokens) -> Vec<PromptChunks> {
    let windows = windows_for(prompts);
    prompts.iter().map(|prompt| chunk("prompt", prompt, windows, special)).collect()
}

/// Windows that the longest of `prompts` needs.
fn windows_for<'a>(prompts: impl IntoIterator<Item = &'a WeightedIds>) -> usize {
    let longest = prompts.into_iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
    longest.div_ceil(CAPACITY).clamp(1, MAX_WINDOWS)
}

fn chunk(what: &str, prompt: &WeightedIds, windows: usize, special: SpecialTokens) -> PromptChunks {
    assert_eq!(prompt.ids.len(), prompt.weights.len(), "one weight for each token of the {what}");
    if prompt.ids.len() > MAX_TOKENS {
        tracing::warn!(
            "the {what} has {} tokens; only the first {MAX_TOKENS} are used",
            prompt.ids.len()
        );
    }
    let mut chunks = PromptChunks {
        windows: vec![[special.pad; WINDOW]; windows],
        weights: vec![1.0; WINDOW * windows],
    };
    for window in &mut chunks.windows {
        window[0] = special.bos;
        window[WINDOW - 1] = special.eos;
    }
    for (i, (&id, &weight)) in prompt.ids.iter().zip(&prompt.weights).take(MAX_TOKENS).enumerate() {
        let (window, at) = (i / CAPACITY, 1 + i % CAPACITY);
        chunks.windows[window][at] = id;
        chunks.weights[WINDOW * window + at] = weight;
    }
    chunks
}
