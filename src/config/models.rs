//! Which folders make a model: named in the tables of `configs/models`, or given as paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::conditioners::{self, ConditionerSpec};
use super::{ModelSettings, hint, yaml};
use crate::error::{Error, Result};
use crate::files::Files;

const BASE: Builtin = ("configs/models/base.yaml", include_str!("../../configs/models/base.yaml"));
const MOTION: Builtin =
    ("configs/models/motion.yaml", include_str!("../../configs/models/motion.yaml"));
const VAE: Builtin = ("configs/models/vae.yaml", include_str!("../../configs/models/vae.yaml"));

const LCM: Builtin = ("configs/models/lcm.yaml", include_str!("../../configs/models/lcm.yaml"));

/// The VAE that the original takes where none is named.
const DEFAULT_VAE: &str = "sd-vae-ft-mse";

/// Folders of a whole model that may hold its motion, the first that is there.
const MOTION_FOLDERS: [&str; 3] =
    ["motion/musev", "motion/musev_referencenet", "motion/musev_referencenet_pose"];

/// A table that comes with musev: its path and its text.
pub(super) type Builtin = (&'static str, &'static str);

/// The structure of the motion UNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The motion module alone.
    Musev,
    /// The motion module, the fusion of a reference, and the branch of an image prompt: also the
    /// structure of `musev_referencenet_pose`.
    #[serde(alias = "musev_referencenet_pose")]
    MusevReferencenet,
}

/// How the user names a part of the model.
#[derive(Clone, Debug)]
pub struct ModelChoice {
    /// A table of models; without one, the table that comes with musev. With the name "None" this
    /// is the model itself.
    pub table: Option<PathBuf>,
    /// A name in the table, several separated by commas, "all", or "None".
    pub name: String,
}

/// Where the parts of one model lie.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name of the base model, as output files carry it.
    pub name: String,
    /// The base model (Stable Diffusion 1.5): a folder in diffusers' layout, or a single file.
    pub base: PathBuf,
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// Folder of the motion model; its `unet` folder holds the motion UNet.
    pub unet: PathBuf,
    /// Folder of the VAE, or a file that holds one.
    pub vae: PathBuf,
    /// Structure of the motion UNet; `None` is told by its tensors.
    pub variant: Option<Variant>,
    /// The networks of conditions.
    pub conditioners: ConditionerSpec,
    /// What it is run with where the user says nothing.
    pub settings: ModelSettings,
}

/// An entry of a table: a path, alone or with what else is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Path(PathBuf),
    Described(Described),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    path: PathBuf,
    variant: Option<Variant>,
}

/// A table of models, its paths below `root`.
pub(super) struct Table<'a> {
    origin: String,
    root: &'a Path,
    entries: BTreeMap<String, Entry>,
}

/// The folder that the paths of the tables are below: `given`, or else the environment variable
/// `MUSEV_MODELS`, or else `checkpoints`.
pub fn checkpoint_root(given: Option<&Path>) -> PathBuf {
    let from_environment = || std::env::var_os("MUSEV_MODELS").filter(|root| !root.is_empty());
    match given {
        Some(root) => root.to_path_buf(),
        None => from_environment().map_or_else(|| PathBuf::from("checkpoints"), PathBuf::from),
    }
}

impl ModelSpec {
    /// The model that is whole in `folder`: either its parts `text_encoder`, `tokenizer`, `vae`,
    /// `unet` and `scheduler` themselves, or the base model's in `base` and the motion model's
    /// `unet` in `motion/musev`, `motion/musev_referencenet` or `motion/musev_referencenet_pose`.
    /// With the motion model may lie its folder `referencenet` and its file
    /// `ip_adapter_image_proj.bin`, and in the folder itself `image_encoder`. A file `settings.yaml`
    /// in it is its [`ModelSettings`].
    ///
    /// # Errors
    /// When a part is not there; the error names all that are missing.
    pub fn whole(folder: &Path) -> Result<Self> {
        Self::whole_in(&Files::disk(), folder)
    }

