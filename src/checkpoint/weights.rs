//! [`Weights`]: the named tensors of one or more files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::TensorData;
use serde::Serialize;

use super::entry::{Entry, TensorInfo};
use super::source::Source;
use super::{folder, safetensors, torch};
use crate::error::{Error, Result};
use crate::files::Files;

/// How tensors are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON header and the tensors.
    Safetensors,
    /// The zip archive of a pickle that `torch.save` writes.
    Torch,
    /// The pickles that `torch.save` wrote before version 1.6.
    TorchLegacy,
}

/// Named, lazy tensors of one or more files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Weights {
    origin: PathBuf,
    format: Format,
    files: usize,
    entries: Arc<BTreeMap<String, Entry>>,
    /// What a safetensors file says of itself.
    metadata: Arc<BTreeMap<String, String>>,
}

impl Weights {
    /// Opens a file of weights, or a folder that holds one or a sharded set. Formats are told by
    /// content; only the table of tensors is read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_in(&Files::disk(), path)
    }

    /// The same, of files that need not be on disk.
    pub fn open_in(files: &Files, path: &Path) -> Result<Self> {
        if files.is_dir(path) {
            return folder::open(files, path);
        }
        Self::from_source(&Source::new(path, files.open(path)?))
    }

    /// The weights in a folder, as [`Weights::open`]; `None` if there are none.
    #[cfg(feature = "train")]
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        folder::find(&Files::disk(), folder)
    }

    /// Weights in memory; `name` stands for the path in messages.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::from_source(&Source::new(Path::new(name), Arc::new(bytes.into())))
    }

    fn from_source(source: &Arc<Source>) -> Result<Self> {
        let head = source.head(64)?;
        let (format, (entries, metadata)) = if torch::is_archive(&head) {
            (Format::Torch, (torch::archive_entries(source)?, BTreeMap::new()))
        } else if torch::is_legacy(&head) {
            (Format::TorchLegacy, (torch::legacy_entries(source)?, BTreeMap::new()))
        } else if safetensors::is_safetensors(&head) {
            (Format::Safetensors, safetensors::entries(source)?)
        } else {
            return Err(source.error(unknown_format(&head)));
        };
        let (origin, metadata) = (source.path().to_path_buf(), Arc::new(metadata));
        Ok(Self { origin, format, files: 1, entries: Arc::new(entries), metadata })
    }

    /// Tensors taken from several files of one format.
    pub(super) fn from_shards(
        origin: &Path,
        format: Format,
        files: usize,
        entries: BTreeMap<String, Entry>,
    ) -> Self {
        let (entries, metadata) = (Arc::new(entries), Arc::default());
        Self { origin: origin.to_path_buf(), format, files, entries, metadata }
    }

    /// These entries instead; they may come from other files too.
    pub(super) fn with_entries(&self, entries: BTreeMap<String, Entry>) -> Self {
        Self { entries: Arc::new(entries), ..self.clone() }
    }

    /// What a safetensors file says of itself under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    pub(super) fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The file or folder that was opened, for messages.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// How the tensors are stored; of overlaid weights, those at the bottom.
    pub fn format(&self) -> Format {
        self.format
    }

    /// In how many files they lie.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Shape and element type of a tensor, if there is one of this name.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.entries.get(name).map(Entry::info)
    }

    /// Reads one tensor.
    pub fn tensor(&self, name: &str) -> Result<TensorData> {
        self.entries
            .get(name)
            .ok_or_else(|| Error::checkpoint(&self.origin, format!("has no tensor {name}")))?
            .read()
    }

    /// Only the tensors whose names begin with `prefix` (`"unet."`), named without it.
    pub fn with_prefix_removed(&self, prefix: &str) -> Weights {
        let under = self.entries.iter().filter_map(|(name, entry)| {
            name.strip_prefix(prefix).map(|rest| (rest.to_string(), entry.clone()))
        });
        self.with_entries(under.collect())
    }

    /// The tensors `from` alone, called `to`, for every pair `(from, to)`.
    ///
    /// # Errors
    /// Lists the tensors that are not there.
    pub fn renamed(&self, names: &[(String, String)]) -> Result<Weights> {
        let missing: Vec<&str> = names
            .iter()
            .map(|(from, _)| from.as_str())
            .filter(|from| !self.entries.contains_key(*from))
            .collect();
        if !missing.is_empty() {
            let reason = format!("has not all its tensors: {} missing", shortened(&missing));
            return Err(Error::checkpoint(&self.origin, reason));
        }
        let renamed = names
            .iter()
            .filter_map(|(from, to)| Some((to.clone(), self.entries.get(from)?.clone())));
        Ok(self.with_entries(renamed.collect()))
    }

    /// These weights and those of `other`, which come first where both have a tensor.
    pub fn joined(self, other: Weights) -> Self {
        let mut entries = Arc::unwrap_or_clone(self.entries);
        entries.extend(Arc::unwrap_or_clone(other.entries));
        let files = self.files + other.files;
        Self { files, entries: Arc::new(entries), ..self }
    }

    /// These weights with `over` laid on top: a base model's spatial tensors replace those of a
    /// motion checkpoint. Every tensor of `over` has to exist here.
    pub fn overlay(self, over: Weights) -> Result<Self> {
        let unknown: Vec<&str> =
            over.names().filter(|name| !self.entries.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let origin = self.origin.display();
            let reason = format!(
                "{} of its tensors are not in {origin}, which they should replace: {}; is it the \
                 2-D UNet of a Stable Diffusion 1.5 model?",
                unknown.len(),
                shortened(&unknown)
            );
            return Err(Error::checkpoint(&over.origin, reason));
        }
        Ok(self.joined(over))
    }
}

/// At most twenty items of a list, and how many are left out.
pub(super) fn shortened<T: AsRef<str>>(items: &[T]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = items.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What a file that begins with `head` probably is instead of weights.
fn unknown_format(head: &[u8]) -> String {
    let wanted = "expected safetensors or a PyTorch archive (.bin, .pth, .ckpt)";
    if head.is_empty() {
        format!("empty file; {wanted}")
    } else if head.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer, not the weights themselves; fetch them with `git lfs pull`".to_string()
    } else if head.starts_with(b"GGUF") {
        format!("a GGUF file; {wanted}")
    } else if head.trim_ascii_start().starts_with(b"<") {
        format!("a web page, so its download went wrong; {wanted}")
    } else {
        format!("neither of the known formats; {wanted}")
    }
}
