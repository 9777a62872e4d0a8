//! Files of textual inversion: the vectors of one new token.
//!
//! | written by | tensors | token |
//! | --- | --- | --- |
//! | AUTOMATIC1111, the paper's code | `string_to_param` with one entry, `[n, c]` | the file's name |
//! | the same as safetensors | `emb_params`, `[n, c]` | the file's name |
//! | diffusers | `{token: [c] or [n, c]}` | its key |

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::convert::is_float;
use super::entry::Entry;
use super::lora::split_path;
use super::weights::{Weights, shortened};
use crate::error::{Error, Result};

/// Where AUTOMATIC1111 keeps the vectors, under the key `*`.
const STRING_TO_PARAM: &str = "string_to_param.";
const EMB_PARAMS: &str = "emb_params";
/// The two text encoders of Stable Diffusion XL.
const XL: [&str; 2] = ["clip_l", "clip_g"];
/// The most vectors one token may have: as many as a prompt has room for.
const MAX_VECTORS: usize = 225;

/// An embedding as users name it: `FILE[:TOKEN]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingChoice {
    /// The file, or a folder that holds one.
    pub path: PathBuf,
    /// The word that stands for it in prompts, in place of its own.
    pub token: Option<String>,
}

impl FromStr for EmbeddingChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, options) = split_path(text);
        match (path.as_str(), options.as_slice()) {
            ("", _) => Err("expected FILE[:TOKEN], and the file is empty".to_owned()),
            (_, [] | [_]) => {
                let token = options.first().map(|&token| token.to_owned());
                Ok(Self { path: path.into(), token })
            }
            (_, [_, rest, ..]) => Err(format!("{rest:?} is too much; expected FILE[:TOKEN]")),
        }
    }
}

impl fmt::Display for EmbeddingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.token.as_ref().map_or(Ok(()), |token| write!(f, ":{token}"))
    }
}

/// The vectors of a token, none of them read.
#[derive(Clone, Debug)]
pub struct TextualInversion {
    /// The word that stands for them.
    pub token: String,
    /// `[n, c]`.
    pub(super) vectors: Entry,
    origin: PathBuf,
}

impl TextualInversion {
    /// Opens the file of `choice`.
    ///
    /// # Errors
    /// When it cannot be read, or is no textual inversion.
    pub fn open(choice: &EmbeddingChoice) -> Result<Self> {
        let weights = Weights::open(&choice.path)?;
        let wrong = |reason: String| Error::checkpoint(weights.origin(), reason);
        let (name, entry) = vectors(&weights).map_err(wrong)?;
        let vectors = matrix(entry).map_err(|reason| wrong(format!("{name} {reason}")))?;
        let token = match (&choice.token, name) {
            (Some(token), _) => token.clone(),
            (None, name) if name == EMB_PARAMS || name.starts_with(STRING_TO_PARAM) => {
                let stem = choice.path.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
            (None, token) => token.to_owned(),
        };
        Ok(Self { token, vectors, origin: weights.origin().to_path_buf() })
    }

    /// The file, for messages.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// How many vectors there are.
    pub fn count(&self) -> usize {
        self.vectors.info().shape[0]
    }

    /// Channels of each.
    pub fn width(&self) -> usize {
        self.vectors.info().shape[1]
    }
}

/// The tensor that holds the vectors, with its name.
fn vectors(weights: &Weights) -> Result<(&str, &Entry), String> {
    let expected = "expected the vectors of one token, as AUTOMATIC1111 (string_to_param, \
                    emb_params) or diffusers ({token: vectors}) write them";
    if XL.iter().any(|name| weights.info(name).is_some()) {
        let reason = "is a textual inversion for Stable Diffusion XL; musev's models are Stable \
                      Diffusion 1.5";
        return Err(reason.to_owned());
    }
    let named: Vec<(&str, &Entry)> =
        weights.entries().iter().map(|(name, entry)| (name.as_str(), entry)).collect();
    // AUTOMATIC1111 keeps the id of its token beside the vectors.
    let marked: Vec<_> = named
        .iter()
        .copied()
        .filter(|(name, _)| *name == EMB_PARAMS || name.starts_with(STRING_TO_PARAM))
        .collect();
    match (marked.as_slice(), named.as_slice()) {
        ([one], _) | ([], [one]) => Ok(*one),
        _ => {
            let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
            let (count, names) = (names.len(), shortened(&names));
            Err(format!("is no textual inversion; {expected}; it has {count} tensors: {names}"))
        }
    }
}

/// `entry` as `[n, c]`.
fn matrix(entry: &Entry) -> Result<Entry, String> {
    let info = entry.info();
    if !is_float(info.dtype) {
        return Err(format!("is {:?}, not of a float type", info.dtype));
    }
    match info.shape[..] {
        [width] if width > 0 => Ok(entry.as_row()),
        [count, width] if (1..=MAX_VECTORS).contains(&count) && width > 0 => Ok(entry.clone()),
        _ => Err(format!(
            "is {:?}; expected one vector, or a matrix of up to {MAX_VECTORS} of them",
            info.shape
        )),
    }
}

impl Weights {
    /// These weights with the vectors of `inversions`, in their order, below the rows of the
    /// tensor `name`.
    ///
    /// # Errors
    /// When there is no such matrix, or a vector is of another width.
    pub fn with_rows(&self, name: &str, inversions: &[TextualInversion]) -> Result<Self> {
        let missing = || Error::checkpoint(self.origin(), format!("has no matrix {name}"));
        let entry = self.entries().get(name).ok_or_else(missing)?;
        let &[_, width] = entry.info().shape.as_slice() else { return Err(missing()) };
        if let Some(inversion) = inversions.iter().find(|inversion| inversion.width() != width) {
            let reason = format!(
                "its vectors have {} channels, those of the text encoder {width}; it was trained \
                 for another model",
                inversion.width()
            );
            return Err(Error::checkpoint(inversion.origin(), reason));
        }
        let rows = inversions.iter().map(|inversion| inversion.vectors.clone());
        let mut entries = self.entries().clone();
        entries.insert(name.to_owned(), entry.with_rows(rows));
        Ok(self.with_entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_token_are_told_apart() {
        for (text, path, token) in [
            ("a.pt", "a.pt", None),
            ("a.pt:ugly", "a.pt", Some("ugly")),
            ("C:\\e\\a.safetensors:<toy>", "C:\\e\\a.safetensors", Some("<toy>")),
            ("style:v2.bin", "style:v2.bin", None),
            ("folder:toy", "folder", Some("toy")),
        ] {
            let choice: EmbeddingChoice = text.parse().unwrap();
            assert_eq!((choice.path.to_str().unwrap(), choice.token.as_deref()), (path, token));
            assert_eq!(choice.to_string(), text);
        }
        assert!("".parse::<EmbeddingChoice>().unwrap_err().contains("empty"));
        assert!("a.pt:b:c".parse::<EmbeddingChoice>().unwrap_err().contains("\"c\" is too much"));
    }
}
