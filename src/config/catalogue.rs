//! The catalogue: models that can be fetched, and where their files are found once they are.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{hint, yaml};
use crate::error::{Error, Result};
use crate::hub::{HubCache, Wanted};

const ORIGIN: &str = "configs/models/catalogue.yaml";
const TEXT: &str = include_str!("../../configs/models/catalogue.yaml");

/// The models that `musev pull` knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    licences: BTreeMap<String, Licence>,
    models: BTreeMap<String, CatalogueModel>,
}

/// What a model may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// How it is called.
    pub name: String,
    /// Where it can be read.
    pub url: String,
    /// Whether it allows research only, and nothing commercial.
    pub research_only: bool,
}

/// A model of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueModel {
    /// What it is, in a line.
    pub about: String,
    /// The repository of its files, `OWNER/NAME`.
    pub repository: String,
    /// About how much is transferred, in megabytes.
    pub megabytes: u64,
    /// Other names of it: the controls that a ControlNet follows.
    #[serde(default)]
    pub also: Vec<String>,
    /// Names of the models without which it makes no video.
    #[serde(default)]
    pub needs: Vec<String>,
    #[serde(default = "main")]
    revision: String,
    #[serde(default)]
    inside: String,
    files: Vec<String>,
    file: Option<String>,
    at: Vec<PathBuf>,
    licence: String,
}

fn main() -> String {
    "main".to_owned()
}

impl Catalogue {
    /// The one that comes with musev.
    ///
    /// # Errors
    /// Never with a binary that passes its tests: when the table is damaged.
    pub fn open() -> Result<Self> {
        yaml::parse(TEXT, ORIGIN)
    }

    /// All models by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &CatalogueModel)> {
        self.models.iter().map(|(name, model)| (name.as_str(), model))
    }

    /// The model called `name`, which may be one of its other names, with its own.
    ///
    /// # Errors
    /// When there is none; the error tells what was probably meant.
    pub fn get(&self, name: &str) -> Result<(&str, &CatalogueModel)> {
        self.named(name).ok_or_else(|| {
            let known = self.models.keys().map(String::as_str);
            let reason = format!(
                "`{name}` is not in the catalogue{}; musev pull --list tells what is",
                hint(name, known)
            );
            Error::config(ORIGIN, reason)
        })
    }

    fn named(&self, name: &str) -> Option<(&str, &CatalogueModel)> {
        let is_it = |(own, model): &(&str, &CatalogueModel)| {
            *own == name || model.also.iter().any(|other| other == name)
        };
        self.models().find(is_it)
    }

    /// The models called `names` and, unless `alone`, all that they need, each once: what is needed
    /// comes first.
    ///
    /// # Errors
    /// When one of them is not in the catalogue.
    pub fn with_needs(
        &self,
        names: &[String],
        alone: bool,
    ) -> Result<Vec<(&str, &CatalogueModel)>> {
        let mut found = Vec::new();
        for name in names {
            self.add(name, alone, &mut found)?;
        }
        Ok(found)
    }

    fn add<'a>(
        &'a self,
        name: &str,
        alone: bool,
        found: &mut Vec<(&'a str, &'a CatalogueModel)>,
    ) -> Result<()> {
        let (name, model) = self.get(name)?;
        if found.iter().any(|(other, _)| *other == name) {
            return Ok(());
        }
        for need in model.needs.iter().filter(|_| !alone) {
            self.add(need, alone, found)?;
        }
        found.push((name, model));
        Ok(())
    }

    /// The licence of `model`.
    ///
    /// # Errors
    /// Never with a binary that passes its tests: when the table has none.
    pub fn licence(&self, model: &CatalogueModel) -> Result<&Licence> {
        let reason = || format!("{} has the unknown licence {}", model.repository, model.licence);
        self.licences.get(&model.licence).ok_or_else(|| Error::config(ORIGIN, reason()))
    }

    /// Where `path`, below a checkpoint folder, or the name of a model is in `cache`; `None` where it
    /// is nowhere.
    fn place(&self, path: &Path, cache: &HubCache) -> Option<PathBuf> {
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        if let Some((_, model)) = path.to_str().and_then(|name| self.named(name)) {
            return model.in_cache(cache);
        }
        let of_model = |(_, model): (&str, &CatalogueModel)| {
            let rest = model.rest(&path)?;
            let folder = model.folder(cache)?;
            Some(folder.join(rest)).filter(|place| place.exists())
        };
        self.models().find_map(of_model)
    }
}

impl CatalogueModel {
    /// Its files in the repository.
    pub fn wanted(&self) -> Wanted {
        let inside = |file: &str| match self.inside.as_str() {
            "" => file.trim().to_owned(),
            folder => format!("{folder}/{}", file.trim()),
        };
        Wanted {
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            files: self.files.iter().map(|names| names.split('|').map(inside).collect()).collect(),
        }
    }

    /// Where it is in `cache`, as an option takes it; `None` where it is not, or not whole.
    pub fn in_cache(&self, cache: &HubCache) -> Option<PathBuf> {
        let folder = self.folder(cache)?;
        Some(self.file.as_ref().map_or_else(|| folder.clone(), |file| folder.join(file)))
    }

    fn folder(&self, cache: &HubCache) -> Option<PathBuf> {
        let snapshot = cache.find(&self.wanted())?;
        Some(if self.inside.is_empty() { snapshot } else { snapshot.join(&self.inside) })
    }

    /// What follows in `path` on one of the paths that this model is found under.
    fn rest<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        self.at.iter().find_map(|at| path.strip_prefix(at).ok())
    }
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
    let below = path.strip_prefix(root).unwrap_or(path);
    Ok(catalogue.place(below, &cache).unwrap_or_else(|| path.to_path_buf()))
}

/// How a model that is not there can be had, to be put after a message: the command that fetches it,
/// where the catalogue has it.
pub fn how_to_fetch(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let Ok(catalogue) = Catalogue::open() else { return String::new() };
    let by_name = below.to_str().and_then(|name| catalogue.named(name));
    // The folder of several models, such as the image prompts', names none of them.
    let has_it = |(_, model): &(&str, &CatalogueModel)| match (model.rest(below), &model.file) {
        (Some(rest), Some(file)) => rest == Path::new(file),
        (rest, _) => rest.is_some(),
    };
    let found = by_name.or_else(|| catalogue.models().find(has_it));
    match found {
        Some((name, _)) if cfg!(feature = "pull") => format!("; musev pull {name} fetches it"),
        _ => String::new(),
    }
}
