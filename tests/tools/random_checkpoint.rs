//! Writes a checkpoint folder of random float16 weights, to measure loading and running without
//! downloading a model: `cargo run --example random_checkpoint -- FOLDER [tiny]`. The production
//! size takes 5 GB of disk.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

#[path = "../common/checkpoints.rs"]
mod checkpoints;

use std::path::Path;
use std::process::ExitCode;

use checkpoints::{Sizes, write_checkpoint};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, sizes) = match arguments[..] {
        [folder] => (folder, Sizes::default()),
        [folder, "tiny"] => (folder, Sizes::tiny()),
        _ => {
            eprintln!("usage: random_checkpoint FOLDER [tiny]");
            return ExitCode::from(2);
        }
    };
    match write_checkpoint(Path::new(folder), &sizes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}
