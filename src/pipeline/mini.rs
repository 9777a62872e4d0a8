//! The model that is inside musev: small, trained by `musev train`, told of in
//! `configs/models/mini/README.md`.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::files::ModelFiles;
use crate::config::ModelSpec;
use crate::error::Result;
use crate::files::{Files, ReadAt};

/// The files of the folder `configs/models/mini` that make the model.
macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$((
            concat!("mini/", $path),
            include_bytes!(concat!("../../configs/models/mini/", $path)).as_slice(),
        )),+]
    };
}

const FILES: [(&str, &[u8]); 11] = files![
    "settings.yaml",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/model.safetensors",
    "vae/config.json",
    "vae/model.safetensors",
];

impl ModelFiles {
    /// The model that is inside musev.
    ///
    /// # Errors
    /// Never with the files that musev is built from.
    pub fn mini() -> Result<Self> {
        let files = Files::held(FILES.map(|(path, bytes)| {
            let bytes: Arc<dyn ReadAt> = Arc::new(Cow::Borrowed(bytes));
            (path, bytes)
        }));
        Self::open_in(&files, &ModelSpec::whole_in(&files, Path::new("mini"))?)
    }
}
