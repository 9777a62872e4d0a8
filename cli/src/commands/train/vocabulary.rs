//! `musev train vocabulary`: a tokenizer from captions.

use std::path::PathBuf;

use clap::Args;
use musev::{VOCABULARY_SIZE, Vocabulary};
use serde_json::json;

use crate::report;

/// Options of `musev train vocabulary`.
#[derive(Args, Debug)]
pub(super) struct VocabularyArgs {
    /// Read the captions in this folder and the folders in it: every text file.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Write vocab.json, merges.txt and tokenizer_config.json to this folder.
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
    /// Stop at this many tokens; 514 of them are needed for bytes, begin and end.
    #[arg(long, value_name = "N", default_value_t = VOCABULARY_SIZE)]
    size: usize,
}

pub(super) fn run(args: &VocabularyArgs, json: bool) -> anyhow::Result<()> {
    let captions = musev::read_captions(&args.folder)?;
    let vocabulary = Vocabulary::train(captions.iter().map(String::as_str), args.size)?;
    vocabulary.write(&args.output)?;
    if json {
        let (captions, tokens) = (captions.len(), vocabulary.size());
        return report::json_line(&json!({ "captions": captions, "tokens": tokens }));
    }
    report::say(format_args!(
        "{} tokens from {} captions in {}",
        vocabulary.size(),
        captions.len(),
        args.output.display()
    ));
    Ok(())
}
