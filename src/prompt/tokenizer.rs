//! The byte-pair tokenizer of CLIP, read from the `tokenizer` folder of a diffusers model.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::chunks::{SpecialTokens, WeightedIds};
use super::textual_inversion::{EmbeddingVectors, Piece, Placeholders};
use super::weighting::parse_weights;
use crate::error::{Error, Result};
use crate::files::Files;

const BOS: &str = "<|startoftext|>";
const EOS: &str = "<|endoftext|>";
/// What CLIP calls a word: a contraction's end, letters, one digit, or other signs.
const WORD: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// CLIP's tokenizer: the ids of `transformers`' `CLIPTokenizer`.
#[derive(Clone, Debug)]
pub struct ClipTokenizer {
    inner: Tokenizer,
    special: SpecialTokens,
    placeholders: Placeholders,
    /// Every id is below.
    size: usize,
}

impl ClipTokenizer {
    /// Opens the `tokenizer` folder of a model: `vocab.json` with `merges.txt`, or
    /// `tokenizer.json`.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_in(&Files::disk(), folder)
    }

    /// The same, of files that need not be on disk.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn open_in(files: &Files, folder: &Path) -> Result<Self> {
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let whole = folder.join("tokenizer.json");
        let pad = pad_token(files, folder)?;
        if !files.is_file(&vocab) && files.is_file(&whole) {
            let inner = files.read_text(&whole)?.parse().map_err(|e| damaged(&whole, e))?;
            return Self::checked(inner, &whole, pad);
        }
        if !files.is_file(&vocab) && !files.is_file(&merges) {
            let reason = "holds neither vocab.json with merges.txt nor tokenizer.json; \
                          give the `tokenizer` folder of a diffusers model";
            return Err(Error::checkpoint(folder, reason));
        }
        let words = files.read_text(&vocab)?;
        let words = serde_json::from_str(&words).map_err(|e| damaged(&vocab, e))?;
        let pairs = parse_merges(&files.read_text(&merges)?).map_err(|e| damaged(&merges, e))?;
        let inner = build(words, pairs).map_err(|e| damaged(&merges, e))?;
        Self::checked(inner, &vocab, pad)
    }

    fn checked(inner: Tokenizer, origin: &Path, pad: Option<String>) -> Result<Self> {
        let id = |token: &str| {
            inner.token_to_id(token).ok_or_else(|| {
                damaged(origin, format!("has no token {token}; it is not CLIP's vocabulary"))
            })
        };
        let (bos, eos) = (id(BOS)?, id(EOS)?);
        let pad = match pad {
            Some(token) => id(&token)?,
            None => eos,
        };
        // Text of any language is spelt in bytes: a vocabulary without them fails here, not at the
        // first prompt.
        inner.encode("\u{10ffff}", false).map_err(|e| damaged(origin, e))?;
        let special = SpecialTokens { bos, eos, pad };
        let size = inner.get_vocab_size(true);
        Ok(Self { inner, special, placeholders: Placeholders::default(), size })
    }

    /// Adds the words of an embedding of `count` vectors, whose ids begin at `first`: `word`, and
    /// `word_1` and so on for the second and those after it.
    ///
    /// # Errors
    /// When one of the words is a token already, or could not stand in a prompt.
    pub fn add_placeholder(
        &mut self,
        word: &str,
        (first, count): (usize, usize),
        vectors: EmbeddingVectors,
    ) -> Result<(), String> {
        let known =
            Placeholders::names(word, count).find(|name| self.inner.token_to_id(name).is_some());
        if let Some(name) = known {
            return Err(format!("{name:?} is a token of the vocabulary already"));
        }
        let ids: Vec<u32> = (first..first + count).map(|id| id as u32).collect();
        self.placeholders.add(word, &ids, vectors)?;
        self.size = self.size.max(first + count);
        Ok(())
    }

    /// The ids that mark begin, end and filling.
    pub fn special_tokens(&self) -> SpecialTokens {
        self.special
    }

    /// How many ids there are; every id is below.
    pub fn vocabulary_size(&self) -> usize {
        self.size
    }

    /// The ids of `text` without begin and end.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for piece in self.placeholders.split(text) {
            match piece {
                Piece::Ids(learned) => ids.extend_from_slice(learned),
                Piece::Text(text) => {
                    let refused = |e| Error::request("prompt", format!("cannot be tokenised: {e}"));
                    let encoding = self.inner.encode_fast(clean(text), false).map_err(refused)?;
                    ids.extend_from_slice(encoding.get_ids());
                }
            }
        }
        Ok(ids)
    }

    /// Parses the weights in `prompt` and tokenises each run of equal weight.
    pub fn encode_weighted(&self, prompt: &str) -> Result<WeightedIds> {
        let mut tokens = WeightedIds::default();
        for run in parse_weights(prompt) {
            tokens.push_run(&self.encode(&run.text)?, run.weight);
        }
        Ok(tokens)
    }
}

/// The words of `text` as the tokenizer sees them, in lower case: what its merges stay inside of.
pub fn split_words(text: &str) -> Vec<String> {
    static SPLIT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(WORD).expect("the pattern is the tokenizer's own"));
    SPLIT.find_iter(&clean(text)).map(|word| word.as_str().to_owned()).collect()
}

fn build(
    vocab: HashMap<String, u32>,
    merges: Vec<(String, String)>,
) -> tokenizers::Result<Tokenizer> {
    let vocab: Vocab = vocab.into_iter().collect();
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .end_of_word_suffix("</w>".to_owned())
        .unk_token(EOS.to_owned())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into()])));
    let words =
        Split::new(SplitPattern::Regex(WORD.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::default().add_prefix_space(false).use_regex(false);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    tokenizer.add_special_tokens(&[BOS, EOS].map(|token| AddedToken::from(token, true)));
    Ok(tokenizer)
}

/// The pairs of `merges.txt`, best first, after an optional `#version` line.
fn parse_merges(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let lines = text.lines().enumerate().filter(|(number, line)| {
        let header = *number == 0 && line.starts_with("#version");
        !header && !line.trim().is_empty()
    });
    lines
        .map(|(number, line)| match line.split(' ').collect::<Vec<_>>()[..] {
            [left, right] => Ok((left.to_owned(), right.to_owned())),
            _ => Err(format!("line {}: expected two symbols, found {line:?}", number + 1)),
        })
        .collect()
}

/// The filling token that the model's own configuration names, if any.
fn pad_token(files: &Files, folder: &Path) -> Result<Option<String>> {
    let path = folder.join("special_tokens_map.json");
    if !files.is_file(&path) {
        return Ok(None);
    }
    let map: Value =
        serde_json::from_str(&files.read_text(&path)?).map_err(|e| damaged(&path, e))?;
    let pad = &map["pad_token"];
    Ok(pad.as_str().or(pad["content"].as_str()).map(str::to_owned))
}

/// Lower case, and typographic quotes and full-width signs as their plain forms: the part of the
/// original's text repair (ftfy) that ordinary prompts meet.
fn clean(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        other => other,
    };
    // Of the whole text, not letter by letter: a final sigma has a lower case of its own.
    text.chars().map(plain).collect::<String>().to_lowercase()
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::checkpoint(path, reason.to_string())
}
