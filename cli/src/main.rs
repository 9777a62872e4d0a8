//! The `musev` command: reads what was typed, lets the library work, says how it went.

mod args;
mod commands;
mod log;
mod progress;
mod report;

use std::process::ExitCode;

use clap::Parser;
use indicatif::ProgressBar;

use args::Cli;
use report::Failure;

fn main() -> ExitCode {
    let argv = args::normalise(std::env::args_os());
    let wants_json = argv.iter().any(|word| word == "--json");
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(usage) => {
            if wants_json && usage.use_stderr() {
                report::error_event(&report::first_line(&usage));
            }
            // Nobody may be there to read it; that is no failure of its own.
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let bar = ProgressBar::hidden();
    log::start(&cli.common, &bar);
    report::tell_panics_briefly();
    let json = cli.common.json;
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commands::run(cli, bar))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => report::failure(&Failure::of(&error), json),
        Err(_) => report::panicked(json),
    }
}
