//! Task files: a YAML list of tasks, or a CSV table with one task a row.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::task::{Task, check_keys};
use super::{interpolation, yaml};
use crate::error::{Error, Result};

/// What separates the alternatives of a value.
const SEPARATOR: char = '|';
/// The most tasks that one file may expand to.
const MAX_TASKS: usize = 10_000;

/// The tasks of a file, read and checked, alternatives not expanded yet.
#[derive(Clone, Debug)]
pub struct TaskFile {
    path: PathBuf,
    tasks: Vec<Map<String, Value>>,
}

impl TaskFile {
    /// Reads a `.yaml`, `.yml`, `.json` or `.csv` file, resolves its references and checks its
    /// keys.
    ///
    /// # Errors
    /// Names the file, the line of a syntax error, or the task and key that are wrong.
    pub fn open(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        let tasks = match extension.as_str() {
            "yaml" | "yml" | "json" => from_yaml(&yaml::read_text(path)?, &origin)?,
            "csv" => from_csv(&yaml::read_text(path)?, &origin)?,
            _ => return Err(Error::config(origin, "a task file ends in .yaml, .json or .csv")),
        };
        check_keys(&tasks, &origin)?;
        Ok(Self { path: path.to_path_buf(), tasks })
    }

    /// The names of the tasks, in order; a task without a name is called by its position.
    pub fn names(&self) -> Vec<String> {
        let name = |(index, task): (usize, &Map<String, Value>)| match task.get("name") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(name)) => name.to_string(),
            _ => index.to_string(),
        };
        self.tasks.iter().enumerate().map(name).collect()
    }

    /// The tasks named in the comma list `targets`, or every one for "all", alternatives expanded.
    /// Empty if no name matches.
    ///
    /// # Errors
    /// Names the task and the key that is wrong.
    pub fn select(&self, targets: &str) -> Result<Vec<Task>> {
        let targets: Vec<&str> = targets.split(',').map(str::trim).collect();
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let origin = self.path.display().to_string();
        let mut selected = Vec::new();
        for (name, task) in self.names().iter().zip(&self.tasks) {
            if targets == ["all"] || targets.contains(&name.as_str()) {
                let expanded = fission(std::slice::from_ref(task)).map_err(|e| {
                    Error::config(format!("{origin}, task `{name}`"), e.to_string())
                })?;
                for map in expanded {
                    selected.push(Task::new(map, name, &origin, folder)?);
                }
            }
            if selected.len() > MAX_TASKS {
                return Err(Error::config(origin, format!("expands to over {MAX_TASKS} tasks")));
            }
        }
        Ok(selected)
    }
}

/// Expands values with `|` to every combination of their alternatives; the last key varies fastest.
///
/// # Errors
/// When a task has over 10,000 combinations.
pub fn fission(tasks: &[Map<String, Value>]) -> Result<Vec<Map<String, Value>>> {
    let mut expanded = Vec::new();
    for task in tasks {
        let mut combinations = vec![task.clone()];
        for (key, value) in task {
            let Value::String(text) = value else { continue };
            if !text.contains(SEPARATOR) {
                continue;
            }
            let alternatives: Vec<&str> = text.split(SEPARATOR).collect();
            if combinations.len() * alternatives.len() > MAX_TASKS {
                let reason = format!("its values with `|` make over {MAX_TASKS} combinations");
                return Err(Error::config(format!("key `{key}`"), reason));
            }
            let with = |task: &Map<String, Value>, alternative: &str| {
                let mut task = task.clone();
                task.insert(key.clone(), Value::String(alternative.to_owned()));
                task
            };
            combinations = combinations
                .iter()
                .flat_map(|task| alternatives.iter().map(move |text| with(task, text)))
                .collect();
        }
        expanded.extend(combinations);
    }
    Ok(expanded)
}

fn from_yaml(text: &str, origin: &str) -> Result<Vec<Map<String, Value>>> {
    let root: Value = yaml::parse(text, origin)?;
    let Value::Array(items) = interpolation::resolve(&root, origin)? else {
        return Err(Error::config(origin, "has to be a list of tasks, each beginning with `- `"));
    };
    let task = |(index, item)| match item {
        Value::Object(task) => Ok(task),
        _ => Err(Error::config(origin, format!("item {index} is not a task with `key: value`"))),
    };
    items.into_iter().enumerate().map(task).collect()
}

/// Rows of a table whose first row names the keys; an empty cell is an absent key. The original
/// reads a CSV only if the file is called `csv.*`; here the extension decides.
fn from_csv(text: &str, origin: &str) -> Result<Vec<Map<String, Value>>> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers = reader.headers().map_err(|e| Error::config(origin, e.to_string()))?.clone();
    let mut tasks = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| Error::config(origin, e.to_string()))?;
        let filled = headers.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
        tasks.push(filled.map(|(key, cell)| (key.trim().to_owned(), cell.into())).collect());
    }
    Ok(tasks)
}
