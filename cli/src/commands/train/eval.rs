//! `musev train eval`: how good a trained model is.

use std::path::PathBuf;

use clap::Args;
use musev::TrainConfig;

use super::TrainDevice;
use crate::report;

/// Options of `musev train eval`.
#[derive(Args, Debug)]
pub(super) struct EvalArgs {
    /// Measure on the clips of this run.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Measure the model in this folder; without it the checkpoint that the run has written.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// Compare at most this many of the clips that were held out.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    clips: u32,
    /// Write the contact sheet here: real clips, and below each what is generated from its first
    /// frame.
    #[arg(long, value_name = "FILE", default_value = "eval.png")]
    sheet: PathBuf,
    #[command(flatten)]
    device: TrainDevice,
}

/// Measures, and prints what was found as one line of JSON.
pub(super) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let config = TrainConfig::read(&args.config)?;
    let device = args.device.start()?.device;
    let model = args.model.clone().unwrap_or_else(|| config.output.join("checkpoint"));
    let asked = (args.clips as usize, args.sheet.as_path());
    report::json_line(&musev::evaluate((&model, &config), &device, asked)?)
}
