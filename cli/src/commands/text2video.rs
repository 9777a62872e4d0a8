//! `musev text2video`: from a picture or a prompt to videos.

mod embeddings;
mod jobs;
mod options;
mod plan;
mod settings;

use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use musev::{Format, ModelFiles, OpenDevice, Pipeline};
use serde_json::json;

use crate::progress::{Interrupt, Progress, Steps};
use crate::report;
use jobs::Job;
pub(crate) use options::Text2videoArgs;

/// Makes the videos that `args` ask for.
pub(crate) fn run(args: &Text2videoArgs, json: bool, bar: ProgressBar) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen(&bar, "window")?;
    let mut progress = Progress::new(bar, json, interrupt);
    let tasks = jobs::tasks(&args.input)?;
    if tasks.is_empty() {
        let message = jobs::nothing_matched(&args.input)?;
        progress.tell(&json!({ "event": "error", "message": message }));
        progress.say(&format!("musev: {message}"));
        return Ok(ExitCode::from(report::NOTHING_MATCHED));
    }
    let models = jobs::models(&args.model)?;
    // Only tables name several models, and theirs have the same settings.
    let settings = settings::in_force(args, &models[0].settings);
    let videos = jobs::videos(args, &settings, tasks)?;
    let mut work = Vec::new();
    for model in models {
        let jobs = jobs::jobs((args, &settings), &videos, &model.name, &mut progress)?;
        work.push((model, jobs));
    }
    work.retain(|(_, jobs)| !jobs.is_empty());
    if work.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    jobs::check(work.iter().flat_map(|(_, jobs)| jobs), &args.output)?;
    if args.output.plan {
        let device = OpenDevice::start(&args.device.device, args.device.dtype);
        plan::tell(&work, &pollster::block_on(device)?, json)?;
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
    let (shot, path) = (&job.video.shot, job.path.display().to_string());
    let (width, height, seed) = (shot.size.width, shot.size.height, shot.sampling.seed);
    let steps =
        Steps { first_frame: job.video.first_frame.steps, video: job.video.shot.sampling.steps };
    progress.begin(steps, &device.description);
    progress.say(&format!("{}: {width} x {height}, seed {seed}, {}", job.name, device.description));
    progress.tell(&json!({
        "event": "start", "task": job.name, "path": path, "width": width, "height": height,
        "seed": seed, "steps": steps.video, "shots": job.video.shots, "fps": job.video.fps,
        "device": device.description, "dtype": format!("{:?}", device.dtype).to_lowercase(),
    }));
    let mut video = pipeline.text2video(&job.video, progress).await?;
    progress.end();
    video.comment = Some(job.comment.clone());
    if job.write_info {
        musev::write_info(&mut video, &job.name);
    }
    musev::write_video(&video, &job.path, job.format)?;
    if job.save_images {
        musev::write_video(&video, &job.path.with_extension(""), Format::Png)?;
    }
    let (frames, seconds) = (video.frames.len(), start.elapsed().as_secs_f64());
    progress.say(&format!("{path}: {frames} frames in {seconds:.1} s"));
    progress.tell(&json!({
        "event": "done", "path": path, "frames": frames, "seconds": seconds,
    }));
    Ok(())
}
