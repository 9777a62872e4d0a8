//! References between values of a task file: `${.key}`, `${..key}`, `${a.b}`, as OmegaConf reads
//! them.
//!
//! One leading dot means the mapping or list that holds the value, each further dot its parent;
//! without a dot the path begins at the top. List items are named by number (`${0.name}` or
//! `${[0].name}`). A text that is one reference takes the value with its type; inside a longer text
//! the value is printed. References nest (`${a.${b}}`); `\${` is a literal `${`.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// References that lead to references: no more than this many in a row.
const MAX_DEPTH: usize = 64;
/// Values and characters that all references of a file may produce.
const MAX_PRODUCED: usize = 4 << 20;

/// Replaces every reference in `root`; `origin` names the file in errors.
///
/// # Errors
/// When a reference leads nowhere or to itself, is not closed, or names a resolver
/// (`${oc.env:HOME}`).
pub fn resolve(root: &Value, origin: &str) -> Result<Value> {
    let mut resolver = Resolver { root, origin, active: Vec::new(), produced: 0 };
    resolver.value(&[], root)
}

struct Resolver<'a> {
    root: &'a Value,
    origin: &'a str,
    /// Where the texts are that are being resolved, outermost first.
    active: Vec<Vec<String>>,
    produced: usize,
}

/// A piece of a text.
enum Piece<'t> {
    Text(&'t str),
    Reference(&'t str),
}

impl Resolver<'_> {
    fn value(&mut self, path: &[String], value: &Value) -> Result<Value> {
        self.spend(path, 1)?;
        match value {
            Value::Object(map) => {
                let mut resolved = Map::new();
                for (key, item) in map {
                    resolved.insert(key.clone(), self.value(&child(path, key), item)?);
                }
                Ok(Value::Object(resolved))
            }
            Value::Array(items) => {
                let item =
                    |(i, item): (usize, &Value)| self.value(&child(path, &i.to_string()), item);
                items.iter().enumerate().map(item).collect::<Result<_>>().map(Value::Array)
            }
            Value::String(text) if text.contains("${") => self.references(path, text),
            Value::String(text) => {
                self.spend(path, text.len())?;
                Ok(value.clone())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    /// The text at `path` with its references replaced.
    fn references(&mut self, path: &[String], text: &str) -> Result<Value> {
        if self.active.iter().any(|active| active == path) {
            return Err(self.error(path, format!("`{text}` refers to itself")));
        }
        if self.active.len() == MAX_DEPTH {
            return Err(self.error(path, format!("over {MAX_DEPTH} references in a row")));
        }
        self.active.push(path.to_vec());
        let resolved = self.text(path, text);
        self.active.pop();
        resolved
    }

    fn text(&mut self, path: &[String], text: &str) -> Result<Value> {
        let pieces = split(text).map_err(|reason| self.error(path, reason))?;
        if let [Piece::Reference(reference)] = pieces[..] {
            return self.follow(path, reference);
        }
        let mut joined = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => joined.push_str(text),
                Piece::Reference(reference) => match self.follow(path, reference)? {
                    Value::String(text) => joined.push_str(&text),
                    Value::Null => joined.push_str("None"),
                    Value::Bool(true) => joined.push_str("True"),
                    Value::Bool(false) => joined.push_str("False"),
                    Value::Number(number) => joined.push_str(&number.to_string()),
                    Value::Array(_) | Value::Object(_) => {
                        let reason =
                            format!("`${{{reference}}}` is a list or mapping inside a text");
                        return Err(self.error(path, reason));
                    }
                },
            }
        }
        self.spend(path, joined.len())?;
        Ok(Value::String(joined))
    }

    /// The value that `${reference}` in the text at `path` stands for.
    fn follow(&mut self, path: &[String], reference: &str) -> Result<Value> {
        let inner = match reference.contains("${") {
            true => match self.text(path, reference)? {
                Value::String(inner) => inner,
                other => other.to_string(),
            },
            false => reference.to_owned(),
        };
        let inner = inner.trim();
        if inner.contains(':') {
            let reason = format!("`${{{inner}}}`: resolvers are not supported, only keys");
            return Err(self.error(path, reason));
        }
        let keys = inner.trim_start_matches('.');
        let up = inner.len() - keys.len();
        if keys.is_empty() || up > path.len() {
            return Err(self.error(path, format!("`${{{inner}}}` names no value")));
        }
        let mut target = if up == 0 { Vec::new() } else { path[..path.len() - up].to_vec() };
        let mut found = self.at(&target).cloned().unwrap_or(Value::Null);
        let names = keys.split(['.', '[', ']']).map(str::trim).filter(|key| !key.is_empty());
        for key in names {
            if let Value::String(text) = &found
                && text.contains("${")
            {
                found = self.references(&target, &text.clone())?;
            }
            let next = step(&found, key).cloned();
            target.push(key.to_owned());
            found = next.ok_or_else(|| {
                self.error(path, format!("`${{{inner}}}`: there is no `{}`", target.join(".")))
            })?;
        }
        self.value(&target, &found)
    }

    fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(self.root, |value, key| step(value, key))
    }

    fn spend(&mut self, path: &[String], amount: usize) -> Result<()> {
        self.produced += amount;
        if self.produced > MAX_PRODUCED {
            return Err(self.error(path, "the references expand to too much text"));
        }
        Ok(())
    }

    fn error(&self, path: &[String], reason: impl Into<String>) -> Error {
        Error::config(format!("{}, `{}`", self.origin, path.join(".")), reason)
    }
}

fn child(path: &[String], key: &str) -> Vec<String> {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

fn step<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Splits a text at its outermost references.
fn split(text: &str) -> std::result::Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('\\') {
            pieces.push(Piece::Text(&rest[..at - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let inner = &rest[at + 2..];
        let mut open = 1usize;
        let end = inner.char_indices().find_map(|(i, c)| {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            (open == 0).then_some(i)
        });
        let end = end.ok_or_else(|| format!("`{text}`: a `${{` is never closed"))?;
        pieces.push(Piece::Reference(&inner[..end]));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}
