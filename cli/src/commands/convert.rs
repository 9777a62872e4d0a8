//! `musev convert`: weights from one layout or type to another.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use musev::{Conversion, ConvertEvent, StoredType};

use crate::progress::Interrupt;
use crate::report;

/// Options of `musev convert`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Examples:\n  \
    musev convert dream.ckpt dream.safetensors --dtype f16\n  \
    musev convert dream.safetensors checkpoints/t2i/sd1.5/dream\n  \
    musev convert checkpoints/t2i/sd1.5/dream dream.safetensors"
)]
pub(crate) struct ConvertArgs {
    /// Read this: a model folder in the layout of diffusers, a single-file model, or any file of
    /// weights, safetensors or PyTorch's.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Write this: one file if its name ends in .safetensors, else a model folder.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Store floats as f32, f16 or bf16; without it each stays as it is.
    #[arg(long, value_name = "TYPE")]
    dtype: Option<StoredType>,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
    /// Give the model folder the tokenizer in this folder: single files have none [default: the
    /// folder tokenizer beside the file, or a base model's of the table]
    #[arg(long, value_name = "FOLDER")]
    tokenizer: Option<PathBuf>,
    /// Look for the models of the tables below this folder; without it below MUSEV_MODELS, or
    /// below ./checkpoints.
    #[arg(long, value_name = "FOLDER")]
    model_dir: Option<PathBuf>,
}

/// Converts; Ctrl-C ends it after the current tensor, and leaves nothing behind.
pub(crate) fn run(args: &ConvertArgs, json: bool, bar: &ProgressBar) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen(bar, "tensor")?;
    let conversion = Conversion {
        input: args.input.clone(),
        output: args.output.clone(),
        dtype: args.dtype,
        force: args.force,
        tokenizer: args.tokenizer.clone(),
        root: musev::checkpoint_root(args.model_dir.as_deref()),
    };
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} % · {eta} left");
    bar.set_style(style.expect("the template is well-formed").progress_chars("━╸ "));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let converted = musev::convert(&conversion, &mut |event: ConvertEvent<'_>| {
        bar.set_length(event.of as u64);
        bar.set_position(event.index as u64);
        match interrupt.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    bar.finish_and_clear();
    let converted = converted?;
    if json {
        report::json_line(&converted)?;
    } else {
        let (path, tensors) = (converted.path.display(), converted.tensors);
        let megabytes = converted.bytes as f64 / 1e6;
        report::say(format_args!("{path}: {tensors} tensors, {megabytes:.1} MB"));
    }
    Ok(ExitCode::SUCCESS)
}
