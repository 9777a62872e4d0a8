//! What a run tells while it works: a bar for people, lines for logs, JSON for programs.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use musev::{Event, Watch};
use serde_json::{Value, json};

use crate::report;

/// Bar positions a step is worth, so that windows move the bar too.
const PER_STEP: u64 = 1000;
/// Without a terminal, no more than one line in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Counts Ctrl-C: the first ends the run after its current piece of work, the second at once.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Listens from now on; `piece` is what a run ends after.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listen(bar: &ProgressBar, piece: &'static str) -> anyhow::Result<Self> {
        let count = Arc::new(AtomicUsize::new(0));
        let (seen, bar) = (count.clone(), bar.clone());
        ctrlc::set_handler(move || {
            if seen.fetch_add(1, Ordering::SeqCst) > 0 {
                std::process::exit(i32::from(report::INTERRUPTED));
            }
            let line = format!("musev: stopping after this {piece}; Ctrl-C again stops at once");
            bar.suspend(|| report::say(line));
        })?;
        Ok(Self(count))
    }

    /// An error when Ctrl-C was pressed.
    ///
    /// # Errors
    /// [`musev::Error::Cancelled`].
    pub(crate) fn check(&self) -> musev::Result<()> {
        if self.0.load(Ordering::SeqCst) > 0 { Err(musev::Error::Cancelled) } else { Ok(()) }
    }
}

/// Steps of the phases of a run, which the bar needs to know ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    /// Of a generated or redrawn first frame.
    pub(crate) first_frame: usize,
    /// Of every shot.
    pub(crate) video: usize,
}

/// Draws the events of a run and ends it when Ctrl-C was pressed.
pub(crate) struct Progress {
    bar: ProgressBar,
    json: bool,
    /// Standard output was closed: the video is made all the same.
    deaf: bool,
    interrupt: Interrupt,
    steps: Steps,
    shot: Option<(usize, usize)>,
    step: usize,
    last_line: Instant,
}

impl Progress {
    /// Tells on `bar` and, with `json`, on standard output.
    pub(crate) fn new(bar: ProgressBar, json: bool, interrupt: Interrupt) -> Self {
        let steps = Steps { first_frame: 1, video: 1 };
        let last_line = Instant::now();
        Self { bar, json, deaf: false, interrupt, steps, shot: None, step: 0, last_line }
    }

    /// Loads the model called `name`.
    pub(crate) fn load(&mut self, name: &str) {
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("it is well-formed");
        self.bar.reset();
        self.bar.set_style(style);
        self.bar.set_message(format!("loading {name}"));
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Begins a video on `device`.
    pub(crate) fn begin(&mut self, steps: Steps, device: &str) {
        self.steps = steps;
        self.shot = None;
        self.step = 0;
        let style = "{msg} {wide_bar} {percent:>3} % · {eta} left · {prefix}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        self.bar.disable_steady_tick();
        self.bar.reset();
        self.bar.set_style(style.progress_chars("━╸ "));
        self.bar.set_prefix(device.to_owned());
        self.bar.set_length(steps.first_frame as u64 * PER_STEP);
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    /// Ends the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Tells people a line, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| report::say(line));
    }

    /// Tells programs an event.
    pub(crate) fn tell(&mut self, event: &Value) {
        if self.json && !self.deaf {
            self.deaf = report::json_line(event).is_err();
        }
    }

    /// Which part of the run this is: "shot 2/3, " when there are several.
    fn place(&self) -> String {
        match self.shot {
            None => "first frame, ".to_owned(),
            Some((_, 1)) => String::new(),
            Some((index, of)) => format!("shot {}/{of}, ", index + 1),
        }
    }

    fn phase_steps(&self) -> usize {
        if self.shot.is_none() { self.steps.first_frame } else { self.steps.video }
    }

    fn show(&mut self, position: u64, text: &str) {
        let line = format!("{}{text}", self.place());
        if !self.bar.is_hidden() {
            self.bar.set_message(line);
            self.bar.set_position(position);
        } else if self.last_line.elapsed() >= QUIET {
            self.last_line = Instant::now();
            report::say(line);
        }
    }

    fn start_phase(&mut self, length: u64) {
        self.bar.reset();
        self.bar.set_length(length);
    }

    fn on_window(&mut self, index: usize, of: usize) {
        let done = PER_STEP * (index + 1) as u64 / of.max(1) as u64;
        let position = self.step as u64 * PER_STEP + done;
        let (step, steps) = (self.step + 1, self.phase_steps());
        self.show(position, &format!("step {step}/{steps}, window {}/{of}", index + 1));
        self.tell(&json!({ "event": "window", "index": index, "of": of }));
    }

    fn on_step(&mut self, index: usize, of: usize) {
        self.step = index + 1;
        self.show(self.step as u64 * PER_STEP, &format!("step {}/{of}", self.step));
        self.tell(&json!({ "event": "step", "index": index, "of": of }));
    }

    fn on_shot(&mut self, index: usize, of: usize) {
        self.shot = Some((index, of));
        self.step = 0;
        self.start_phase(self.steps.video as u64 * PER_STEP);
        self.tell(&json!({ "event": "shot", "index": index, "of": of }));
    }

    fn on_decoded(&mut self, frames: usize, of: usize) {
        if frames <= 1 {
            self.start_phase(of as u64);
        }
        self.show(frames as u64, &format!("decoding frame {frames}/{of}"));
        self.tell(&json!({ "event": "decoded", "frames": frames, "of": of }));
    }
}

impl Watch for Progress {
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Loaded { part } => {
                self.bar.set_message(format!("{part} loaded"));
                self.tell(&json!({ "event": "loaded", "part": part }));
            }
            Event::Shot { index, of } => self.on_shot(index, of),
            Event::Window { index, of } => self.on_window(index, of),
            Event::Step { index, of, .. } => self.on_step(index, of),
            Event::Decoded { frames, of } => self.on_decoded(frames, of),
            // Events of later versions need no picture here; previews are never asked for.
            _ => {}
        }
        if self.interrupt.check().is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
