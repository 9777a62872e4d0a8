//! Prompts with `{keys}` that a task fills in.
//!
//! - A prompt without `{` is taken as it is.
//! - `{key}` stands for the task's value of that key. Some keys say what their value means: with
//!   `hair: long red`, `{hair}` becomes "long red hair"; with `age: 20`, `{age}` becomes
//!   "20-year-old".
//! - `{}` with `template_name: portrait` stands for the portrait's attributes in a fixed order.
//! - In a filled prompt every run of commas and the spaces after them becomes ", "; a prompt
//!   without keys keeps its commas.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The keys that `{}` with `template_name: portrait` puts together, in order.
pub const PORTRAIT: [&str; 21] = [
    "age",
    "sex",
    "singing",
    "country",
    "lighting",
    "headwear",
    "eyes",
    "irises",
    "hair",
    "skin",
    "face",
    "smile",
    "expression",
    "clothes",
    "nose",
    "mouth",
    "beard",
    "necklace",
    "style",
    "keywords",
    "render",
];

/// Keys whose name follows their value.
const NAMED: [&str; 12] = [
    "eyes",
    "hair",
    "background",
    "skin",
    "face",
    "smile",
    "nose",
    "mouth",
    "necklace",
    "irises",
    "lighting",
    "age",
];

/// What the values of `render` stand for, from the original's table.
const RENDER: [(&str, &str); 6] = [
    ("Epic", "artstation, epic environment, highly detailed, 8k, HD"),
    ("HD", "8k, highly detailed"),
    (
        "EpicHD",
        "hyper detailed, beautiful lighting, epic environment, octane render, cinematic, 8k",
    ),
    ("Digital", "detailed illustration, crisp lines, digital art, 8k, trending on artstation"),
    ("Unreal1", "artstation, concept art, smooth, sharp focus, illustration, unreal engine 5, 8k"),
    ("Unreal2", "concept art, octane render, artstation, epic environment, highly detailed, 8k"),
];

/// A part of a template.
#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    /// `{key}`; the key is empty for `{}`.
    Key(String),
}

/// Fills the keys of `prompt` from `attributes`. Several prompts come back where a key stands for
/// several texts (`render: Epic,HD`).
///
/// # Errors
/// When a key has no value, a value is no text or number, braces are unbalanced, or `{}` is used
/// without the template name `portrait`.
pub fn fill_template(
    prompt: &str,
    template_name: Option<&str>,
    attributes: &Map<String, Value>,
) -> Result<Vec<String>> {
    if !prompt.contains('{') {
        return Ok(vec![prompt.to_owned()]);
    }
    let parts = parse(prompt)?;
    let is_key = |part: &Part| matches!(part, Part::Key(_));
    let blanks = parts.iter().filter(|part| **part == Part::Key(String::new())).count();
    let filled = if blanks == 0 {
        fill_keys(&parts, attributes)?
    } else if blanks == 1 && parts.iter().filter(|part| is_key(part)).count() == 1 {
        fill_portrait(&parts, template_name, attributes)?
    } else {
        return Err(problem("a template has either {keys} or a single {}"));
    };
    Ok(filled.iter().map(|text| normalise_commas(text)).collect())
}

/// The keys in braces in `prompt`, an empty one for `{}`; none if its braces are unbalanced.
pub fn template_keys(prompt: &str) -> Vec<String> {
    let key = |part| match part {
        Part::Key(key) => Some(key),
        Part::Text(_) => None,
    };
    parse(prompt).unwrap_or_default().into_iter().filter_map(key).collect()
}

fn fill_keys(parts: &[Part], attributes: &Map<String, Value>) -> Result<Vec<String>> {
    let mut prompts = vec![String::new()];
    for part in parts {
        let texts = match part {
            Part::Text(text) => vec![text.clone()],
            Part::Key(key) => {
                let value = attributes.get(key).ok_or_else(|| {
                    problem(format!("the template uses {{{key}}} but the task has no key `{key}`"))
                })?;
                describe(key, value)?
            }
        };
        // The last key with several texts varies slowest, as in the original.
        prompts = texts
            .iter()
            .flat_map(|text| prompts.iter().map(move |prompt| format!("{prompt}{text}")))
            .collect();
    }
    Ok(prompts)
}

fn fill_portrait(
    parts: &[Part],
    template_name: Option<&str>,
    attributes: &Map<String, Value>,
) -> Result<Vec<String>> {
    if template_name != Some("portrait") {
        return Err(problem("a template with {} needs `template_name: portrait`"));
    }
    let mut portraits = vec![String::new()];
    for key in PORTRAIT {
        let Some(value) = attributes.get(key) else { continue };
        let texts = describe(key, value)?;
        let join = |portrait: &String, text: &String| match (portrait.is_empty(), text.is_empty()) {
            (_, true) => portrait.clone(),
            (true, _) => text.clone(),
            _ => format!("{portrait}, {text}"),
        };
        portraits = texts
            .iter()
            .flat_map(|text| portraits.iter().map(move |portrait| join(portrait, text)))
            .collect();
    }
    let fill = |portrait: String| {
        let piece = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Key(_) => portrait.clone(),
        };
        parts.iter().map(piece).collect()
    };
    Ok(portraits.into_iter().map(fill).collect())
}

/// The texts that `value` of `key` stands for.
fn describe(key: &str, value: &Value) -> Result<Vec<String>> {
    let value = plain(key, value)?;
    let items = value.split(',');
    let each = |text: &dyn Fn(&str) -> String| {
        items
            .clone()
            .map(|item| if item.is_empty() { String::new() } else { text(item) })
            .collect::<Vec<_>>()
            .join(", ")
    };
    match key {
        "render" if value.is_empty() => Ok(vec![String::new()]),
        "render" => items.map(render).collect(),
        "age" => Ok(vec![each(&|item| format!("{item}-year-old"))]),
        key if NAMED.contains(&key) => Ok(vec![each(&|item| format!("{item} {key}"))]),
        _ => Ok(vec![each(&str::to_owned)]),
    }
}

fn render(name: &str) -> Result<String> {
    match RENDER.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok((*text).to_owned()),
        None => {
            let known: Vec<_> = RENDER.iter().map(|(known, _)| *known).collect();
            Err(problem(format!("render `{name}` is not one of {}", known.join(", "))))
        }
    }
}

/// A value as Python would print it.
fn plain(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Bool(true) => Ok("True".to_owned()),
        Value::Bool(false) => Ok("False".to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Object(_) => {
            Err(problem(format!("the value of `{key}` has to be a text or a number")))
        }
    }
}

/// Splits a template at its keys; `{{` and `}}` are braces.
fn parse(template: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if after.starts_with(brace) {
            text.push_str(brace);
            rest = &after[1..];
            continue;
        }
        let unbalanced = || problem(format!("`{brace}` without its counterpart at {rest:?}"));
        if brace == "}" {
            return Err(unbalanced());
        }
        let end = after.find(['{', '}']).ok_or_else(unbalanced)?;
        if !after[end..].starts_with('}') {
            return Err(unbalanced());
        }
        parts.push(Part::Text(std::mem::take(&mut text)));
        parts.push(Part::Key(after[..end].to_owned()));
        rest = &after[end + 1..];
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    Ok(parts)
}

/// Every run of commas, each with any spaces after it, as one comma and one space.
fn normalise_commas(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(',') {
        normal.push_str(&rest[..at]);
        normal.push_str(", ");
        rest = rest[at..].trim_start_matches([',', ' ']);
    }
    normal.push_str(rest);
    normal
}

fn problem(reason: impl Into<String>) -> Error {
    Error::config("prompt", reason)
}
