//! Where a model is that an option or a table names.

use std::path::{Component, Path, PathBuf};

use super::{Catalogue, CatalogueModel};
use crate::error::Result;
use crate::hub::HubCache;

/// What follows in `path` on the checkpoint folder: `root`, or the original's.
fn below(path: &Path, root: &Path) -> PathBuf {
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| *part != Component::CurDir).collect()
    };
    let path = plain(path);
    let rest = path.strip_prefix(plain(root)).or_else(|_| path.strip_prefix("checkpoints"));
    rest.unwrap_or(&path).to_path_buf()
}

/// Where the model `path` is: a file or folder, the name of a model of the catalogue, or a path that
/// one of its models stands for (below `root`, or as it is). What is neither on disk nor in the
/// cache stays as it is, for the error of whoever opens it.
///
/// # Errors
/// Never with a binary that passes its tests: when the catalogue is damaged.
pub fn find_model(path: &Path, root: &Path) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path.to_path_buf());
    }
    let (catalogue, cache) = (Catalogue::open()?, HubCache::from_environment());
    Ok(catalogue.place(&below(path, root), &cache).unwrap_or_else(|| path.to_path_buf()))
}

/// How a model that is not there can be had, to be put after a message: the command that fetches it,
/// where the catalogue has it.
pub fn how_to_fetch(path: &Path, root: &Path) -> String {
    let below = below(path, root);
    let Ok(catalogue) = Catalogue::open() else { return String::new() };
    let by_name = below.to_str().and_then(|name| catalogue.named(name));
    // The folder of several models, such as the image prompts', names none of them.
    let has_it = |(_, model): &(&str, &CatalogueModel)| match (model.rest(&below), &model.file) {
        (Some(rest), Some(file)) => rest == Path::new(file),
        (rest, _) => rest.is_some(),
    };
    let found = by_name.or_else(|| catalogue.models().find(has_it));
    match found {
        Some((name, _)) if cfg!(feature = "pull") => format!("; musev pull {name} fetches it"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_folder_is_left_out_of_paths() {
        let rest = |path: &str| below(Path::new(path), Path::new("./models"));
        for path in ["./models/vae/x", "models/vae/x", "./checkpoints/vae/x", "vae/x"] {
            assert_eq!(rest(path), Path::new("vae/x"), "{path}");
        }
        assert_eq!(below(Path::new("/a/vae/x"), Path::new("/a")), Path::new("vae/x"));
    }
}
