//! Fetching files of a repository into the cache.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::cache::HubCache;
use super::client::{Client, Facts, Listing, RemoteFile};
use super::download::{Download, Tell, patiently, tell};
use super::{Wanted, settings};
use crate::error::{Error, Result};

/// What [`Hub::fetch`] is doing. Files are named by their paths in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubEvent<'a> {
    /// What there is to do, before the first file.
    Planned {
        /// Files in all.
        files: usize,
        /// Bytes in all.
        bytes: u64,
        /// Bytes of the files that are in the cache already.
        kept: u64,
    },
    /// The file is in the cache already.
    Kept {
        /// Its path.
        file: &'a str,
    },
    /// This much of the file is there.
    Received {
        /// Its path.
        file: &'a str,
        /// Bytes that are there.
        bytes: u64,
        /// Bytes of the whole.
        of: u64,
    },
    /// An attempt failed, and another follows.
    Retrying {
        /// The file or repository.
        file: &'a str,
        /// Why it failed.
        reason: &'a str,
    },
    /// The file is all there, and its hash is being computed.
    Checking {
        /// Its path.
        file: &'a str,
    },
    /// The file is in the cache.
    Done {
        /// Its path.
        file: &'a str,
    },
}

/// A server of models, and the cache on this machine.
#[derive(Debug)]
pub struct Hub {
    cache: HubCache,
    /// `None` where nothing may be asked of the network.
    client: Option<Client>,
}

/// A file to fetch, and what the server says of it.
struct Item {
    remote: RemoteFile,
    facts: Facts,
    blob: PathBuf,
}

impl Item {
    /// Whether the cache has it.
    fn is_there(&self) -> bool {
        self.blob.metadata().is_ok_and(|blob| blob.len() == self.facts.bytes)
    }
}

impl Hub {
    /// The server that `HF_ENDPOINT` names (huggingface.co without it), asked with the token of
    /// `HF_TOKEN` or of the file `token` in `HF_HOME`, and the cache of `HF_HUB_CACHE` or `HF_HOME`.
    /// With `HF_HUB_OFFLINE` the server is never asked.
    ///
    /// # Errors
    /// When `HF_ENDPOINT` is no address.
    pub fn from_environment() -> Result<Self> {
        let client = match settings::offline() {
            true => None,
            false => Some(Client::from_environment()?),
        };
        Ok(Self { cache: HubCache::from_environment(), client })
    }

    /// Whether the server is never asked.
    pub fn is_offline(&self) -> bool {
        self.client.is_none()
    }

