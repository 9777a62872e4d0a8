//! YAML files of a bounded size, as untyped values.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// No configuration is larger; what is larger is another kind of file.
const MAX_BYTES: u64 = 4 << 20;

/// The text of a configuration file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    let origin = || path.display().to_string();
    if bytes.len() as u64 > MAX_BYTES {
        let reason = format!("is larger than {} MiB; is it a task or model file?", MAX_BYTES >> 20);
        return Err(Error::config(origin(), reason));
    }
    String::from_utf8(bytes).map_err(|_| Error::config(origin(), "is not a text file (UTF-8)"))
}

/// Parses YAML; `origin` names it in errors.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    // Depth, anchors and alias expansion are bounded by the parser's default budget.
    // Only true and false are flags, so a task may be called `n` or `off`.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| Error::config(origin, e.to_string()))
}
