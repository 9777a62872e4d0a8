//! The log: to standard error, above the progress bar, quiet unless asked for.

use std::io::{self, Write};

use indicatif::ProgressBar;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::args::{Common, LogLevel};

/// Starts logging as `common` says.
pub(crate) fn start(common: &Common, bar: &ProgressBar) {
    let level = match (common.log_level, common.verbose) {
        (Some(level), _) => level.into(),
        (None, 0) => LevelFilter::WARN,
        (None, 1) => LevelFilter::INFO,
        (None, 2) => LevelFilter::DEBUG,
        (None, _) => LevelFilter::TRACE,
    };
    // Graphics drivers and compilers warn about much that works: their word counts when asked for.
    let others = if level >= LevelFilter::DEBUG { level } else { LevelFilter::ERROR };
    let filter = Targets::new().with_default(others).with_target("musev", level);
    let format = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(level >= LevelFilter::DEBUG)
        .without_time()
        .with_writer(AboveBar(bar.clone()));
    tracing_subscriber::registry().with(format.with_filter(filter)).init();
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warning => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Writes lines to standard error while the bar steps aside.
struct AboveBar(ProgressBar);

impl<'a> MakeWriter<'a> for AboveBar {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a ProgressBar);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
