//! Random access to the bytes of a weights file, on disk or in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};

/// The bytes of one file, read by position.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    len: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Memory(Cow<'static, [u8]>),
    File(Mutex<File>),
}

impl Source {
    /// Opens a file; nothing of it is read yet.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>> {
        let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
        let meta = file.metadata().map_err(|error| Error::io("read", path, error))?;
        if !meta.is_file() {
            return Err(Error::checkpoint(path, "not a file; expected a file of weights"));
        }
        let data = Data::File(Mutex::new(file));
        Ok(Arc::new(Self { path: path.to_path_buf(), len: meta.len(), data }))
    }

    /// Bytes that are in memory already; `name` stands for the path in messages.
    pub(super) fn from_bytes(name: &str, bytes: Cow<'static, [u8]>) -> Arc<Self> {
        let len = bytes.len() as u64;
        Arc::new(Self { path: PathBuf::from(name), len, data: Data::Memory(bytes) })
    }

    /// The file, or the name given to the bytes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = match &self.data {
            Data::Memory(bytes) => usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?))
                .map(|found| buffer.copy_from_slice(found))
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Data::File(file) => {
                let mut file = file.lock().expect("no read panics while it holds the file");
                file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer))
            }
        };
        read.map_err(|error| Error::io("read", &self.path, error))
    }

    /// At most `limit` bytes from the start; fewer where the file is shorter.
    pub(super) fn head(&self, limit: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; usize::try_from(self.len).unwrap_or(limit).min(limit)];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// An [`Error::Checkpoint`] about this file.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(&self.path, reason)
    }
}
