//! The catalogue: models that can be fetched, and where their files are found once they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    #[serde(default = "main_branch")]
    revision: String,
    #[serde(default)]
    inside: String,
    files: Vec<String>,
    /// The file that its name stands for; the folder where there is none.
    pub(super) file: Option<String>,
    at: Vec<PathBuf>,
    licence: String,
}

fn main_branch() -> String {
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

    /// The model called `name`, with its own name.
    pub(super) fn named(&self, name: &str) -> Option<(&str, &CatalogueModel)> {
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
    pub(super) fn place(&self, path: &Path, cache: &HubCache) -> Option<PathBuf> {
        if let Some((_, model)) = path.to_str().and_then(|name| self.named(name)) {
            return model.in_cache(cache);
        }
        let of_model = |(_, model): (&str, &CatalogueModel)| {
            let rest = model.rest(path)?;
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
    pub(super) fn rest<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        self.at.iter().find_map(|at| path.strip_prefix(at).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A cache that has the files of the models called `names`.
    fn cache(names: &[&str]) -> (tempfile::TempDir, HubCache) {
        let (folder, catalogue) = (tempfile::tempdir().unwrap(), Catalogue::open().unwrap());
        for name in names {
            let wanted = catalogue.get(name).unwrap().1.wanted();
            let repository =
                folder.path().join(format!("models--{}", wanted.repository.replace('/', "--")));
            for file in &wanted.files {
                let path = repository.join("snapshots/abc").join(file.last().unwrap());
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, b"").unwrap();
            }
            fs::create_dir_all(repository.join("refs")).unwrap();
            fs::write(repository.join("refs/main"), "abc").unwrap();
        }
        let cache = HubCache::at(folder.path());
        (folder, cache)
    }

    #[test]
    fn every_entry_is_sound() {
        let (catalogue, plain) =
            (Catalogue::open().unwrap(), |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c));
        let mut names: Vec<&str> = Vec::new();
        for (name, model) in catalogue.models() {
            catalogue.licence(model).unwrap();
            names.extend(model.also.iter().map(String::as_str).chain([name]));
            assert!(catalogue.with_needs(&[name.to_owned()], false).is_ok(), "{name}");
            assert!(
                !model.at.is_empty() && !model.about.is_empty() && model.megabytes > 0,
                "{name}"
            );
            let wanted = model.wanted();
            assert_eq!(wanted.repository.matches('/').count(), 1, "{name}");
            let files: Vec<&String> = wanted.files.iter().flatten().collect();
            assert!(!files.is_empty(), "{name}");
            for path in files.into_iter().chain([&wanted.repository]) {
                assert!(
                    path.chars().all(plain) && !path.contains("..") && !path.starts_with('/'),
                    "{path}"
                );
            }
            let ends_so =
                |file: &String| wanted.files.iter().flatten().any(|path| path.ends_with(file));
            assert!(model.file.as_ref().is_none_or(ends_so), "{name}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands for two models");
    }

    #[test]
    fn every_model_of_the_tables_can_be_fetched() {
        let (catalogue, folder) = (
            Catalogue::open().unwrap(),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/models"),
        );
        let mut checked = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "yaml")
                || path.ends_with("catalogue.yaml")
            {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let table: BTreeMap<String, serde_json::Value> = yaml::parse(&text, "table").unwrap();
            for (name, entry) in table {
                let Some(place) = entry.as_str().or_else(|| entry["path"].as_str()) else {
                    continue;
                };
                let known =
                    catalogue.models().any(|(_, model)| model.rest(Path::new(place)).is_some());
                assert!(known, "{}: {name} at {place} is not in the catalogue", path.display());
                checked += 1;
            }
        }
        assert!(checked >= 5, "only {checked} models were found in the tables");
    }

    #[test]
    fn controls_are_names_of_their_networks() {
        let controls = [
            "pose",
            "pose_body",
            "pose_hand",
            "pose_face",
            "pose_hand_body",
            "pose_hand_face",
            "dwpose",
            "dwpose_face",
            "dwpose_hand",
            "dwpose_body",
            "dwpose_body_hand",
            "canny",
            "tile",
            "hed",
            "hed_scribble",
            "depth",
            "pidi",
            "normal_bae",
            "lineart",
            "lineart_anime",
            "zoe",
            "sam",
            "mobile_sam",
            "leres",
            "content",
            "face_detector",
        ];
        for control in controls {
            assert!(Catalogue::open().unwrap().get(control).is_ok(), "{control}");
        }
        assert_eq!(Catalogue::open().unwrap().get("zoe").unwrap().0, "control_v11f1p_sd15_depth");
    }

    #[test]
    fn needs_come_first_and_once() {
        let names = |names: &[&str], alone| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let catalogue = Catalogue::open().unwrap();
            let found = catalogue.with_needs(&names, alone).unwrap();
            found.into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        let with_needs = names(&["musev_referencenet", "musev"], false);
        let expected =
            ["majicmixRealv6Fp16", "sd-vae-ft-mse", "image_encoder", "musev_referencenet", "musev"];
        assert_eq!(with_needs, expected);
        assert_eq!(names(&["musev", "musev"], true), ["musev"]);
        let error = Catalogue::open().unwrap().get("fantasticmix").unwrap_err().to_string();
        assert!(error.contains("did you mean `fantasticmix_v10`?"), "{error}");
    }

    #[test]
    fn names_and_paths_lead_into_the_cache() {
        let (_folder, cache) = cache(&["musev_referencenet", "image_encoder", "lcm-lora-sdv1-5"]);
        let catalogue = Catalogue::open().unwrap();
        let place = |path: &str| catalogue.place(Path::new(path), &cache);
        let ends = |path: &str, end: &str| {
            let found = place(path).unwrap_or_else(|| panic!("{path} was not found"));
            assert!(found.ends_with(end), "{path} leads to {}", found.display());
        };
        ends("musev_referencenet", "snapshots/abc/motion/musev_referencenet");
        ends("motion/musev_referencenet", "snapshots/abc/motion/musev_referencenet");
        let projection = "motion/musev_referencenet/ip_adapter_image_proj.bin";
        ends(projection, projection);
        ends("IP-Adapter/models/image_encoder", "snapshots/abc/models/image_encoder");
        ends("ip_adapter/image_encoder", "snapshots/abc/models/image_encoder");
        let lora = "pytorch_lora_weights.safetensors";
        ends("lcm-lora-sdv1-5", &format!("snapshots/abc/{lora}"));
        ends(&format!("lcm/lcm-lora-sdv1-5/{lora}"), &format!("snapshots/abc/{lora}"));
        for nowhere in ["musev", "motion/musev", "vae/sd-vae-ft-mse", "", "/", "..", "depth"] {
            assert_eq!(place(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_model_in_part_is_not_there() {
        let (folder, cache) = cache(&["sd-vae-ft-mse"]);
        let repository = folder.path().join("models--stabilityai--sd-vae-ft-mse");
        let catalogue = Catalogue::open().unwrap();
        let place = || catalogue.place(Path::new("sd-vae-ft-mse"), &cache);
        // A newer commit of which nothing is there yet does not hide the older one.
        fs::write(repository.join("refs/main"), "def").unwrap();
        assert!(place().is_some());
        fs::remove_file(repository.join("snapshots/abc/config.json")).unwrap();
        assert_eq!(place(), None);
    }
}
