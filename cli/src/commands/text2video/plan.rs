//! `--plan`: what a video needs, instead of the video.

use std::io::{self, Write};

use musev::{MemoryPlan, ModelFiles, OpenDevice};
use serde_json::json;

use super::jobs::Job;
use crate::report;

/// Tells what each of `work` needs on `device`.
///
/// # Errors
/// When a video cannot be made, or standard output cannot be written.
pub(super) fn tell(
    work: &[(ModelFiles, Vec<Job>)],
    device: &OpenDevice,
    json: bool,
) -> anyhow::Result<()> {
    let (number_bytes, is_cpu) = (device.number_bytes(), device.is_cpu());
    for (model, jobs) in work {
        for job in jobs {
            let plan = model.memory_plan(&job.video, number_bytes)?;
            if json {
                report::json_line(&json!({
                    "event": "plan", "task": job.name, "path": job.path, "device": device.description,
                    "plan": plan, "device_peak": plan.device_peak(), "cpu_peak": plan.cpu_peak(),
                    "peak": plan.peak(),
                }))?;
            } else {
                print(&plan, &job.name, (&device.description, is_cpu))?;
            }
        }
    }
    Ok(())
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
