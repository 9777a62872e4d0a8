//! One module a command: its options and what it does with the library.

pub(crate) mod bench;
mod common;
pub(crate) mod convert;
pub(crate) mod detect;
pub(crate) mod devices;
pub(crate) mod doctor;
#[cfg(feature = "face")]
pub(crate) mod face;
pub(crate) mod inspect;
mod make;
mod models;
mod options;
mod output_file;
mod plan;
#[cfg(feature = "pull")]
pub(crate) mod pull;
mod tasks;
pub(crate) mod text2video;
#[cfg(feature = "train")]
pub(crate) mod train;
pub(crate) mod video2video;

use std::process::ExitCode;

use indicatif::ProgressBar;

use crate::args::{Cli, Command};

/// Runs the command that was typed.
pub(crate) fn run(cli: Cli, bar: ProgressBar) -> anyhow::Result<ExitCode> {
    let json = cli.common.json;
    match cli.command {
        Command::Text2video(args) => make::run(&*args, json, bar),
        Command::Video2video(args) => make::run(&*args, json, bar),
        Command::Detect(args) => detect::run(&args, json, &bar),
        Command::Devices(args) => devices::run(&args, json),
        Command::Inspect(args) => inspect::run(&args, json),
        Command::Convert(args) => convert::run(&args, json, &bar),
        Command::Bench(args) => bench::run(&args, json),
        Command::Doctor(args) => doctor::run(&args, json),
        #[cfg(feature = "face")]
        Command::Face(args) => face::run(&args, json),
        #[cfg(feature = "pull")]
        Command::Pull(args) => pull::run(&args, json, &bar),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(&args, json, &bar),
    }
}
