//! The run of a command that makes videos: which ones, with which models, and the making.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use musev::{
    MemoryPlan, ModelFiles, ModelSettings, OpenDevice, Pipeline, Result, Task, TaskDefaults,
    TaskPictures, Text2Video, Video,
};
use serde_json::json;

use crate::commands::common::{self, Common};
use crate::commands::options::Chosen;
use crate::commands::output_file::OutputFile;
use crate::commands::{plan, tasks};
use crate::progress::{Interrupt, Progress, Steps};
use crate::report;

/// A command that makes videos, as its options say.
pub(crate) trait MakesVideos {
    /// What a video is made from.
    type Request: Clone;
    /// What is read once for all tasks.
    type Read: Default;

    /// The options that it shares with other commands.
    fn common(&self) -> Common<'_>;

    /// What is to be made, a task for each subject.
    fn tasks(&self) -> Result<Vec<Task>>;

    /// The models to make every video with, at least one.
    fn models(&self) -> Result<Vec<ModelFiles>>;

    /// What all videos have in common.
    fn defaults(&self, settings: &ModelSettings) -> anyhow::Result<TaskDefaults>;

    /// The videos of `task` with its `pictures`, checked as far as they can be without weights.
    fn requests(
        &self,
        task: &Task,
        pictures: TaskPictures,
        defaults: &TaskDefaults,
        read: &mut Self::Read,
    ) -> Result<Vec<Self::Request>>;

    /// What a video has in common with those of other commands.
    fn base(request: &Self::Request) -> &Text2Video;

    /// The same, to be changed.
    fn base_mut(request: &mut Self::Request) -> &mut Text2Video;

    /// The file of a video that is made with `model`.
    fn file(
        &self,
        settings: &ModelSettings,
        video: &TaskVideo<Self::Request>,
        model: &ModelFiles,
    ) -> Result<OutputFile>;

    /// What a video needs.
    fn plan(model: &ModelFiles, request: &Self::Request, number_bytes: usize)
    -> Result<MemoryPlan>;

    /// How many steps a video takes, and how many shots it has.
    fn length(request: &Self::Request) -> (Steps, usize);

    /// What is followed, by name.
    fn followed(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Makes the video called `name`.
    async fn make(
        &self,
        request: &Self::Request,
        name: &str,
        pipeline: &Pipeline,
        progress: &mut Progress,
    ) -> Result<Video>;
}

/// A video with the task it belongs to.
pub(crate) struct TaskVideo<R> {
    pub(crate) task: Task,
    /// What it is to look like.
    pub(crate) chosen: Chosen,
    pub(crate) request: R,
}

/// A video to make with a model.
pub(crate) struct Job<R> {
    pub(crate) request: R,
    pub(crate) file: OutputFile,
}

/// A model and what to make with it.
type Work<R> = (ModelFiles, Vec<Job<R>>);

/// Makes all videos that `command` asks for.
pub(crate) fn run<C: MakesVideos>(
    command: &C,
    json: bool,
    bar: ProgressBar,
) -> anyhow::Result<ExitCode> {
    let Common { input, output, device, .. } = command.common();
    let interrupt = Interrupt::listen(&bar, "window")?;
    let mut progress = Progress::new(bar, json, interrupt);
    let tasks = command.tasks()?;
    if tasks.is_empty() {
        tasks::tell_nothing_matched(input, &mut progress)?;
        return Ok(ExitCode::from(report::NOTHING_MATCHED));
    }
    let models = command.models()?;
    // Only tables name several models, and theirs have the same settings.
    let settings = common::in_force(command.common(), &models[0].settings);
    let videos = videos(command, (&settings, &models[0]), tasks)?;
    let mut work: Vec<Work<C::Request>> = Vec::new();
    for model in models {
        let job = |video: &TaskVideo<C::Request>| {
            model.check_sampling(C::base(&video.request))?;
            let file = command.file(&settings, video, &model)?;
            Ok(Job { request: video.request.clone(), file })
        };
        let mut jobs = videos.iter().map(job).collect::<Result<Vec<_>>>()?;
        jobs.retain(|job| output.plan || !job.file.is_done(output, &mut progress));
        work.push((model, jobs));
    }
    work.retain(|(_, jobs)| !jobs.is_empty());
    if work.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let all = || work.iter().flat_map(|(model, jobs)| jobs.iter().map(move |job| (model, job)));
    if output.plan {
        let device = pollster::block_on(OpenDevice::start(&device.device, device.dtype))?;
        for (model, job) in all() {
            let plan = C::plan(model, &job.request, device.number_bytes())?;
            plan::tell(&plan, &job.file, &device, json)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    OutputFile::check(all().map(|(_, job)| &job.file), output)?;
    let worked = pollster::block_on(make_all(command, &work, &mut progress));
    progress.end();
    worked.map(|()| ExitCode::SUCCESS)
}

/// The videos of `tasks`. Of `model` it counts which networks it has.
fn videos<C: MakesVideos>(
    command: &C,
    (settings, model): (&ModelSettings, &ModelFiles),
    tasks: Vec<Task>,
) -> anyhow::Result<Vec<TaskVideo<C::Request>>> {
    let Common { input, output, pictures, sampling, .. } = command.common();
    pictures.check(model)?;
    let defaults = command.defaults(settings)?;
    let (mut all, mut read) = (Vec::new(), C::Read::default());
    for task in tasks {
        let condition = tasks::condition_images(&task, input);
        let chosen = pictures.chosen(&task, condition, model);
        let mut prepare = || {
            let pictures = pictures.read(&chosen, condition, (model, &defaults.video))?;
            command.requests(&task, pictures, &defaults, &mut read)
        };
        let requests = match &input.tasks {
            Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
            None => prepare()?,
        };
        for request in requests {
            for repeat in 0..output.n_repeat {
                let mut request = request.clone();
                C::base_mut(&mut request).shot.sampling.seed = tasks::seed(sampling.seed, repeat);
                all.push(TaskVideo { task: task.clone(), chosen: chosen.clone(), request });
            }
        }
    }
    Ok(all)
}

async fn make_all<C: MakesVideos>(
    command: &C,
    work: &[Work<C::Request>],
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let Common { device, model: options, .. } = command.common();
    let device = OpenDevice::start(&device.device, device.dtype).await?;
    for (model, jobs) in work {
        progress.load(&model.name);
        let pipeline = Pipeline::open(model, &options.allow_missing, &device, progress)?;
        for Job { request, file } in jobs {
            let start = Instant::now();
            begin(command, (request, file), &device, progress);
            let video = command.make(request, &file.name, &pipeline, progress).await?;
            progress.end();
            file.write(video, start.elapsed().as_secs_f64(), progress)?;
        }
    }
    Ok(())
}

/// Tells what is made now.
fn begin<C: MakesVideos>(
    command: &C,
    (request, file): (&C::Request, &OutputFile),
    device: &OpenDevice,
    progress: &mut Progress,
) {
    let Text2Video { shot, fps, .. } = C::base(request);
    let (width, height, seed) = (shot.size.width, shot.size.height, shot.sampling.seed);
    let (steps, shots) = C::length(request);
    let device_name = &device.description;
    progress.begin(steps, device_name);
    progress.say(&format!("{}: {width} x {height}, seed {seed}, {device_name}", file.name));
    progress.tell(&json!({
        "event": "start", "task": file.name, "path": file.path.display().to_string(),
        "width": width, "height": height, "seed": seed, "steps": steps.video, "shots": shots,
        "fps": fps, "controlnet": command.followed(), "device": device_name,
        "dtype": format!("{:?}", device.dtype).to_lowercase(),
    }));
}
