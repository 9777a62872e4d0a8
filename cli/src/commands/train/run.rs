//! `musev train CONFIG`: carries out a run, or goes on with it.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use musev::{TrainConfig, TrainEvent, TrainRecord};
use serde_json::json;

use super::TrainDevice;
use crate::progress::Interrupt;
use crate::report;

/// Without a terminal, no more than one line in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Trains, and tells how it goes.
pub(super) fn run(
    path: &Path,
    device: &TrainDevice,
    json: bool,
    bar: &ProgressBar,
) -> anyhow::Result<ExitCode> {
    let config = TrainConfig::read(path)?;
    let device = device.start()?;
    let interrupt = Interrupt::listen(bar, "update")?;
    let style = "{msg} {wide_bar} {percent:>3} % · {eta} left";
    let style = ProgressStyle::with_template(style).expect("the template is well-formed");
    bar.set_style(style.progress_chars("━╸ "));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let mut teller = Teller { bar, json, of: config.steps, mean: None, last: Instant::now() };
    let end = musev::train(&config, &device.device, &mut |event| {
        teller.tell(event);
        if interrupt.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    match end {
        Err(musev::Error::Cancelled) => {
            report::say("stopped; the same command goes on from here");
            Ok(ExitCode::from(report::INTERRUPTED))
        }
        other => {
            other?;
            let checkpoint = config.output.join("checkpoint");
            report::say(format_args!("{}: {} updates", checkpoint.display(), config.steps));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Draws the events of a run.
struct Teller<'a> {
    bar: &'a ProgressBar,
    json: bool,
    of: usize,
    /// Running mean of the loss.
    mean: Option<f64>,
    last: Instant,
}

impl Teller<'_> {
    fn tell(&mut self, event: TrainEvent) {
        match event {
            TrainEvent::Read { done, of } => self.show("reading clips", done, of),
            TrainEvent::Encoded { done, of } => self.show("encoding frames", done, of),
            TrainEvent::Step(record) => self.step(&record),
            TrainEvent::Saved { step } => self.event(&json!({ "event": "saved", "step": step })),
            TrainEvent::Sampled { path } => {
                self.event(&json!({ "event": "sampled", "path": path }));
            }
            _ => {}
        }
    }

    fn step(&mut self, record: &TrainRecord) {
        let mean = self.mean.map_or(record.loss, |mean| 0.98 * mean + 0.02 * record.loss);
        self.mean = Some(mean);
        self.show(
            &format!("update {}/{}, loss {mean:.4}", record.step, self.of),
            record.step,
            self.of,
        );
        self.event(&json!({ "event": "step", "record": record }));
    }

    fn event(&self, event: &serde_json::Value) {
        if self.json {
            // Nobody may read it any more; the run goes on.
            let _ = report::json_line(event);
        }
    }

    fn show(&mut self, text: &str, done: usize, of: usize) {
        if !self.bar.is_hidden() {
            self.bar.set_length(of as u64);
            self.bar.set_message(text.to_owned());
            self.bar.set_position(done as u64);
        } else if self.last.elapsed() >= QUIET {
            self.last = Instant::now();
            report::say(format_args!("{text}: {done} of {of}"));
        }
    }
}
