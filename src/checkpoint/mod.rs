//! Weights on disk: named, lazy tensors of one or more files, and their way into a module.
//!
//! * [`Weights`] opens a file or a folder (safetensors, PyTorch archives, sharded index files),
//!   recognised by content; a tensor is read when it is asked for and never before.
//! * [`load`] puts them into a module and names every tensor that is missing, unused or of another
//!   shape; [`state_dict`] lists what a module wants, as PyTorch spells it, without allocating.
//! * [`SingleFile`] finds the networks of a model that is one file, [`control_net`] the one in a file
//!   of ControlNet's authors; [`Lora`] lays changes over weights, [`TextualInversion`] hangs rows below them; [`write_safetensors`] writes any weights
//!   again, tensor by tensor.
//! * `tensors` and `to_safetensors` turn a module into such a file again, for training.
//! * [`inspect`] tells what a file or folder is and which networks it fits.
//!
//! Files are read with positioned reads rather than mapped: a map's pages count as memory of the
//! process until the system takes them back, and a file cut short under a map kills the process
//! where a read returns an error.

mod control_net;
mod convert;
mod embeddings;
mod entry;
mod folder;
mod inspect;
mod keys;
mod ldm;
mod load;
mod lora;
mod pickle;
mod pickled;
mod rewrite;
mod safetensors;
#[cfg(feature = "train")]
mod save;
mod single_file;
mod source;
mod state_dict;
mod textual_inversion;
mod torch;
mod weights;

pub use control_net::control_net;
pub use embeddings::face_embeddings;
pub use entry::TensorInfo;
pub use inspect::{
    Inspection, Kind, KnownNetwork, Missing, NetworkMatch, Part, TensorLine, WeightsSummary,
    inspect,
};
pub use keys::KeyRename;
pub use load::{LoadOptions, check, load};
pub use lora::{BlockWeights, Lora, LoraChoice, LoraNaming, LoraSummary};
pub use rewrite::write_safetensors;
#[cfg(feature = "train")]
pub use save::{tensors, to_safetensors};
pub use single_file::SingleFile;
pub use state_dict::state_dict;
pub use textual_inversion::{EmbeddingChoice, TextualInversion};
pub use weights::{Format, Weights};
