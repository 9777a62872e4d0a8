//! Random access to the bytes of a weights file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::files::ReadAt;

/// The bytes of one file, read by position, with the name that messages give it.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    bytes: Arc<dyn ReadAt>,
}

impl Source {
    /// `bytes`, which messages call `path`.
    pub(super) fn new(path: &Path, bytes: Arc<dyn ReadAt>) -> Arc<Self> {
        Arc::new(Self { path: path.to_path_buf(), bytes })
    }

    /// The file, or the name given to the bytes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.size()
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.bytes.read_at(offset, buffer).map_err(|error| Error::io("read", &self.path, error))
    }

    /// At most `limit` bytes from the start; fewer where the file is shorter.
    pub(super) fn head(&self, limit: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; usize::try_from(self.len()).unwrap_or(limit).min(limit)];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// An [`Error::Checkpoint`] about this file.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(&self.path, reason)
    }
}
