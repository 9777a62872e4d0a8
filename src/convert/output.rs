//! The output: written under a temporary name, and renamed when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;

use super::{ConvertEvent, Converted, create};
use crate::checkpoint::{Weights, write_safetensors};
use crate::config::SETTINGS_FILE;
use crate::error::{Error, Result};
use crate::media::{Staged, replace_folder};

/// Endings of names of weights that are not written.
const OTHER_FORMATS: [&str; 7] = ["ckpt", "bin", "pt", "pth", "gguf", "onnx", "pkl"];

/// What a model folder holds: nothing else is replaced.
const MODEL_FOLDER: [&str; 9] = [
    "unet",
    "vae",
    "text_encoder",
    "tokenizer",
    "scheduler",
    "feature_extractor",
    "safety_checker",
    "model_index.json",
    SETTINGS_FILE,
];

/// Where the output goes, known to be free or to be replaced.
pub(super) struct Target {
    path: PathBuf,
    is_folder: bool,
}

impl Target {
    /// # Errors
    /// When something is there that may not be replaced, or the name is one of another format.
    pub(super) fn new(path: &Path, force: bool) -> Result<Self> {
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let extension = extension.as_deref().unwrap_or_default();
        if OTHER_FORMATS.contains(&extension) {
            let reason = "only safetensors are written; give a name that ends in .safetensors, or \
                          one without an ending for a folder";
            return Err(Error::checkpoint(path, reason));
        }
        let is_folder = extension != "safetensors";
        if !path.exists() {
            return Ok(Self { path: path.to_path_buf(), is_folder });
        }
        let reason = match (is_folder, path.is_dir()) {
            (true, false) => "is a file, and a folder is to be written there".to_owned(),
            (false, true) => "is a folder, and a file is to be written there".to_owned(),
            _ if !force => "is there already; --force replaces it".to_owned(),
            (true, true) => match stranger(path)? {
                Some(name) => {
                    format!("holds {name}, which is of no model, so it is not replaced")
                }
                None => return Ok(Self { path: path.to_path_buf(), is_folder }),
            },
            (false, false) => return Ok(Self { path: path.to_path_buf(), is_folder }),
        };
        Err(Error::checkpoint(path, reason))
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }
}

/// Something in `folder` that belongs to no model.
fn stranger(folder: &Path) -> Result<Option<String>> {
    let read = |error| Error::io("read", folder, error);
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        if !MODEL_FOLDER.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A target, and how it is written.
pub(super) struct Output<'a> {
    pub(super) target: Target,
    pub(super) layout: &'static str,
    pub(super) dtype: Option<FloatDType>,
    pub(super) watch: &'a mut dyn FnMut(ConvertEvent<'_>) -> ControlFlow<()>,
}

impl Output<'_> {
    /// Writes one file that says `metadata` of itself.
    pub(super) fn file(
        mut self,
        weights: &Weights,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Converted> {
        let staged = Staged::new(&self.target.path)?;
        let of = weights.names().count();
        let bytes = self.write(weights, metadata, staged.path(), (0, of))?;
        staged.commit()?;
        Ok(self.converted(of, bytes))
    }

    /// Writes a folder of `networks`, and what `rest` adds to it.
    pub(super) fn folder(
        mut self,
        networks: &[(&str, Weights)],
        rest: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Converted> {
        let staged = Staged::new(&self.target.path)?;
        fs::create_dir(staged.path()).map_err(|error| staged.error(error))?;
        let of = networks.iter().map(|(_, weights)| weights.names().count()).sum();
        let (mut index, mut bytes) = (0, 0);
        for (part, weights) in networks {
            let folder = staged.path().join(part);
            create(&folder)?;
            let name = match *part {
                "text_encoder" => "model.safetensors",
                _ => "diffusion_pytorch_model.safetensors",
            };
            bytes += self.write(weights, &BTreeMap::new(), &folder.join(name), (index, of))?;
            index += weights.names().count();
        }
        rest(staged.path())?;
        replace_folder(&self.target.path, staged)?;
        Ok(self.converted(of, bytes))
    }

    /// Writes `path`; the tensors are those from `first` of `of`. The bytes written.
    fn write(
        &mut self,
        weights: &Weights,
        metadata: &BTreeMap<String, String>,
        path: &Path,
        (first, of): (usize, usize),
    ) -> Result<u64> {
        let failed = |error| Error::io("write", &self.target.path, error);
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        let mut index = first;
        let tell = &mut |name: &str| {
            let event = ConvertEvent { name, index, of };
            index += 1;
            match (self.watch)(event) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Cancelled),
            }
        };
        let out = (self.target.path.as_path(), &mut file as &mut dyn Write);
        write_safetensors(weights, self.dtype, metadata, out, tell)?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(file.metadata().map_err(failed)?.len())
    }

    fn converted(self, tensors: usize, bytes: u64) -> Converted {
        Converted { path: self.target.path, layout: self.layout, tensors, bytes }
    }
}
