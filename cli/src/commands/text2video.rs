//! `musev text2video`: from a picture or a prompt to videos.

mod jobs;
mod options;

use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use musev::{ModelFiles, OpenDevice, Pipeline};
use serde_json::json;

use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, plan, tasks};
use crate::progress::{Interrupt, Progress, Steps};
use crate::report;
use jobs::Job;
pub(crate) use options::Text2videoArgs;

/// Makes the videos that `args` ask for.
pub(crate) fn run(args: &Text2videoArgs, json: bool, bar: ProgressBar) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen(&bar, "window")?;
    let mut progress = Progress::new(bar, json, interrupt);
    let tasks = tasks::tasks(&args.input, None)?;
    if tasks.is_empty() {
        tasks::tell_nothing_matched(&args.input, &mut progress)?;
        return Ok(ExitCode::from(report::NOTHING_MATCHED));
    }
    let models = models::models(&args.model, &args.conditioners)?;
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
            let plan = model.memory_plan(&job.video, device.number_bytes())?;
            plan::tell(&plan, &job.file, &device, json)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let worked = pollster::block_on(make_all(args, &work, &mut progress));
    progress.end();
    worked.map(|()| ExitCode::SUCCESS)
}

async fn make_all(
    args: &Text2videoArgs,
    work: &[(ModelFiles, Vec<Job>)],
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let device = OpenDevice::start(&args.device.device, args.device.dtype).await?;
    for (model, jobs) in work {
        progress.load(&model.name);
        let pipeline = Pipeline::open(model, &args.model.allow_missing, &device, progress)?;
        for job in jobs {
            make(job, &pipeline, &device, progress).await?;
        }
    }
    Ok(())
}

/// Makes one video and writes it.
async fn make(
    job: &Job,
    pipeline: &Pipeline,
    device: &OpenDevice,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let (shot, file) = (&job.video.shot, &job.file);
    let (width, height, seed) = (shot.size.width, shot.size.height, shot.sampling.seed);
    let steps = Steps { first_frame: job.video.first_frame_steps(), video: shot.sampling.steps };
    progress.begin(steps, &device.description);
    let device_name = &device.description;
    progress.say(&format!("{}: {width} x {height}, seed {seed}, {device_name}", file.name));
    progress.tell(&json!({
        "event": "start", "task": file.name, "path": file.path.display().to_string(),
        "width": width, "height": height, "seed": seed, "steps": steps.video,
        "shots": job.video.shots, "fps": job.video.fps, "device": device_name,
        "dtype": format!("{:?}", device.dtype).to_lowercase(),
    }));
    let video = pipeline.text2video(&job.video, progress).await?;
    progress.end();
    file.write(video, start.elapsed().as_secs_f64(), progress)?;
    Ok(())
}
