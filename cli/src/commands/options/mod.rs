//! Options that several commands have, in the groups in which `--help` shows them.

mod conditioners;
mod device;
mod embeddings;
mod input;
mod model;
mod output;
mod pictures;
mod sampling;
mod size;
pub(crate) mod values;

pub(crate) use conditioners::Conditioners;
pub(crate) use device::DeviceOptions;
pub(crate) use input::Input;
pub(crate) use model::Model;
pub(crate) use output::Output;
#[cfg(feature = "face")]
pub(crate) use pictures::no_face;
pub(crate) use pictures::{Chosen, Pictures};
pub(crate) use sampling::{FirstFrame, Sampling};
pub(crate) use size::{Length, Motion, Windows};