    /// Brings the files of `wanted` into the cache; the folder that has them. Each is checked
    /// against size and hash, and appears whole or not at all; what was cut short is continued by
    /// the next call, also one of another tool.
    ///
    /// # Errors
    /// When the server does not give a file, it arrives damaged, the disk refuses, or `listener`
    /// breaks off ([`Error::Cancelled`]).
    pub fn fetch(
        &self,
        wanted: &Wanted,
        listener: &mut dyn FnMut(HubEvent<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf> {
        let repository = wanted.repository.as_str();
        let Some(client) = &self.client else {
            return self.cache.find(wanted).ok_or_else(|| {
                let reason = format!(
                    "is not whole in the cache {}, and HF_HUB_OFFLINE forbids to fetch it",
                    self.cache.root().display()
                );
                Error::hub(repository, reason)
            });
        };
        let folder = self.cache.repository(repository).ok_or_else(|| {
            Error::hub(repository, "is no name of a repository; expected OWNER/NAME")
        })?;
        let list = || client.list(repository, &wanted.revision);
        let listing = patiently(repository, &mut *listener, list)?;
        let items = items(client, wanted, (&listing, &folder), &mut *listener)?;
        let bytes = |kept: bool| {
            items.iter().filter(|item| !kept || item.is_there()).map(|item| item.facts.bytes).sum()
        };
        let planned =
            HubEvent::Planned { files: items.len(), bytes: bytes(false), kept: bytes(true) };
        tell(&mut *listener, planned)?;
        let snapshot = folder.join("snapshots").join(&listing.commit);
        for item in &items {
            self.bring(client, item, &mut *listener)?;
            link(&item.blob, &snapshot, &item.remote.path)?;
        }
        if wanted.revision != listing.commit {
            write_reference(&folder.join("refs").join(&wanted.revision), &listing.commit)?;
        }
        Ok(snapshot)
    }

    /// Fetches the blob of `item`, unless it is there; one process at a time.
    fn bring(&self, client: &Client, item: &Item, listener: Tell<'_>) -> Result<()> {
        let file = item.remote.path.as_str();
        let _lock = self.lock(item)?;
        if item.is_there() {
            return tell(listener, HubEvent::Kept { file });
        }
        create_above(&item.blob)?;
        let mut partial = item.blob.clone().into_os_string();
        partial.push(".incomplete");
        let partial = PathBuf::from(partial);
        Download::new(client, &item.remote, &item.facts, &partial).run(&mut *listener)?;
        fs::rename(&partial, &item.blob).map_err(|e| Error::io("write", &item.blob, e))?;
        tell(listener, HubEvent::Done { file })
    }

    /// Waits until no other process fetches `item`; the lock is that of Python's library.
    fn lock(&self, item: &Item) -> Result<File> {
        let repository = item.remote.repository.replace('/', "--");
        let folder = self.cache.root().join(".locks").join(format!("models--{repository}"));
        let path = folder.join(format!("{}.lock", item.facts.hash.hex()));
        create_above(&path)?;
        let lock = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        lock.lock().map_err(|e| Error::io("lock", &path, e))?;
        Ok(lock)
    }
}

/// The files of `wanted` that the repository has, each with what the server says of it.
fn items(
    client: &Client,
    wanted: &Wanted,
    (listing, folder): (&Listing, &Path),
    listener: Tell<'_>,
) -> Result<Vec<Item>> {
    let chosen = |names: &Vec<String>| {
        names.iter().find(|name| listing.files.contains(name)).cloned().ok_or_else(|| {
            let place = format!("{}/{}", wanted.repository, names.join(" or "));
            Error::hub(place, format!("is not on {}", client.endpoint()))
        })
    };
    let paths: Vec<String> = wanted.files.iter().map(chosen).collect::<Result<_>>()?;
    let item = |path: String| {
        let repository = wanted.repository.clone();
        let remote = RemoteFile { repository, commit: listing.commit.clone(), path };
        let facts = patiently(&remote.place(), &mut *listener, || client.facts(&remote))?;
        let blob = folder.join("blobs").join(facts.hash.hex());
        Ok(Item { remote, facts, blob })
    };
    paths.into_iter().map(item).collect()
}

/// Makes `path` of `snapshot` stand for `blob`: by a link, or where the system has none by a second
/// name, or by a copy.
fn link(blob: &Path, snapshot: &Path, path: &str) -> Result<()> {
    let pointer = snapshot.join(path);
    create_above(&pointer)?;
    if pointer.symlink_metadata().is_ok() {
        fs::remove_file(&pointer).map_err(|e| Error::io("replace", &pointer, e))?;
    }
    let up = "../".repeat(path.matches('/').count() + 2);
    let name = blob.file_name().unwrap_or_default().to_string_lossy();
    if symbolic_link(&format!("{up}blobs/{name}"), &pointer).is_ok()
        || fs::hard_link(blob, &pointer).is_ok()
    {
        return Ok(());
    }
    // A copy under its last name from the start would be there in part for a while.
    let copy = pointer.with_extension("incomplete");
    let copied = fs::copy(blob, &copy).and_then(|_| fs::rename(&copy, &pointer));
    copied.map_err(|e| Error::io("write", &pointer, e))
}

#[cfg(unix)]
fn symbolic_link(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symbolic_link(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), link)
}

/// Writes which commit a branch is at.
fn write_reference(path: &Path, commit: &str) -> Result<()> {
    create_above(path)?;
    let new = path.with_extension("incomplete");
    let written = fs::write(&new, commit).and_then(|()| fs::rename(&new, path));
    written.map_err(|e| Error::io("write", path, e))
}

fn create_above(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
}
