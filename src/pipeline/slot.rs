//! Networks that are on their device only while they are used.

use std::fmt;
use std::ops::Deref;

use super::watch::{Event, Watch, report};
use crate::error::Result;

/// A network that is needed for a moment of a video: it stays where it is, or is loaded for each use
/// and dropped after it.
pub struct Slot<M> {
    place: Place<M>,
}

enum Place<M> {
    Here(M),
    /// How messages call it, and how it is loaded.
    Elsewhere(&'static str, Box<dyn Fn() -> Result<M> + Send + Sync>),
}

/// A network in use.
pub(crate) enum Used<'a, M> {
    Here(&'a M),
    Loaded(M),
}

impl<M> Slot<M> {
    /// A network that `load` loads, which messages call `part`.
    pub(super) fn loaded(
        part: &'static str,
        load: impl Fn() -> Result<M> + Send + Sync + 'static,
    ) -> Self {
        Self { place: Place::Elsewhere(part, Box::new(load)) }
    }

    /// The network, until what is returned is dropped.
    pub(crate) fn get(&self, watch: &mut dyn Watch) -> Result<Used<'_, M>> {
        match &self.place {
            Place::Here(network) => Ok(Used::Here(network)),
            Place::Elsewhere(part, load) => {
                let network = load()?;
                report(watch, Event::Loaded { part })?;
                Ok(Used::Loaded(network))
            }
        }
    }

    /// Whether it is loaded for each use.
    pub(crate) fn is_emptied(&self) -> bool {
        matches!(self.place, Place::Elsewhere(..))
    }
}

/// A network that stays where it is.
impl<M> From<M> for Slot<M> {
    fn from(network: M) -> Self {
        Self { place: Place::Here(network) }
    }
}

impl<M> Deref for Used<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        match self {
            Self::Here(network) => network,
            Self::Loaded(network) => network,
        }
    }
}

impl<M: fmt::Debug> fmt::Debug for Slot<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Here(network) => network.fmt(f),
            Place::Elsewhere(part, _) => write!(f, "Slot({part})"),
        }
    }
}
