//! One task of a task file: what to animate and how, everything optional but the prompt.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::nearest;
use crate::error::{Error, Result};
use crate::prompt::template::{PORTRAIT, template_keys};

/// The keys a task may have besides those that its prompt uses.
pub const TASK_KEYS: [&str; 22] = [
    "name",
    "prompt",
    "condition_images",
    "condition_images_index",
    "refer_image",
    "ipadapter_image",
    "face_image",
    "video_path",
    "height",
    "width",
    "img_length_ratio",
    "motion_speed",
    "w_ind_noise",
    "img_weight",
    "redraw_condition_image",
    "negative_prompt",
    "video_negative_prompt",
    "style",
    "sex",
    "template_name",
    "video_is_middle",
    "video_has_condition",
];

/// One task. What it leaves out is decided by the command line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// Its name, or its position in the file.
    pub name: String,
    /// The prompt, whose `{keys}` are not filled in yet.
    pub prompt: String,
    /// The kind of template that a bare `{}` in the prompt is.
    pub template_name: Option<String>,
    /// Negative prompt of the first frame: a name of the table, or text.
    pub negative_prompt: Option<String>,
    /// Negative prompt of the video: a name of the table, or text.
    pub video_negative_prompt: Option<String>,
    /// Its pictures.
    pub images: TaskImages,
    /// Its size.
    pub size: TaskSize,
    /// The video it transforms.
    pub video: TaskVideo,
    /// Motion speed.
    pub motion_speed: Option<f64>,
    /// Share of the noise that is drawn for each frame.
    pub w_ind_noise: Option<f64>,
    /// Share of the condition picture in the initial noise.
    pub img_weight: Option<f64>,
    /// Whether the condition picture is drawn anew first.
    pub redraw_condition_image: Option<bool>,
    /// Every key of the task, for filling in the prompt.
    pub attributes: Map<String, Value>,
}

/// The pictures of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskImages {
    /// The first frames; none to generate one.
    pub condition_images: Vec<PathBuf>,
    /// Where the condition frames stand in the video; -1 is its end.
    pub condition_images_index: Option<Vec<i64>>,
    /// Pictures for the ReferenceNet.
    pub refer_image: Vec<PathBuf>,
    /// Pictures for the IP-Adapter.
    pub ipadapter_image: Vec<PathBuf>,
    /// Pictures for the face adapter.
    pub face_image: Vec<PathBuf>,
}

/// The size of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSize {
    /// Height in pixels before scaling.
    pub height: Option<usize>,
    /// Width in pixels before scaling.
    pub width: Option<usize>,
    /// Factor for height and width.
    pub img_length_ratio: Option<f64>,
}

/// The video of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskVideo {
    /// The video file.
    pub video_path: Option<PathBuf>,
    /// Whether the video's frames are control images already.
    pub video_is_middle: Option<bool>,
    /// Whether the video's first frame belongs to the condition picture.
    pub video_has_condition: Option<bool>,
}

impl Task {
    /// Reads the keys of one task. `name` stands in for a missing one, `origin` is the file in
    /// errors, and paths that do not exist in the working folder are looked for in `folder`.
    ///
    /// # Errors
    /// When the prompt is missing or a value has the wrong type; the error names task and key.
    pub fn new(map: Map<String, Value>, name: &str, origin: &str, folder: &Path) -> Result<Self> {
        let name = match map.get("name") {
            None | Some(Value::Null) => name.to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(Error::config(origin, "`name` has to be a text")),
        };
        let keys = Keys { map: &map, origin: format!("{origin}, task `{name}`"), folder };
        Ok(Self {
            prompt: keys
                .text("prompt")?
                .ok_or_else(|| Error::config(keys.origin.clone(), "has no `prompt`"))?,
            template_name: keys.text("template_name")?,
            negative_prompt: keys.text("negative_prompt")?,
            video_negative_prompt: keys.text("video_negative_prompt")?,
            images: TaskImages {
                condition_images: keys.paths("condition_images")?,
                condition_images_index: keys.integers("condition_images_index")?,
                refer_image: keys.paths("refer_image")?,
                ipadapter_image: keys.paths("ipadapter_image")?,
                face_image: keys.paths("face_image")?,
            },
            size: TaskSize {
                height: keys.pixels("height")?,
                width: keys.pixels("width")?,
                img_length_ratio: keys.positive("img_length_ratio")?,
            },
            video: TaskVideo {
                video_path: keys.text("video_path")?.map(|path| keys.locate(&path)),
                video_is_middle: keys.flag("video_is_middle")?,
                video_has_condition: keys.flag("video_has_condition")?,
            },
            motion_speed: keys.number("motion_speed")?,
            w_ind_noise: keys.share("w_ind_noise")?,
            img_weight: keys.share("img_weight")?,
            redraw_condition_image: keys.flag("redraw_condition_image")?,
            name,
            attributes: map,
        })
    }
}

