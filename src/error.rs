//! The one error type of the library. Every message names the file, key or option and the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// A `Result` with musev's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A picture or video that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Media {
        /// The picture, video or folder.
        path: PathBuf,
        /// What is wrong with it and what would be accepted.
        reason: String,
    },
    /// A configuration or task file that does not say what it has to.
    #[error("{origin}: {reason}")]
    Config {
        /// The file, with the task or key where known.
        origin: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A weights file or folder that is damaged or of an unknown kind.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// Weights that do not fit the network they are meant for.
    #[error("the weights of {part} do not fit: {reason}")]
    Weights {
        /// The network, as users know it: "unet", "vae", "text_encoder".
        part: String,
        /// The missing, unused and misshapen tensors, and the way out.
        reason: String,
    },
    /// A request that cannot be carried out as it stands.
    #[error("{option}: {reason}")]
    Request {
        /// The option as users spell it, without dashes.
        option: &'static str,
        /// What is wrong and which values are accepted.
        reason: String,
    },
    /// A device that is not there or cannot do what is asked.
    #[error("device {requested}: {reason}")]
    Device {
        /// What was asked for.
        requested: String,
        /// Why it failed and what to use instead.
        reason: String,
    },
    /// A server of models that cannot or will not give what is asked for.
    #[error("{place}: {reason}")]
    Hub {
        /// The server, the repository or the file in it.
        place: String,
        /// What went wrong and the way out.
        reason: String,
    },
    /// The watcher asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// An [`Error::Io`] about `path`; `action` is the verb that failed.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::Request`] about `option`.
    pub fn request(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Request { option, reason: reason.into() }
    }

    /// An [`Error::Media`] about `path`.
    pub fn media(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Media { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Checkpoint`] about `path`.
    pub fn checkpoint(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Hub`] about `place`.
    pub fn hub(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hub { place: place.into(), reason: reason.into() }
    }

    /// An [`Error::Config`] about `origin`.
    pub fn config(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { origin: origin.into(), reason: reason.into() }
    }
}
