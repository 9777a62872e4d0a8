//! What the environment says of the hub, in the variables that its other tools read.

use std::env;
use std::path::PathBuf;

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A folder that a variable names, `~` for the user's.
fn folder(name: &str) -> Option<PathBuf> {
    let given = PathBuf::from(variable(name)?);
    match (given.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(given),
    }
}

/// The folder of cache and token: `HF_HOME`, or `huggingface` in the user's cache.
fn home() -> PathBuf {
    let in_cache = || {
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
        cache.unwrap_or_else(|| PathBuf::from(".cache")).join("huggingface")
    };
    folder("HF_HOME").unwrap_or_else(in_cache)
}

/// The folder of the cache: `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
pub(super) fn cache() -> PathBuf {
    let given = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
    given.unwrap_or_else(|| home().join("hub"))
}

/// Whether nothing may be asked of the network: `HF_HUB_OFFLINE`.
#[cfg(feature = "pull")]
pub(super) fn offline() -> bool {
    let is_true = |value: String| {
        ["1", "on", "yes", "true"].iter().any(|word| value.eq_ignore_ascii_case(word))
    };
    variable("HF_HUB_OFFLINE").is_some_and(is_true)
}

/// The server: `HF_ENDPOINT`, without the last slash.
#[cfg(feature = "pull")]
pub(super) fn endpoint() -> String {
    let given = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
    given.trim_end_matches('/').to_owned()
}

/// The user's token: `HF_TOKEN`, or the file that `HF_TOKEN_PATH` names, or `token` in `HF_HOME`.
#[cfg(feature = "pull")]
pub(super) fn token() -> Option<String> {
    let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home().join("token"));
    let read = || std::fs::read_to_string(&file).ok();
    let token = variable("HF_TOKEN").or_else(read)?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}