/// The keys of a task and where it stands.
struct Keys<'a> {
    map: &'a Map<String, Value>,
    origin: String,
    folder: &'a Path,
}

impl Keys<'_> {
    /// The value of `key`; null counts as absent.
    fn get(&self, key: &str) -> Option<&Value> {
        debug_assert!(TASK_KEYS.contains(&key));
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.map.get(key).map(ToString::to_string).unwrap_or_default();
        let found: String = found.chars().take(60).collect();
        Error::config(self.origin.clone(), format!("`{key}` has to be {expected}, not {found}"))
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let read = |value| read(value).ok_or_else(|| self.wrong(key, expected));
        self.get(key).map(read).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.read(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number", number)
    }

    fn positive(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number above 0", |value| number(value).filter(|ratio| *ratio > 0.0))
    }

    fn share(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number from 0 to 1", |value| {
            number(value).filter(|share| (0.0..=1.0).contains(share))
        })
    }

    fn pixels(&self, key: &str) -> Result<Option<usize>> {
        self.read(key, "a whole number from 1 to 65535", |value| {
            let whole =
                number(value).filter(|n| n.fract() == 0.0 && (1.0..=65535.0).contains(n))?;
            Some(whole as usize)
        })
    }

    fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.read(key, "a whole number or a list of them", |value| match value {
            Value::Array(items) => items.iter().map(Value::as_i64).collect(),
            other => other.as_i64().map(|index| vec![index]),
        })
    }

    fn paths(&self, key: &str) -> Result<Vec<PathBuf>> {
        let path = |value: &Value| {
            value.as_str().filter(|path| !path.is_empty()).map(|path| self.locate(path))
        };
        let paths = self.read(key, "a path or a list of paths", |value| match value {
            Value::Array(items) => items.iter().map(path).collect(),
            other => path(other).map(|path| vec![path]),
        })?;
        Ok(paths.unwrap_or_default())
    }

    /// `path` as seen from the working folder, as the original does, or else beside the task file.
    fn locate(&self, path: &str) -> PathBuf {
        let beside = self.folder.join(path);
        if !Path::new(path).exists() && beside.exists() { beside } else { PathBuf::from(path) }
    }
}

/// A finite number, also one written as text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Checks that every key of `tasks` is a task's, or one that a prompt of the file reads.
pub(super) fn check_keys(tasks: &[Map<String, Value>], origin: &str) -> Result<()> {
    let prompts = tasks.iter().filter_map(|task| task.get("prompt").and_then(Value::as_str));
    let mut known: BTreeSet<String> = prompts.flat_map(template_keys).collect();
    if known.contains("") {
        known.extend(PORTRAIT.map(str::to_owned));
    }
    known.extend(TASK_KEYS.map(str::to_owned));
    for (index, task) in tasks.iter().enumerate() {
        let Some(key) = task.keys().find(|key| !known.contains(*key)) else { continue };
        let name = task.get("name").and_then(Value::as_str).map(str::to_owned);
        let name = name.unwrap_or_else(|| index.to_string());
        let hint = match nearest(key, TASK_KEYS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("a task has {}", TASK_KEYS.join(", ")),
        };
        let reason = format!("unknown key `{key}`, and no prompt uses {{{key}}}; {hint}");
        return Err(Error::config(format!("{origin}, task `{name}`"), reason));
    }
    Ok(())
}
