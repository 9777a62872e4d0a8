//! `musev doctor`: does this machine compute correctly?

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use musev::{CaseReport, CaseStatus, DeviceChoice, OpenDevice, Precision};

use crate::report;

/// Options of `musev doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Test this device: auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Run the recorded cases in this folder instead of the built-in tests.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
}

/// How many checks ended how, and whether they could be told.
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    told: anyhow::Result<()>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { passed: 0, failed: 0, skipped: 0, told: Ok(()) }
    }
}

/// Runs the tests and tells each as it ends; succeeds if none failed.
pub(crate) fn run(args: &DoctorArgs, json: bool) -> anyhow::Result<ExitCode> {
    let folders = args.cases.as_deref().map(musev::find_cases).transpose()?;
    let mut tally = Tally::default();
    pollster::block_on(async {
        let device = OpenDevice::start(&args.device, Precision::F32).await?;
        report::say(format_args!("testing {}", device.description));
        match folders {
            Some(folders) => {
                for folder in folders {
                    tally.tell(&musev::run_case(&folder, &device.device).await, json);
                }
            }
            None => musev::self_test(&device, &mut |case| tally.tell(&case, json)).await,
        }
        anyhow::Ok(())
    })?;
    let Tally { passed, failed, skipped, told } = tally;
    told?;
    report::say(format_args!("{passed} passed, {failed} failed, {skipped} skipped"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(report::ERROR) })
}

impl Tally {
    fn tell(&mut self, case: &CaseReport, json: bool) {
        let (count, word) = match case.status {
            CaseStatus::Pass => (&mut self.passed, "pass"),
            CaseStatus::Fail => (&mut self.failed, "FAIL"),
            CaseStatus::Skip => (&mut self.skipped, "skip"),
        };
        *count += 1;
        if self.told.is_ok() {
            self.told = print(word, case, json);
        }
    }
}

fn print(word: &str, case: &CaseReport, json: bool) -> anyhow::Result<()> {
    if json {
        return report::json_line(case);
    }
    let error = case.error.map(|error| format!("error {error:.1e} of {:.1e}", case.tolerance));
    let detail = match case.status {
        CaseStatus::Pass => "",
        CaseStatus::Fail | CaseStatus::Skip => case.detail.as_str(),
    };
    let line = format!("{word}  {:40} {:28} {detail}", case.case, error.unwrap_or_default());
    writeln!(io::stdout().lock(), "{}", line.trim_end())?;
    Ok(())
}
