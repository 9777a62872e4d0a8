//! Files and folders of a run.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::media::write_file;

/// Creates `folder` and those above it, where they are missing.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
}

/// Removes `folder` with all that is in it, if it is there.
pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    absent_is_fine(folder, fs::remove_dir_all(folder))
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    absent_is_fine(path, fs::remove_file(path))
}

fn absent_is_fine(path: &Path, end: std::io::Result<()>) -> Result<()> {
    match end {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Writes plain data to a file that appears whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("plain data can be written as JSON");
    write_file(path, format!("{text}\n").as_bytes())
}
