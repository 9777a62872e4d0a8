//! `musev inspect`: what a checkpoint is.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use musev::{
    Inspection, Kind, LoraNaming, LoraSummary, NetworkMatch, Part, WeightsFormat, WeightsSummary,
};

use crate::report;

/// Names listed of what is missing; --json lists all.
const LISTED: usize = 8;

/// Options of `musev inspect`.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Look at this weights file, network folder or model folder.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
}

/// Tells what the file or folder is; nothing in it is executed, and no tensor is read.
pub(crate) fn run(args: &InspectArgs, json: bool) -> anyhow::Result<ExitCode> {
    let inspection = musev::inspect(&args.path)?;
    if json {
        report::json_line(&inspection)?;
    } else {
        print(&inspection, args.tensors, &mut io::stdout().lock())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(inspection: &Inspection, tensors: bool, out: &mut impl Write) -> io::Result<()> {
    let kind = match inspection.kind {
        Kind::Weights => "weights",
        Kind::DiffusersModel => "a model in the layout of diffusers",
        Kind::MotionModel => "a motion model",
        Kind::WholeModel => "a whole model",
        Kind::SingleFile => "a single-file model of Stable Diffusion 1",
        Kind::Lora => "a LoRA",
        Kind::IpAdapter => "an IP-Adapter",
        Kind::ControlNet => "a ControlNet in the naming of its authors",
    };
    writeln!(out, "{}: {kind}", inspection.path.display())?;
    for part in &inspection.parts {
        print_part(part, tensors, out)?;
    }
    for missing in &inspection.missing {
        let parts = missing.parts.join(", ");
        if parts.is_empty() {
            writeln!(out, "\nwhole for {}", missing.variant)?;
        } else {
            writeln!(out, "\nfor {} still needed: {parts}", missing.variant)?;
        }
    }
    Ok(())
}

fn print_part(part: &Part, tensors: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}", part.name)?;
    if let Some(error) = &part.error {
        writeln!(out, "  damaged: {error}")?;
    }
    let Some(weights) = &part.weights else { return Ok(()) };
    print_weights(weights, out)?;
    if let Some(network) = &weights.network {
        print_match(network, out)?;
    }
    if let Some(lora) = &part.lora {
        print_lora(lora, out)?;
    }
    for tensor in weights.tensors.iter().filter(|_| tensors) {
        writeln!(out, "    {} {:?} {}", tensor.name, tensor.shape, tensor.dtype)?;
    }
    Ok(())
}

fn print_weights(weights: &WeightsSummary, out: &mut impl Write) -> io::Result<()> {
    let format = match weights.format {
        WeightsFormat::Safetensors => "safetensors",
        WeightsFormat::Torch => "PyTorch archive",
        WeightsFormat::TorchLegacy => "PyTorch archive of the old kind",
    };
    let files = if weights.files == 1 { String::new() } else { format!(" in {}", weights.files) };
    let dtypes: Vec<String> =
        weights.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    let (elements, megabytes) = (weights.elements as f64 / 1e6, weights.bytes as f64 / 1e6);
    writeln!(
        out,
        "  {format}{files}, tensors: {}; {elements:.1} million elements, {megabytes:.1} MB",
        dtypes.join(", ")
    )
}

fn print_lora(lora: &LoraSummary, out: &mut impl Write) -> io::Result<()> {
    let naming = match lora.naming {
        LoraNaming::Kohya => "kohya",
        LoraNaming::Diffusers => "diffusers",
        LoraNaming::Peft => "PEFT",
    };
    let ranks: Vec<String> = lora.ranks.keys().map(usize::to_string).collect();
    let family = lora.family.as_ref().map(|family| format!(", for {family}")).unwrap_or_default();
    writeln!(out, "  names of {naming}, rank {}{family}", ranks.join(", "))?;
    for (network, kinds) in [("UNet", &lora.unet), ("text encoder", &lora.text_encoder)] {
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !kinds.is_empty() {
            writeln!(out, "  layers of the {network}: {}", kinds.join(", "))?;
        }
    }
    Ok(())
}

fn print_match(network: &NetworkMatch, out: &mut impl Write) -> io::Result<()> {
    let NetworkMatch { network: name, present, of, unknown, .. } = network;
    if network.fits() {
        return writeln!(out, "  fits {name}: all {of} tensors");
    }
    writeln!(out, "  resembles {name}: {present} of {of} tensors, {unknown} unknown")?;
    for (what, names) in [("missing", &network.missing), ("of another shape", &network.misshapen)] {
        if names.is_empty() {
            continue;
        }
        let listed = names[..names.len().min(LISTED)].join(", ");
        let rest = match names.len() - names.len().min(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(out, "  {what}: {listed}{rest}")?;
    }
    Ok(())
}
