//! The hub: models fetched from a Hugging Face compatible server into the cache that its other tools
//! share, `models--OWNER--NAME/{blobs,refs,snapshots}`.
//!
//! Finding what lies in the cache needs no network and is always there; fetching is behind the
//! feature `pull`.

mod cache;
#[cfg(feature = "pull")]
mod client;
#[cfg(feature = "pull")]
mod download;
#[cfg(feature = "pull")]
mod fetch;
#[cfg(feature = "pull")]
mod hash;
mod settings;

pub use cache::HubCache;
#[cfg(feature = "pull")]
pub use fetch::{Hub, HubEvent};

/// Files of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The repository, `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// The paths of the files, each with what may stand in for it: the first that is there is taken.
    pub files: Vec<Vec<String>>,
}
