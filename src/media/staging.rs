//! Output that appears whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A file or folder under a temporary name beside its target; removed again unless committed.
#[derive(Debug)]
pub(crate) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl Staged {
    /// Reserves a temporary name for `target`; nothing is created yet.
    pub(crate) fn new(target: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = target.file_name().ok_or_else(|| Error::media(target, "names no file"))?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{count}.part", std::process::id()));
        Ok(Self {
            temporary: target.with_file_name(hidden),
            target: target.to_owned(),
            committed: false,
        })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// An error about the temporary name, told as one about the target.
    pub(crate) fn error(&self, source: std::io::Error) -> Error {
        Error::io("write", &self.target, source)
    }

    /// Gives the file or folder its final name. A file replaces an older one; a folder needs its
    /// name to be free.
    pub(crate) fn commit(mut self) -> Result<()> {
        std::fs::rename(&self.temporary, &self.target).map_err(|e| self.error(e))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The first fails for a folder, the second for a file, both if nothing was created: there
        // is nothing left to remove then.
        let _ = std::fs::remove_file(&self.temporary);
        let _ = std::fs::remove_dir_all(&self.temporary);
    }
}
