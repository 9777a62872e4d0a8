//! `--plan`: what a video needs, instead of the video.

use std::io::{self, Write};

use musev::{MemoryPlan, OpenDevice};
use serde_json::json;

use super::output_file::OutputFile;
use crate::report;

/// Tells `plan`, what the video of `file` needs on `device`.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn tell(
    plan: &MemoryPlan,
    file: &OutputFile,
    device: &OpenDevice,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        return report::json_line(&json!({
            "event": "plan", "task": file.name, "path": file.path, "device": device.description,
            "plan": plan, "device_peak": plan.device_peak(), "cpu_peak": plan.cpu_peak(),
            "peak": plan.peak(),
        }));
    }
    Ok(print(plan, &file.name, (&device.description, device.is_cpu()))?)
}

fn print(plan: &MemoryPlan, name: &str, (device, is_cpu): (&str, bool)) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{name}, on {device}")?;
    let mut row = |part: &str, bytes: u64, on_device: bool| {
        let place = if on_device && !is_cpu { "device" } else { "memory" };
        writeln!(out, "  {part:<27} {:>9.1} MB  {place}", bytes as f64 / 1e6)
    };
    for network in &plan.networks {
        let name = match network.stays {
            true => network.name.to_owned(),
            false => format!("{}, then dropped", network.name),
        };
        row(&name, network.bytes, network.on_device)?;
    }
    if plan.kept > 0 {
        row("features of the reference", plan.kept, true)?;
    }
    row("denoising", plan.denoising, true)?;
    row("decoding", plan.decoding, true)?;
    row("frames", plan.frames, false)?;
    row("musev itself", plan.program, false)?;
    if is_cpu {
        row("at most at once", plan.peak(), false)
    } else {
        row("at most at once", plan.device_peak(), true)?;
        row("and", plan.cpu_peak(), false)
    }
}
