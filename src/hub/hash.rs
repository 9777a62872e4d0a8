//! The hashes by which a server tells files apart, and the check of a file against its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// What a server calls the content of a file, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContentHash {
    /// SHA-256, of files in large file storage.
    Sha256(String),
    /// SHA-1 as git makes it of a file that is in the repository itself.
    GitBlob(String),
}

impl ContentHash {
    /// Reads an `ETag` header: `"HASH"` or `W/"HASH"`; `None` where it is no hash that is known.
    pub(super) fn of_etag(etag: &str) -> Option<Self> {
        let hash = etag.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        if !is_hexadecimal(&hash) {
            return None;
        }
        match hash.len() {
            64 => Some(Self::Sha256(hash)),
            40 => Some(Self::GitBlob(hash)),
            _ => None,
        }
    }

    /// The hash itself: the name of the blob in the cache.
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hash) | Self::GitBlob(hash) => hash,
        }
    }

    /// Whether the file in `path` has this content.
    pub(super) fn is_of(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        Ok(match self {
            Self::Sha256(hash) => digest(Sha256::new(), file)? == *hash,
            Self::GitBlob(hash) => {
                let mut state = Sha1::new();
                state.update(format!("blob {}\0", file.metadata()?.len()));
                digest(state, file)? == *hash
            }
        })
    }
}

/// Whether `text` consists of hexadecimal digits.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digest(mut state: impl Digest, mut file: File) -> io::Result<String> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => state.update(&chunk[..read]),
        }
    }
    let mut hex = String::new();
    for byte in state.finalize().as_slice() {
        // Writing to a string never fails.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const GIT: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";

    #[test]
    fn etags_are_read_in_every_form() {
        let sha256 = ContentHash::Sha256(SHA256.to_owned());
        assert_eq!(ContentHash::of_etag(&format!("\"{SHA256}\"")), Some(sha256.clone()));
        assert_eq!(ContentHash::of_etag(&format!("W/\"{}\"", SHA256.to_uppercase())), Some(sha256));
        assert_eq!(ContentHash::of_etag(GIT), Some(ContentHash::GitBlob(GIT.to_owned())));
        for unknown in ["", "\"\"", "\"abc\"", "\"../../../../etc/passwd\"", &SHA256[1..]] {
            assert_eq!(ContentHash::of_etag(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn contents_are_told_apart() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        for etag in [SHA256, GIT] {
            let hash = ContentHash::of_etag(etag).unwrap();
            assert!(hash.is_of(file.path()).unwrap(), "{etag}");
        }
        std::fs::write(file.path(), "hellO").unwrap();
        for etag in [SHA256, GIT] {
            let hash = ContentHash::of_etag(etag).unwrap();
            assert!(!hash.is_of(file.path()).unwrap(), "{etag}");
        }
    }
}
