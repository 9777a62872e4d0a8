//! How a run ends: exit codes, messages and the lines of `--json`.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

/// Exit code: no task had the name that was asked for.
pub(crate) const NOTHING_MATCHED: u8 = 1;
/// Exit code: something was wrong with the input, the machine or musev.
pub(crate) const ERROR: u8 = 2;
/// Exit code: stopped with Ctrl-C, as shells count it: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command ended without success.
pub(crate) enum Failure {
    /// The reader of our output went away: for a filter in a pipe that is a normal end.
    BrokenPipe,
    /// The user stopped it.
    Interrupted,
    /// An error, with everything that a user can do about it.
    Message(String),
}

impl Failure {
    /// What kind of end `error` is.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if matches!(cause.downcast_ref(), Some(musev::Error::Cancelled)) {
                return Self::Interrupted;
            }
            if let Some(io) = cause.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::BrokenPipe
            {
                return Self::BrokenPipe;
            }
        }
        Self::Message(message(error))
    }
}

/// The contexts of `error` down to its reason. musev's own errors tell their causes already.
fn message(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        parts.push(cause.to_string());
        if cause.is::<musev::Error>() {
            break;
        }
    }
    parts.join(": ")
}

/// Tells `failure` once, and gives its exit code.
pub(crate) fn failure(failure: &Failure, json: bool) -> ExitCode {
    let (message, code) = match failure {
        Failure::BrokenPipe => return ExitCode::SUCCESS,
        Failure::Interrupted => ("stopped; what was in the making was not written", INTERRUPTED),
        Failure::Message(message) => (message.as_str(), ERROR),
    };
    if json {
        error_event(message);
    }
    say(format_args!("musev: {message}"));
    ExitCode::from(code)
}

/// Ends a run that panicked, which the panic's own report has told people by now.
pub(crate) fn panicked(json: bool) -> ExitCode {
    if json {
        error_event("internal error; see standard error");
    }
    ExitCode::from(ERROR)
}

/// One line for people, on standard error.
pub(crate) fn say(line: impl Display) {
    // Without anyone to tell there is nothing to do about it.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// One line of JSON on standard output.
///
/// # Errors
/// When standard output is closed or cannot be written.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The event that ends a failed run.
pub(crate) fn error_event(message: &str) {
    // The run has failed already, and its exit code says so.
    let _ = json_line(&json!({ "event": "error", "message": message }));
}

/// The first line of a usage error, without clap's "error: ".
pub(crate) fn first_line(usage: &clap::Error) -> String {
    let text = usage.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// Replaces the report of a panic by one line. What a driver cannot do often ends as a panic deep
/// in the stack, and a backtrace helps nobody who only wants a video.
pub(crate) fn tell_panics_briefly() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        say(format_args!(
            "musev: internal error: {text}{place}; try --device cpu, run musev doctor, and report \
             this with what they say"
        ));
    }));
}
