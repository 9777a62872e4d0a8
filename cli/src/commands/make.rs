//! The run of a command that makes videos: which ones, with which models, and the making.

use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use musev::{MemoryPlan, ModelFiles, ModelSettings, OpenDevice, Pipeline, Result, Task, Video};

use crate::commands::common::{self, Common};
use crate::commands::options::Chosen;
use crate::commands::output_file::OutputFile;
use crate::commands::{plan, tasks};
use crate::progress::{Interrupt, Progress};
use crate::report;

/// A command that makes videos, as its options say.
pub(crate) trait MakesVideos {
    /// What a video is made from.
    type Request: Clone;

    /// The options that it shares with other commands.
    fn common(&self) -> Common<'_>;

    /// What is to be made, a task for each subject.
    fn tasks(&self) -> Result<Vec<Task>>;

    /// The models to make every video with, at least one.
    fn models(&self) -> Result<Vec<ModelFiles>>;

    /// The videos of `tasks`, checked as far as they can be without weights. Of `model` it counts
    /// which networks it has.
    fn videos(
        &self,
        with: (&ModelSettings, &ModelFiles),
        tasks: Vec<Task>,
    ) -> anyhow::Result<Vec<TaskVideo<Self::Request>>>;

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

    /// Tells of the job and makes its video.
    async fn make(
        &self,
        job: &Job<Self::Request>,
        made_with: (&Pipeline, &OpenDevice),
        progress: &mut Progress,
    ) -> anyhow::Result<Video>;
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
    let videos = command.videos((&settings, &models[0]), tasks)?;
    let mut work: Vec<Work<C::Request>> = Vec::new();
    for model in models {
        let job = |video: &TaskVideo<C::Request>| {
            let file = command.file(&settings, video, &model)?;
            Ok(Job { request: video.request.clone(), file })
        };
        let mut jobs = videos.iter().map(job).collect::<Result<Vec<_>>>()?;
        jobs.retain(|job| !job.file.is_done(output, &mut progress));
        work.push((model, jobs));
    }
    work.retain(|(_, jobs)| !jobs.is_empty());
    if work.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let all = || work.iter().flat_map(|(model, jobs)| jobs.iter().map(move |job| (model, job)));
    OutputFile::check(all().map(|(_, job)| &job.file), output)?;
    if output.plan {
        let device = pollster::block_on(OpenDevice::start(&device.device, device.dtype))?;
        for (model, job) in all() {
            let plan = C::plan(model, &job.request, device.number_bytes())?;
            plan::tell(&plan, &job.file, &device, json)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let worked = pollster::block_on(make_all(command, &work, &mut progress));
    progress.end();
    worked.map(|()| ExitCode::SUCCESS)
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
        for job in jobs {
            let start = Instant::now();
            let video = command.make(job, (&pipeline, &device), progress).await?;
            job.file.write(video, start.elapsed().as_secs_f64(), progress)?;
        }
    }
    Ok(())
}

impl<R: Clone> TaskVideo<R> {
    /// The videos of a task, each with as many seeds as `args` ask for; `seed` is where a video has
    /// its own.
    pub(crate) fn repeated(
        args: Common<'_>,
        (task, chosen): (&Task, &Chosen),
        requests: Vec<R>,
        seed: impl Fn(&mut R) -> &mut u64,
    ) -> Vec<Self> {
        let mut all = Vec::new();
        for request in requests {
            for repeat in 0..args.output.n_repeat {
                let mut request = request.clone();
                *seed(&mut request) = tasks::seed(args.sampling.seed, repeat);
                all.push(Self { task: task.clone(), chosen: chosen.clone(), request });
            }
        }
        all
    }
}
