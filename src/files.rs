//! Where the files of a model are: on disk, or held by whoever opened them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};

/// No configuration, vocabulary or index is larger; what is larger is another kind of file.
const MAX_TEXT: u64 = 64 << 20;

/// The bytes of one file, read by position: a file on disk, bytes in memory, or what a visitor
/// picked in a browser.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// Bytes in the file.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// When the file ends before the buffer is full, or cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for Cow<'static, [u8]> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file on disk.
#[derive(Debug)]
struct OnDisk {
    size: u64,
    file: Mutex<File>,
}

impl ReadAt for OnDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut file = self.file.lock().expect("no read panics while it holds the file");
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer))
    }
}

/// Where paths lead to: the disk, or a set of files that is held open.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `None` is the disk.
    held: Option<Arc<BTreeMap<PathBuf, Arc<dyn ReadAt>>>>,
}

impl Files {
    /// The disk.
    pub fn disk() -> Self {
        Self::default()
    }

    /// Exactly these files, under these paths.
    pub fn held<P: Into<PathBuf>>(files: impl IntoIterator<Item = (P, Arc<dyn ReadAt>)>) -> Self {
        let files = files.into_iter().map(|(path, file)| (path.into(), file));
        Self { held: Some(Arc::new(files.collect())) }
    }

    /// Opens a file; nothing of it is read yet.
    pub(crate) fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let open = |error| Error::io("read", path, error);
        let Some(held) = &self.held else {
            let file = File::open(path).map_err(open)?;
            let metadata = file.metadata().map_err(open)?;
            if !metadata.is_file() {
                return Err(Error::checkpoint(path, "is not a file"));
            }
            return Ok(Arc::new(OnDisk { size: metadata.len(), file: Mutex::new(file) }));
        };
        held.get(path).cloned().ok_or_else(|| open(io::ErrorKind::NotFound.into()))
    }

    /// Whether there is a file of this path.
    pub(crate) fn is_file(&self, path: &Path) -> bool {
        self.held.as_ref().map_or_else(|| path.is_file(), |held| held.contains_key(path))
    }

    /// Whether there is a folder of this path.
    pub(crate) fn is_dir(&self, path: &Path) -> bool {
        let Some(held) = &self.held else { return path.is_dir() };
        held.keys().any(|file| file.starts_with(path) && file != path)
    }

    /// The files that stand in `folder` itself, sorted.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = match &self.held {
            Some(held) => {
                held.keys().filter(|file| file.parent() == Some(folder)).cloned().collect()
            }
            None => fs::read_dir(folder)
                .map_err(|error| Error::io("read", folder, error))?
                .filter_map(|item| Some(item.ok()?.path()))
                .filter(|path| path.is_file())
                .collect(),
        };
        files.sort();
        Ok(files)
    }

    /// The whole text of a file.
    pub(crate) fn read_text(&self, path: &Path) -> Result<String> {
        let read = |error| Error::io("read", path, error);
        let file = self.open(path)?;
        if file.size() > MAX_TEXT {
            let reason = format!("is larger than {} MiB, and so no text", MAX_TEXT >> 20);
            return Err(read(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        let mut bytes = vec![0; file.size() as usize];
        file.read_at(0, &mut bytes).map_err(read)?;
        String::from_utf8(bytes)
            .map_err(|error| read(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(files: &[(&str, &'static [u8])]) -> Files {
        Files::held(files.iter().map(|&(path, bytes)| {
            let bytes: Arc<dyn ReadAt> = Arc::new(Cow::Borrowed(bytes));
            (path, bytes)
        }))
    }

    #[test]
    fn held_files_make_folders() {
        let files = held(&[("m/a/one.txt", b"1"), ("m/a/two.txt", b"22"), ("m/b.txt", b"\xff")]);
        assert!(files.is_dir(Path::new("m")) && files.is_dir(Path::new("m/a")));
        assert!(!files.is_dir(Path::new("m/b.txt")) && !files.is_dir(Path::new("a")));
        assert!(files.is_file(Path::new("m/b.txt")) && !files.is_file(Path::new("m/a")));
        let listed = files.list(Path::new("m/a")).unwrap();
        assert_eq!(listed, ["m/a/one.txt", "m/a/two.txt"].map(PathBuf::from));
        assert_eq!(files.read_text(Path::new("m/a/two.txt")).unwrap(), "22");
        assert!(files.read_text(Path::new("m/b.txt")).is_err());
        assert!(files.read_text(Path::new("m/c.txt")).unwrap_err().to_string().contains("c.txt"));
    }

    #[test]
    fn reads_stay_inside_the_file() {
        let files = held(&[("f", b"abcd")]);
        let file = files.open(Path::new("f")).unwrap();
        let mut buffer = [0; 2];
        file.read_at(2, &mut buffer).unwrap();
        assert_eq!(&buffer, b"cd");
        assert!(file.read_at(3, &mut buffer).is_err());
        assert!(file.read_at(u64::MAX, &mut buffer).is_err());
    }
}