    /// The same, of files that need not be on disk.
    ///
    /// # Errors
    /// When a part is not there; the error names all that are missing.
    pub fn whole_in(files: &Files, folder: &Path) -> Result<Self> {
        if files.is_file(folder) {
            let reason = "is a file, and a whole model is a folder; a single-file model is a base \
                          for the motion of another: --sd-model-name None --sd-model-cfg-path FILE";
            return Err(Error::checkpoint(folder, reason));
        }
        let or_itself = |inner: &[&str]| {
            let inner =
                inner.iter().map(|inner| folder.join(inner)).find(|path| files.is_dir(path));
            inner.unwrap_or_else(|| folder.to_path_buf())
        };
        let (base, unet) = (or_itself(&["base"]), or_itself(&MOTION_FOLDERS));
        let parts = ["text_encoder", "tokenizer", "vae", "unet", "scheduler"];
        let missing: Vec<String> = parts
            .map(|part| base.join(part))
            .into_iter()
            .chain((unet != base).then(|| unet.join("unet")))
            .filter(|part| !files.is_dir(part))
            .map(|part| part.strip_prefix(folder).unwrap_or(&part).display().to_string())
            .collect();
        if !missing.is_empty() {
            let reason = format!(
                "is no whole model: {} missing; a model has the folders {}, or these in base and \
                 the motion's unet in motion/musev",
                missing.join(", "),
                parts.join(", ")
            );
            return Err(Error::checkpoint(folder, reason));
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let (tokenizer, vae) = (base.join("tokenizer"), base.join("vae"));
        let name = name.unwrap_or_else(|| "model".to_owned());
        let settings = ModelSettings::of(files, folder)?;
        let conditioners = ConditionerSpec::beside(files, folder, &unet);
        Ok(Self { name, base, tokenizer, unet, vae, variant: None, conditioners, settings })
    }

    /// Finds the models that `base` names, each with the motion model `unet`. "all" takes those
    /// base models of the table that exist on this machine. Networks of conditions are added by
    /// [`super::ConditionerChoice::apply`].
    ///
    /// # Errors
    /// When a name is in no table (the known ones are listed) or a path does not exist.
    pub fn find(
        base: &ModelChoice,
        unet: &ModelChoice,
        parts: &PartChoice,
        root: &Path,
    ) -> Result<Vec<Self>> {
        let motion = match unet.model_itself("unet_model_name")? {
            Some((_, path)) => (path, None),
            None => Table::open(unet.table.as_deref(), MOTION, root)?.get(&unet.name)?,
        };
        let bases = match base.model_itself("sd_model_name")? {
            Some(named) => vec![named],
            None => Table::open(base.table.as_deref(), BASE, root)?.bases(&base.name)?,
        };
        let spec = |(name, base): (String, PathBuf)| {
            let vae = parts.vae(&base, root)?;
            for (part, path) in [("base model", &base), ("motion model", &motion.0), ("VAE", &vae)]
            {
                if !path.exists() {
                    let reason = format!(
                        "the {part} is not there; put it there, give its path, or name the \
                         folder of all models with model-dir or MUSEV_MODELS"
                    );
                    return Err(Error::checkpoint(path, reason));
                }
            }
            let tokenizer = parts.tokenizer(&base, root)?;
            let (unet, variant) = motion.clone();
            let (conditioners, settings) = (ConditionerSpec::default(), ModelSettings::default());
            Ok(Self { name, base, tokenizer, unet, vae, variant, conditioners, settings })
        };
        bases.into_iter().map(spec).collect()
    }
}

/// The file of the LCM LoRA that `choice` names, `None` for the name "None" without a table.
///
/// # Errors
/// When the name is not in the table (the known ones are listed) or the file does not exist.
pub fn lcm_lora(choice: &ModelChoice, root: &Path) -> Result<Option<PathBuf>> {
    conditioners::found(choice, LCM, root, "LCM LoRA")
}

/// Parts that need not come from the base model.
#[derive(Clone, Debug, Default)]
pub struct PartChoice {
    /// The VAE, as a path or as a name of the table. Without it, `sd-vae-ft-mse`; with a base model
    /// that is a single file, the one inside.
    pub vae: Option<String>,
    /// Folder of the tokenizer. Without it, the base model's; a base model that is a single file
    /// has none: then the folder `tokenizer` beside it, or that of a base model of the table.
    pub tokenizer: Option<PathBuf>,
}

impl PartChoice {
    fn vae(&self, base: &Path, root: &Path) -> Result<PathBuf> {
        let name = match &self.vae {
            Some(name) => name.as_str(),
            None if base.is_file() => return Ok(base.to_path_buf()),
            None => DEFAULT_VAE,
        };
        match Table::open(None, VAE, root)? {
            _ if Path::new(name).exists() => Ok(PathBuf::from(name)),
            table => table.known(name, "is neither a path nor a known VAE"),
        }
    }

