//! `musev train fetch`: the clips of the default model.

use std::path::PathBuf;

use clap::Args;
use musev::FetchEvent;

use crate::report;

/// Options of `musev train fetch`.
#[derive(Args, Debug)]
pub(super) struct FetchArgs {
    /// Lay the clips and their captions out in this folder, in clips and stills.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(args: &FetchArgs, json: bool) -> anyhow::Result<()> {
    let tell = &mut |event| match event {
        FetchEvent::Downloading(package) => report::say(format_args!("bringing {package}")),
        FetchEvent::Kept(package) => report::say(format_args!("{package} is there")),
        FetchEvent::Unpacked(package) => report::say(format_args!("unpacked {package}")),
    };
    let fetched = musev::fetch_emoji(&args.folder, tell)?;
    if json {
        return report::json_line(&fetched);
    }
    report::say(format_args!(
        "{} clips and {} stills with captions in {}; {} of them are not named by Unicode",
        fetched.clips,
        fetched.stills,
        args.folder.display(),
        fetched.unnamed
    ));
    Ok(())
}
