//! Finding the weights of one network in a folder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::weights::{Weights, shortened};
use crate::error::{Error, Result};
use crate::files::Files;

/// File names that diffusers and transformers write, best first. An index names the shards.
const KNOWN_NAMES: [&str; 12] = [
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.fp16.bin",
];

/// Extensions of a file that may hold weights under any other name.
const EXTENSIONS: [&str; 5] = ["safetensors", "bin", "pth", "pt", "ckpt"];

/// The weights of the network in a folder.
pub(super) fn open(files: &Files, folder: &Path) -> Result<Weights> {
    open_file(files, weights_file(files, folder)?)
}

/// The same, `None` if the folder has no weights.
#[cfg(feature = "train")]
pub(super) fn find(files: &Files, folder: &Path) -> Result<Option<Weights>> {
    find_file(files, folder)?.map(|file| open_file(files, file)).transpose()
}

fn open_file(files: &Files, file: PathBuf) -> Result<Weights> {
    if file.extension().is_some_and(|extension| extension == "json") {
        open_sharded(files, &file)
    } else {
        Weights::open_in(files, &file)
    }
}

/// The file to open: an index, a known name, or the only weights file there is.
pub(super) fn weights_file(files: &Files, folder: &Path) -> Result<PathBuf> {
    find_file(files, folder)?.ok_or_else(|| {
        let reason = format!(
            "no weights in this folder; looked for {} and for any single file ending in {}",
            KNOWN_NAMES.join(", "),
            EXTENSIONS.join(", ")
        );
        Error::checkpoint(folder, reason)
    })
}

fn find_file(files: &Files, folder: &Path) -> Result<Option<PathBuf>> {
    if let Some(known) =
        KNOWN_NAMES.iter().map(|name| folder.join(name)).find(|file| files.is_file(file))
    {
        return Ok(Some(known));
    }
    let mut others = files.list(folder)?;
    others.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    });
    match others.as_slice() {
        [only] => Ok(Some(only.clone())),
        [] => Ok(None),
        several => {
            let names: Vec<String> =
                several.iter().map(|path| path.display().to_string()).collect();
            let reason = format!("several weights files, name one of them: {}", shortened(&names));
            Err(Error::checkpoint(folder, reason))
        }
    }
}

/// An index file: which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn open_sharded(files: &Files, index: &Path) -> Result<Weights> {
    let folder = index.parent().expect("an index was found inside a folder");
    let text = files.read_text(index)?;
    let Index { weight_map } = serde_json::from_str(&text)
        .map_err(|error| Error::checkpoint(index, format!("not an index of shards: {error}")))?;
    let mut shards: HashMap<&str, Weights> = HashMap::new();
    let mut entries = BTreeMap::new();
    for (name, shard) in &weight_map {
        if !shards.contains_key(shard.as_str()) {
            let path = shard_path(files, index, shard)?;
            shards.insert(shard, Weights::open_in(files, &path)?);
        }
        let entry = shards[shard.as_str()].entries().get(name).ok_or_else(|| {
            Error::checkpoint(index, format!("tensor {name} is not in its shard {shard}"))
        })?;
        entries.insert(name.clone(), entry.clone());
    }
    let format = shards.values().next().map(Weights::format);
    let format = format.ok_or_else(|| Error::checkpoint(index, "an index of no tensors"))?;
    Ok(Weights::from_shards(folder, format, shards.len(), entries))
}

/// The path of a shard, which has to be a plain name: an index must not lead out of its folder.
fn shard_path(files: &Files, index: &Path, shard: &str) -> Result<PathBuf> {
    let mut parts = Path::new(shard).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        let reason = format!("shard {shard:?} is not a plain file name in the same folder");
        return Err(Error::checkpoint(index, reason));
    }
    let path = index.with_file_name(shard);
    if !files.is_file(&path) {
        return Err(Error::checkpoint(index, format!("its shard {shard} is not in the folder")));
    }
    Ok(path)
}