    fn tokenizer(&self, base: &Path, root: &Path) -> Result<PathBuf> {
        if let Some(folder) = &self.tokenizer {
            return Ok(folder.clone());
        }
        if !base.is_file() {
            return Ok(base.join("tokenizer"));
        }
        tokenizer_near(base, root)
    }
}

/// A tokenizer for a single file, which holds no vocabulary: the folder `tokenizer` beside it, or
/// that of a base model of the table below `root`.
///
/// # Errors
/// When there is none; the error names the option that gives it.
pub fn tokenizer_near(file: &Path, root: &Path) -> Result<PathBuf> {
    let mut places = vec![file.with_file_name("tokenizer")];
    let table = Table::open(None, BASE, root)?;
    for name in table.entries.keys() {
        places.push(table.get(name)?.0.join("tokenizer"));
    }
    places.iter().find(|place| place.is_dir()).cloned().ok_or_else(|| {
        let reason = format!(
            "{} is a single file, which holds no vocabulary; name the tokenizer folder of any \
             Stable Diffusion 1.5 model, or put it beside the file",
            file.display()
        );
        Error::request("tokenizer", reason)
    })
}

impl ModelChoice {
    /// With the name "None": the model's name and path.
    fn model_itself(&self, option: &'static str) -> Result<Option<(String, PathBuf)>> {
        if self.name != "None" {
            return Ok(None);
        }
        let Some(path) = self.table.clone() else {
            let reason = "is None, which needs the path of the model in place of the table";
            return Err(Error::request(option, reason));
        };
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = file.as_deref().and_then(|name| name.split('.').next()).unwrap_or("model");
        Ok(Some((name.to_owned(), path)))
    }
}

impl<'a> Table<'a> {
    pub(super) fn open(path: Option<&Path>, builtin: Builtin, root: &'a Path) -> Result<Self> {
        let (origin, text) = match path {
            Some(path) if path.is_dir() => {
                let reason = "is a folder, not a table; with a model's folder give the name None";
                return Err(Error::config(path.display().to_string(), reason));
            }
            Some(path) => (path.display().to_string(), yaml::read_text(path)?),
            None => (builtin.0.to_owned(), builtin.1.to_owned()),
        };
        Ok(Self { entries: yaml::parse(&text, &origin)?, origin, root })
    }

    pub(super) fn get(&self, name: &str) -> Result<(PathBuf, Option<Variant>)> {
        match self.entries.get(name) {
            Some(Entry::Path(path)) => Ok((self.root.join(path), None)),
            Some(Entry::Described(model)) => Ok((self.root.join(&model.path), model.variant)),
            None => Err(self.unknown(name, "is not in this table")),
        }
    }

    /// The path of `name`; `reason` says why another is wrong.
    pub(super) fn known(&self, name: &str, reason: &str) -> Result<PathBuf> {
        if self.entries.contains_key(name) {
            Ok(self.get(name)?.0)
        } else {
            Err(self.unknown(name, reason))
        }
    }

    /// Names and paths for a comma list of names, or for "all".
    fn bases(&self, names: &str) -> Result<Vec<(String, PathBuf)>> {
        if names != "all" {
            let named = |name: &str| Ok((name.to_owned(), self.get(name)?.0));
            return names.split(',').map(str::trim).map(named).collect();
        }
        let mut found = Vec::new();
        for name in self.entries.keys() {
            let path = self.get(name)?.0;
            if path.exists() {
                found.push((name.clone(), path));
            }
        }
        if found.is_empty() {
            let reason = format!("no base model of {} is there", self.origin);
            return Err(Error::checkpoint(self.root, reason));
        }
        Ok(found)
    }

    fn unknown(&self, name: &str, reason: &str) -> Error {
        let known: Vec<_> = self.entries.keys().map(String::as_str).collect();
        let hint = hint(name, known.iter().copied());
        let reason = format!("`{name}` {reason}; it has {}{hint}", known.join(", "));
        Error::config(self.origin.clone(), reason)
    }
}
