//! The table of textual inversions: which token has which file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::yaml;
use crate::error::Result;

const ORIGIN: &str = "configs/models/embeddings.yaml";
const BUILTIN: &str = include_str!("../../configs/models/embeddings.yaml");

/// Tokens and files, sorted, of those in the table below `root` that are there: of `table`, or else
/// of the one that comes with musev.
///
/// # Errors
/// When the table cannot be read.
pub fn embeddings(table: Option<&Path>, root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let (origin, text) = match table {
        Some(path) => (path.display().to_string(), yaml::read_text(path)?),
        None => (ORIGIN.to_owned(), BUILTIN.to_owned()),
    };
    let files: BTreeMap<String, PathBuf> = yaml::parse(&text, &origin)?;
    let below_root = files.into_iter().map(|(token, path)| (token, root.join(path)));
    Ok(below_root.filter(|(_, path)| path.exists()).collect())
}
