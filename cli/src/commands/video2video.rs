//! `musev video2video`: from videos to videos.

mod jobs;
mod options;

use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use musev::{ModelFiles, OpenDevice, Pipeline, Transformed, Video};
use serde_json::json;

use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, plan, tasks};
use crate::progress::{Interrupt, Progress, Steps};
use crate::report;
use jobs::Job;
pub(crate) use options::Video2videoArgs;

/// Makes the videos that `args` ask for.
pub(crate) fn run(
    args: &Video2videoArgs,
    json: bool,
    bar: ProgressBar,
) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen(&bar, "window")?;
    let mut progress = Progress::new(bar, json, interrupt);
    let tasks = tasks::tasks(&args.input, args.source.video.as_deref())?;
    if tasks.is_empty() {
        tasks::tell_nothing_matched(&args.input, &mut progress)?;
        return Ok(ExitCode::from(report::NOTHING_MATCHED));
    }
    let mut models = models::following(&args.model, &args.conditioners, &args.followed.models()?)?;
    if args.serial.enable_zero_snr {
        models = models.into_iter().map(ModelFiles::with_zero_snr).collect();
    }
    // Only tables name several models, and theirs have the same settings.
    let settings = common::in_force(args.common(), &models[0].settings);
    let videos = jobs::videos(args, (&settings, &models[0]), tasks)?;
    let mut work = Vec::new();
    for model in models {
        let jobs = videos.iter().map(|video| jobs::job((args, &settings), video, &model));
        let mut jobs = jobs.collect::<musev::Result<Vec<_>>>()?;
        jobs.retain(|job| !job.file.is_done(&args.output, &mut progress));
        work.push((model, jobs));
    }
    work.retain(|(_, jobs)| !jobs.is_empty());
    if work.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let all = || work.iter().flat_map(|(model, jobs)| jobs.iter().map(move |job| (model, job)));
    OutputFile::check(all().map(|(_, job)| &job.file), &args.output)?;
    if args.output.plan {
        let device = pollster::block_on(OpenDevice::start(&args.device.device, args.device.dtype))?;
        for (model, job) in all() {
            let plan = model.video2video_memory_plan(&job.video, device.number_bytes())?;
            plan::tell(&plan, &job.file, &device, json)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let worked = pollster::block_on(make_all(args, &work, &mut progress));
    progress.end();
    worked.map(|()| ExitCode::SUCCESS)
}

async fn make_all(
    args: &Video2videoArgs,
    work: &[(ModelFiles, Vec<Job>)],
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let device = OpenDevice::start(&args.device.device, args.device.dtype).await?;
    for (model, jobs) in work {
        progress.load(&model.name);
        let pipeline = Pipeline::open(model, &args.model.allow_missing, &device, progress)?;
        for job in jobs {
            make(args, job, (&pipeline, &device), progress).await?;
        }
    }
    Ok(())
}

/// Makes one video and writes it.
async fn make(
    args: &Video2videoArgs,
    job: &Job,
    (pipeline, device): (&Pipeline, &OpenDevice),
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let (base, file) = (&job.video.base, &job.file);
    let (width, height) = (base.shot.size.width, base.shot.size.height);
    let (seed, shots) = (base.shot.sampling.seed, job.video.chunk_count());
    let steps = Steps { first_frame: base.first_frame.steps, video: base.shot.sampling.steps };
    progress.begin(steps, &device.description);
    let device_name = &device.description;
    progress.say(&format!("{}: {width} x {height}, seed {seed}, {device_name}", file.name));
    let followed = args.followed.controlnet_name.iter().map(|kind| kind.name());
    progress.tell(&json!({
        "event": "start", "task": file.name, "path": file.path.display().to_string(),
        "width": width, "height": height, "seed": seed, "steps": steps.video, "shots": shots,
        "fps": base.fps, "controlnet": followed.collect::<Vec<_>>(), "device": device_name,
        "dtype": format!("{:?}", device.dtype).to_lowercase(),
    }));
    let mut made = pipeline.video2video(&job.video, progress).await?;
    progress.end();
    if args.output.write_info {
        label(&mut made, args, &file.name);
    }
    let video: Video = made.grid(args.shown.n_cols as usize)?;
    file.write(video, start.elapsed().as_secs_f64(), progress)?;
    Ok(())
}

/// Writes onto each part of the grid what it is.
fn label(made: &mut Transformed, args: &Video2videoArgs, name: &str) {
    if let Some(source) = &mut made.source {
        musev::write_info(source, "videos");
    }
    musev::write_info(&mut made.video, name);
    for (maps, kind) in made.controls.iter_mut().zip(&args.followed.controlnet_name) {
        musev::write_info(maps, kind.name());
    }
}
