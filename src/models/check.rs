//! Checks that several configurations share.

use crate::error::{Error, Result};

/// More channels or entries than any published network has, so that a damaged configuration is
/// told rather than tried.
const ABSURD_CHANNELS: usize = 1 << 14;
const ABSURD_BLOCKS: usize = 8;
const ABSURD_LAYERS: usize = 64;

/// Collects what is wrong with the configuration read from `origin`.
pub(crate) struct Check<'a> {
    origin: &'a str,
    faults: Vec<String>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(origin: &'a str) -> Self {
        Self { origin, faults: Vec::new() }
    }

    /// Notes `fault` unless `holds`.
    pub(crate) fn that(&mut self, holds: bool, fault: impl FnOnce() -> String) -> &mut Self {
        if !holds {
            self.faults.push(fault());
        }
        self
    }

    /// `key` is a usable number of channels.
    pub(crate) fn channels(&mut self, key: &str, value: usize) -> &mut Self {
        self.that((1..=ABSURD_CHANNELS).contains(&value), || {
            format!("`{key}` is {value}; it must be between 1 and {ABSURD_CHANNELS}")
        })
    }

    /// `key` is a usable number of layers.
    pub(crate) fn layers(&mut self, key: &str, value: usize) -> &mut Self {
        self.that((1..=ABSURD_LAYERS).contains(&value), || {
            format!("`{key}` is {value}; it must be between 1 and {ABSURD_LAYERS}")
        })
    }

    /// The channel counts of all blocks are usable.
    pub(crate) fn block_channels(&mut self, blocks: &[usize]) -> &mut Self {
        self.that((1..=ABSURD_BLOCKS).contains(&blocks.len()), || {
            let count = blocks.len();
            format!("`block_out_channels` has {count} entries; 1 to {ABSURD_BLOCKS} are possible")
        });
        for &channels in blocks {
            self.channels("block_out_channels", channels);
        }
        self
    }

    /// Every count in `values` can be split into `divisor` equal parts.
    pub(crate) fn divides(&mut self, key: &str, divisor: usize, values: &[usize]) -> &mut Self {
        let uneven = values.iter().find(|&&value| divisor == 0 || value % divisor != 0);
        self.that(uneven.is_none(), || {
            let value = uneven.copied().unwrap_or_default();
            format!("`{key}` is {divisor}, which does not divide the {value} channels of a block")
        })
    }

    /// `key` lists one block type per block.
    pub(crate) fn as_many_as_blocks(&mut self, key: &str, got: usize, want: usize) -> &mut Self {
        self.that(got == want, || {
            format!("`{key}` has {got} entries, `block_out_channels` has {want}; they go in pairs")
        })
    }

    /// `key` names known blocks of a UNet on the way `direction`, "Down" or "Up".
    pub(crate) fn block_types(
        &mut self,
        key: &str,
        kinds: &[String],
        direction: &str,
    ) -> &mut Self {
        for kind in kinds {
            self.that(block_attends(kind, direction).is_some(), || {
                format!(
                    "`{key}` has {kind}; CrossAttn{direction}Block and {direction}Block exist, \
                     ending in 2D or 3D"
                )
            });
        }
        self
    }

    /// `key` has the only supported value.
    pub(crate) fn only<T>(&mut self, key: &str, got: &T, want: &T) -> &mut Self
    where
        T: PartialEq + std::fmt::Debug,
    {
        self.that(got == want, || format!("`{key}` is {got:?}; only {want:?} is supported"))
    }

    /// An error that lists every fault, if there is any.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Error::config(self.origin, self.faults.join("; ")))
    }
}

/// Whether a block of a UNet called `kind` has transformers; `None` if there is no such block on
/// the way `direction`, "Down" or "Up".
pub(crate) fn block_attends(kind: &str, direction: &str) -> Option<bool> {
    let kind = kind.strip_suffix("3D").or(kind.strip_suffix("2D"))?;
    let kind = kind.strip_suffix("Block")?.strip_suffix(direction)?;
    match kind {
        "" => Some(false),
        "CrossAttn" => Some(true),
        _ => None,
    }
}
