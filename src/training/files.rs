//! Files that appear whole or not at all.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Creates `folder` and those above it, where they are missing.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
}

/// Writes a file under a temporary name beside its own, and renames it.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut hidden = OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(hidden);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|e| {
        // It may not have come to be.
        let _ = fs::remove_file(&part);
        Error::io("write", path, e)
    })
}
