//! A vocabulary for [`ClipTokenizer`](crate::prompt::ClipTokenizer), made from captions.
//!
//! Byte-pair encoding (Sennrich et al., 2016) in CLIP's form: every byte is a symbol, and another one
//! at the end of a word; then the most frequent neighbours are joined until the size is reached. Of
//! equally frequent ones the first in the order of their text is joined, so that the same captions
//! always give the same files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::{create_folder, write_json};
use crate::error::{Error, Result};
use crate::media::write_file;
use crate::prompt::split_words;

/// The size of the default model's vocabulary.
pub const VOCABULARY_SIZE: usize = 2000;
/// Every byte inside and at the end of a word, begin and end.
pub const MIN_VOCABULARY_SIZE: usize = 2 * 256 + SPECIAL.len();

const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
const END_OF_WORD: &str = "</w>";
/// Words that users type, whether captions hold them or not.
const COMMON: &str = include_str!("words.txt");
/// How often each of these counts as seen, at the least.
const COMMON_COUNT: u64 = 2;
/// A word of captions counts so much more often: what a model learns has tokens before what it
/// does not.
const CAPTION_COUNT: u64 = 4;
/// No word is counted more often, or the captions' thousandth "skin" would outweigh the rest.
const MAX_COUNT: u64 = 64;
/// Longer files are no captions.
const MAX_CAPTION: u64 = 1 << 16;

/// Symbols, and what is joined to make them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Ids in order: bytes, bytes at the end of a word, joined symbols, special tokens.
    tokens: Vec<String>,
    /// What is joined, first things first.
    merges: Vec<(String, String)>,
}

impl Vocabulary {
    /// The vocabulary of at most `size` tokens that spells `captions` and common English words in
    /// few of them.
    ///
    /// # Errors
    /// When `size` is below [`MIN_VOCABULARY_SIZE`].
    pub fn train<'a>(captions: impl Iterator<Item = &'a str>, size: usize) -> Result<Self> {
        let Some(joined) = size.checked_sub(MIN_VOCABULARY_SIZE) else {
            let reason =
                format!("{size} tokens are too few; every byte needs two: {MIN_VOCABULARY_SIZE}");
            return Err(Error::request("vocabulary", reason));
        };
        let mut counts = BTreeMap::<String, u64>::new();
        for word in captions.flat_map(split_words) {
            *counts.entry(word).or_default() += 1;
        }
        counts.values_mut().for_each(|count| *count = (*count).min(MAX_COUNT) + CAPTION_COUNT);
        for line in COMMON.lines().filter(|line| !line.starts_with('#')) {
            for word in split_words(line) {
                let count = counts.entry(word).or_default();
                *count = (*count).max(COMMON_COUNT);
            }
        }
        let mut trainer = Trainer::new(&counts);
        let merges = (0..joined).map_while(|_| trainer.join_best()).collect();
        trainer.tokens.extend(SPECIAL.map(str::to_owned));
        Ok(Self { tokens: trainer.tokens, merges })
    }

    /// How many tokens there are.
    pub fn size(&self) -> usize {
        self.tokens.len()
    }

    /// Writes `vocab.json`, `merges.txt` and `tokenizer_config.json`, as diffusers has them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let ids = self.tokens.iter().enumerate();
        let vocabulary: Map<String, Value> =
            ids.map(|(id, token)| (token.clone(), id.into())).collect();
        let mut merges = "#version: 0.2\n".to_owned();
        for (left, right) in &self.merges {
            merges.push_str(&format!("{left} {right}\n"));
        }
        let [begin, end] = SPECIAL;
        let config = json!({
            "add_prefix_space": false,
            "bos_token": begin,
            "do_lower_case": true,
            "eos_token": end,
            "model_max_length": 77,
            "pad_token": end,
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": end,
        });
        create_folder(folder)?;
        write_file(&folder.join("merges.txt"), merges.as_bytes())?;
        write_json(&folder.join("tokenizer_config.json"), &config)?;
        write_json(&folder.join("vocab.json"), &vocabulary)
    }
}

