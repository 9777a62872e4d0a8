//! The cache: every version of a file once, as a blob named by its hash, and a folder of links to
//! the blobs for every commit.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Wanted, settings};

/// The folder that holds the cache.
#[derive(Clone, Debug)]
pub struct HubCache {
    root: PathBuf,
}

impl HubCache {
    /// The one that the environment names: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or
    /// `~/.cache/huggingface/hub`.
    pub fn from_environment() -> Self {
        Self::at(settings::cache())
    }

    /// The one in `root`, which need not be there yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that has all files of `wanted`, if they are there: that of its revision, or that
    /// of another which was fetched before.
    pub fn find(&self, wanted: &Wanted) -> Option<PathBuf> {
        let folder = self.repository(&wanted.repository)?;
        let snapshots = folder.join("snapshots");
        let of_revision = match fs::read_to_string(folder.join("refs").join(&wanted.revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => wanted.revision.clone(),
        };
        let others = fs::read_dir(&snapshots).into_iter().flatten().flatten();
        let mut others: Vec<PathBuf> = others.map(|entry| entry.path()).collect();
        others.sort();
        let first = is_plain(&of_revision).then(|| snapshots.join(of_revision));
        first.into_iter().chain(others).find(|snapshot| {
            let is_there =
                |names: &Vec<String>| names.iter().any(|name| snapshot.join(name).is_file());
            wanted.files.iter().all(is_there)
        })
    }

    /// The folder of a repository; `None` for what cannot be the name of one.
    pub(super) fn repository(&self, repository: &str) -> Option<PathBuf> {
        let name = format!("models--{}", repository.replace('/', "--"));
        is_plain(&name).then(|| self.root.join(name))
    }
}

/// Whether `path` leads from a folder into it.
fn is_plain(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}
