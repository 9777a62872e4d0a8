//! The table of negative prompts.

use std::collections::BTreeMap;
use std::path::Path;

use super::yaml;
use crate::error::{Error, Result};

/// The table that comes with musev.
const BUILTIN: &str = include_str!("../../configs/negative_prompts.yaml");

/// Negative prompts by name.
#[derive(Clone, Debug)]
pub struct NegativePrompts {
    origin: String,
    /// None: what is given is the prompt itself.
    table: Option<BTreeMap<String, String>>,
}

impl NegativePrompts {
    /// The table that comes with musev: V1 to V5 and Empty.
    pub fn builtin() -> Result<Self> {
        let origin = "configs/negative_prompts.yaml".to_owned();
        Ok(Self { table: Some(yaml::parse(BUILTIN, &origin)?), origin })
    }

    /// Reads a YAML mapping of names to prompts; the path "None" means that what is given is the
    /// prompt itself.
    pub fn open(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        if origin.eq_ignore_ascii_case("none") {
            return Ok(Self { origin, table: None });
        }
        Ok(Self { table: Some(yaml::parse(&yaml::read_text(path)?, &origin)?), origin })
    }

    /// The prompt called `name`.
    ///
    /// # Errors
    /// When the table has no such name; the error lists those it has.
    pub fn get(&self, name: &str) -> Result<String> {
        let Some(table) = &self.table else { return Ok(name.to_owned()) };
        table.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = table.keys().map(String::as_str).collect();
            let reason = format!(
                "has no negative prompt `{name}`, only {}; to give a prompt itself, set \
                 negprompt-cfg-path to None",
                known.join(", ")
            );
            Error::config(self.origin.clone(), reason)
        })
    }

    /// What `wanted` stands for: the prompt of that name, or a prompt itself. A prompt is what does not
    /// look like a name: several words, or one of small letters.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn prompt(&self, wanted: &str) -> Result<String> {
        match self.get(wanted) {
            Err(_)
                if wanted.contains([' ', ',', '(', '['])
                    || wanted.chars().all(char::is_lowercase) =>
            {
                Ok(wanted.to_owned())
            }
            named => named,
        }
    }
}