/// The captions in a data folder: the text files in it and in the folders in it, in the order of
/// their names.
///
/// # Errors
/// When the folder cannot be read or holds none, or a file is no caption.
pub fn read_captions(folder: &Path) -> Result<Vec<String>> {
    let mut captions = Vec::new();
    collect(folder, true, &mut captions)?;
    if captions.is_empty() {
        let reason = "holds no captions; name the folder of musev train fetch, or one with a text \
                      file beside each clip";
        return Err(Error::media(folder, reason));
    }
    Ok(captions)
}

fn collect(folder: &Path, deeper: bool, captions: &mut Vec<String>) -> Result<()> {
    let read = |e| Error::io("read", folder, e);
    let entries = fs::read_dir(folder).map_err(read)?;
    let mut paths =
        entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(read)?;
    paths.sort();
    for path in paths {
        let is_hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?;
        if metadata.is_dir() && deeper {
            collect(&path, false, captions)?;
        } else if metadata.is_file() && path.extension().is_some_and(|kind| kind == "txt") {
            if metadata.len() > MAX_CAPTION {
                let reason = format!("has {} bytes; a caption is a sentence", metadata.len());
                return Err(Error::media(&path, reason));
            }
            captions.push(fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?);
        }
    }
    Ok(())
}

/// Words as symbols, and the symbols so far.
struct Trainer {
    tokens: Vec<String>,
    /// Each word with how often it counts.
    words: Vec<(Vec<usize>, u64)>,
}

impl Trainer {
    fn new(counts: &BTreeMap<String, u64>) -> Self {
        let bytes = byte_characters();
        let inside = bytes.iter().map(|(_, letter)| letter.to_string());
        let at_end = bytes.iter().map(|(_, letter)| format!("{letter}{END_OF_WORD}"));
        let mut id = [0; 256];
        for (index, (byte, _)) in bytes.iter().enumerate() {
            id[usize::from(*byte)] = index;
        }
        let spelt = |(word, count): (&String, &u64)| {
            let mut symbols: Vec<usize> = word.bytes().map(|byte| id[usize::from(byte)]).collect();
            if let Some(last) = symbols.last_mut() {
                *last += 256;
            }
            (symbols, *count)
        };
        Self { tokens: inside.chain(at_end).collect(), words: counts.iter().map(spelt).collect() }
    }

    /// Joins the most frequent neighbours; `None` when every word is one symbol, or no two
    /// neighbours come twice.
    fn join_best(&mut self) -> Option<(String, String)> {
        let mut counts = HashMap::<(usize, usize), u64>::new();
        for (symbols, count) in &self.words {
            for pair in symbols.windows(2) {
                *counts.entry((pair[0], pair[1])).or_default() += count;
            }
        }
        let text = |pair: &(usize, usize)| (&self.tokens[pair.0], &self.tokens[pair.1]);
        let best = counts.iter().filter(|(_, count)| **count > 1).max_by(|(a, x), (b, y)| {
            // Of equals the first in the order of their text: the largest in the reverse one.
            x.cmp(y).then_with(|| text(b).cmp(&text(a)))
        });
        let (left, right) = *best?.0;
        let names = (self.tokens[left].clone(), self.tokens[right].clone());
        let joined = self.tokens.len();
        self.tokens.push(format!("{}{}", names.0, names.1));
        for (symbols, _) in &mut self.words {
            let mut at = 0;
            while at + 1 < symbols.len() {
                if (symbols[at], symbols[at + 1]) == (left, right) {
                    symbols[at] = joined;
                    symbols.remove(at + 1);
                }
                at += 1;
            }
        }
        Some(names)
    }
}

/// Every byte with the letter that stands for it: itself where it prints, otherwise the next of
/// those after U+0100 (GPT-2's `bytes_to_unicode`, in its order).
fn byte_characters() -> Vec<(u8, char)> {
    let prints = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printed = (0..=255u8).filter(prints).map(|byte| (byte, char::from(byte)));
    let others = (0..=255u8).filter(|byte| !prints(byte)).zip('\u{100}'..);
    printed.chain(others).collect()
}
