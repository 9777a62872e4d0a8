//! `musev pull`: models from a server into the cache.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use musev::{Catalogue, CatalogueModel, Hub, HubCache, HubEvent, Licence};
use serde_json::{Value, json};

use crate::progress::Interrupt;
use crate::report;

/// Events of progress are not told more often.
const OFTEN: Duration = Duration::from_millis(500);

/// Options of `musev pull`.
#[derive(Args, Debug)]
#[command(after_help = "Files lie where other tools of Hugging Face look for them too: in \
    HF_HUB_CACHE, or hub below HF_HOME (~/.cache/huggingface). HF_ENDPOINT names another server, \
    HF_TOKEN gives a token, HF_HUB_OFFLINE=1 keeps off the network.\n\n\
    Examples:\n  \
    musev pull --list\n  \
    musev pull musev_referencenet\n  \
    musev pull --only lcm-lora-sdv1-5 dwpose_body_hand")]
pub(crate) struct PullArgs {
    /// Fetch these models, and those that they need; a ControlNet goes by its control's name too.
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<String>,
    /// List the models that can be fetched, with size, licence and whether they are there.
    #[arg(long, conflicts_with_all = ["names", "only", "accept_license"])]
    list: bool,
    /// Fetch the named models alone, without those that they need.
    #[arg(long)]
    only: bool,
    /// Accept the licences of the models, which are shown in any case, without being asked.
    #[arg(long, visible_alias = "accept-licence")]
    accept_license: bool,
}

/// Fetches the models that `args` name, or lists all.
pub(crate) fn run(args: &PullArgs, json: bool, bar: &ProgressBar) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::open()?;
    if args.list {
        list(&catalogue, json, &mut io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let models = catalogue.with_needs(&args.names, args.only)?;
    let hub = Hub::from_environment()?;
    if !hub.is_offline() && !is_accepted(&catalogue, &models, args.accept_license)? {
        bail!("the licences were not accepted, so nothing was fetched");
    }
    let interrupt = Interrupt::listen(bar, "block")?;
    let mut teller = Teller::new(bar, json);
    for (name, model) in models {
        teller.begin(name, model);
        let fetched = hub.fetch(&model.wanted(), &mut |event| {
            teller.tell(event);
            match interrupt.check() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        bar.finish_and_clear();
        match fetched {
            Err(musev::Error::Cancelled) => {
                report::say("stopped; what was fetched is kept, and the same command goes on");
                return Ok(ExitCode::from(report::INTERRUPTED));
            }
            fetched => teller.end(model, &fetched?.display().to_string()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the licences of `models` and, unless they are `accepted`, asks whether they are.
fn is_accepted(
    catalogue: &Catalogue,
    models: &[(&str, &CatalogueModel)],
    accepted: bool,
) -> anyhow::Result<bool> {
    let mut licences: BTreeMap<&str, (&Licence, Vec<&str>)> = BTreeMap::new();
    for (name, model) in models {
        let licence = catalogue.licence(model)?;
        licences.entry(&licence.url).or_insert((licence, Vec::new())).1.push(name);
    }
    for (licence, names) in licences.values() {
        let research =
            if licence.research_only { ", for non-commercial research only" } else { "" };
        report::say(format_args!(
            "the licence of {} is {}{research}; read it at {}",
            names.join(", "),
            licence.name,
            licence.url
        ));
    }
    if accepted {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("these licences have to be accepted first; read them, and give --accept-license");
    }
    write!(io::stderr(), "Do you accept them? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn list(catalogue: &Catalogue, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let cache = HubCache::from_environment();
    for (name, model) in catalogue.models() {
        let (licence, path) = (catalogue.licence(model)?, model.in_cache(&cache));
        if json {
            report::json_line(&json!({
                "name": name, "about": model.about, "repository": model.repository,
                "megabytes": model.megabytes, "also": model.also, "needs": model.needs,
                "licence": licence.name, "licence_url": licence.url,
                "research_only": licence.research_only, "path": path,
            }))?;
            continue;
        }
        let there = if path.is_some() { "is there" } else { "" };
        let research = if licence.research_only { " (research only)" } else { "" };
        writeln!(out, "{name:34} {:>6} MB  {there:8}  {}", model.megabytes, model.about)?;
        writeln!(out, "    {}, {}{research}", model.repository, licence.name)?;
        for (what, names) in [("needs", &model.needs), ("also", &model.also)] {
            if !names.is_empty() {
                writeln!(out, "    {what} {}", names.join(", "))?;
            }
        }
    }
    Ok(())
}

/// Draws how the fetching of one model after the other goes.
struct Teller<'a> {
    bar: &'a ProgressBar,
    json: bool,
    name: String,
    /// Bytes of the files that are done.
    done: u64,
    /// Bytes of the file at work.
    current: u64,
    last: Instant,
}

impl<'a> Teller<'a> {
    fn new(bar: &'a ProgressBar, json: bool) -> Self {
        let (done, current, last) = (0, 0, Instant::now());
        Self { bar, json, name: String::new(), done, current, last }
    }

    fn begin(&mut self, name: &str, model: &CatalogueModel) {
        name.clone_into(&mut self.name);
        (self.done, self.current) = (0, 0);
        let style = "{msg} {wide_bar} {bytes} of {total_bytes} · {bytes_per_sec} · {eta} left";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        self.bar.reset();
        self.bar.set_style(style.progress_chars("━╸ "));
        self.bar.set_length(model.megabytes * 1_000_000);
        self.bar.set_message(format!("{name}: asking"));
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    fn tell(&mut self, event: HubEvent<'_>) {
        match event {
            HubEvent::Planned { files, bytes, kept } => {
                self.bar.set_length(bytes - kept);
                self.bar.reset_eta();
                self.event(json!({
                    "event": "planned", "files": files, "bytes": bytes, "kept": kept,
                }));
            }
            HubEvent::Kept { file } => self.event(json!({ "event": "kept", "file": file })),
            HubEvent::Received { file, bytes, of } => {
                self.current = bytes;
                self.bar.set_position(self.done + bytes);
                self.bar.set_message(format!("{}: {file}", self.name));
                if bytes == of || self.last.elapsed() >= OFTEN {
                    self.last = Instant::now();
                    self.event(json!({
                        "event": "received", "file": file, "bytes": bytes, "of": of,
                    }));
                }
            }
            HubEvent::Retrying { file, reason } => {
                self.bar.suspend(|| report::say(format_args!("{file}: {reason}; trying again")));
                self.event(json!({ "event": "retrying", "file": file, "reason": reason }));
            }
            HubEvent::Checking { file } => {
                self.bar.set_message(format!("{}: checking {file}", self.name));
            }
            HubEvent::Done { file } => {
                self.done += self.current;
                self.event(json!({ "event": "fetched", "file": file }));
            }
            _ => {}
        }
    }

    fn end(&self, model: &CatalogueModel, snapshot: &str) {
        let place = model.in_cache(&HubCache::from_environment());
        let place = place.map_or_else(|| snapshot.to_owned(), |place| place.display().to_string());
        self.event(json!({ "event": "done", "path": place }));
        report::say(format_args!("{} is in {place}", self.name));
    }

    fn event(&self, mut event: Value) {
        if self.json {
            event["model"] = json!(self.name);
            // Without a reader the models are fetched all the same.
            let _ = report::json_line(&event);
        }
    }
}
