//! From options and tasks to the videos to make, everything checked that can be before the device
//! works.

use std::path::{Path, PathBuf};

use anyhow::Context;
use musev::{
    Error, Format, ModelFiles, ModelSettings, OutputName, OutputPictures, Result, Task, TaskFile,
    TaskImages, Text2Video,
};
use serde_json::json;

use super::options::{Input, Text2videoArgs};
use super::settings;
use crate::commands::options::{Chosen, Output};
use crate::progress::Progress;

/// The largest seed that is taken when none is given: the original's.
const LARGEST_RANDOM_SEED: u64 = 100_000_000;

/// A video with the task it belongs to.
pub(crate) struct TaskVideo {
    task: Task,
    /// What it is to look like.
    chosen: Chosen,
    video: Text2Video,
}

/// A video to make with a model.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) video: Text2Video,
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) save_images: bool,
    pub(crate) write_info: bool,
    /// What the file says of itself.
    pub(crate) comment: String,
}

/// The tasks of the task file that were asked for, or the one that the options describe.
pub(crate) fn tasks(input: &Input) -> Result<Vec<Task>> {
    match &input.tasks {
        Some(file) => TaskFile::open(file)?.select(&input.target_datas),
        None => Ok(vec![Task {
            name: input.image.first().map_or_else(|| "prompt".to_owned(), |path| stem(path)),
            prompt: input.prompt.clone().unwrap_or_default(),
            images: TaskImages { condition_images: input.image.clone(), ..TaskImages::default() },
            ..Task::default()
        }]),
    }
}

/// Why no task was found, with the names there are.
pub(crate) fn nothing_matched(input: &Input) -> Result<String> {
    let names = match &input.tasks {
        Some(file) => TaskFile::open(file)?.names(),
        None => Vec::new(),
    };
    let (wanted, known) = (&input.target_datas, names.join(", "));
    Ok(format!("target-datas: no task is called {wanted}; the file has {known}"))
}

/// The videos of `tasks`, checked as far as they can be without weights. Of `model` it counts which
/// networks it has.
pub(crate) fn videos(
    args: &Text2videoArgs,
    (settings, model): (&ModelSettings, &ModelFiles),
    tasks: Vec<Task>,
) -> anyhow::Result<Vec<TaskVideo>> {
    args.pictures.check(model)?;
    let defaults = settings::defaults(args, settings)?;
    let mut all = Vec::new();
    for task in tasks {
        let condition = match args.input.no_condition_image {
            true => &[],
            false => task.images.condition_images.as_slice(),
        };
        let chosen = args.pictures.chosen(&task, condition, model);
        let prepare = || defaults.prepare(&task, args.pictures.read(&chosen, condition, model)?);
        let videos = match &args.input.tasks {
            Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
            None => prepare()?,
        };
        for video in videos {
            for repeat in 0..u64::from(args.output.n_repeat) {
                let mut video = video.clone();
                let seed = args.sampling.seed.map(|seed| seed.wrapping_add(repeat));
                video.shot.sampling.seed = seed.unwrap_or_else(random_seed);
                all.push(TaskVideo { task: task.clone(), chosen: chosen.clone(), video });
            }
        }
    }
    Ok(all)
}

/// `videos` made with `model`, those aside that are there already.
pub(crate) fn jobs(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    videos: &[TaskVideo],
    model: &ModelFiles,
    progress: &mut Progress,
) -> Result<Vec<Job>> {
    let job = |video| job((args, settings), video, model);
    let jobs: Result<Vec<Job>> = videos.iter().map(job).collect();
    let mut jobs = jobs?;
    jobs.retain(|job| args.output.output.is_some() || !is_done(job, &args.output, progress));
    Ok(jobs)
}

/// Whether all of `jobs` could be written where they belong.
pub(crate) fn check<'a>(jobs: impl Iterator<Item = &'a Job>, output: &Output) -> Result<()> {
    if output.output.is_none() {
        let folder = &output.output_dir;
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    }
    for (count, job) in jobs.enumerate() {
        if count > 0 && output.output.is_some() {
            let reason = "several videos do not fit one file; use output-dir";
            return Err(Error::request("output", reason));
        }
        let size = (job.video.shot.size.width, job.video.shot.size.height);
        musev::check_output(&job.path, job.format, size)?;
        if job.save_images {
            musev::check_output(&job.path.with_extension(""), Format::Png, size)?;
        }
    }
    Ok(())
}

fn job(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &ModelFiles,
) -> Result<Job> {
    let (path, format) = match &args.output.output {
        Some(path) => (path.clone(), Format::from_extension(path)?),
        None => {
            let format = args.output.save_filetype;
            let name = output_name((args, settings), video, model);
            (args.output.output_dir.join(format!("{name}.{}", format.extension())), format)
        }
    };
    Ok(Job {
        name: video.task.name.clone(),
        video: video.video.clone(),
        path: musev::output_path(&path, format),
        format,
        save_images: args.output.save_images && format != Format::Png,
        write_info: args.output.write_info,
        comment: video.video.summary(&model.name),
    })
}

fn output_name(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &ModelFiles,
) -> String {
    let TaskVideo { task, chosen, video } = video;
    let negative = args.input.video_negative_prompt.as_ref().unwrap_or(&settings.negative_prompt);
    let sampling = &video.shot.sampling;
    OutputName {
        model: (&model.name, model.reference_net()),
        case: &task.name,
        size: (video.shot.size.width, video.shot.size.height),
        time_size: video.shot.frames,
        n_batch: video.shots,
        seed: sampling.seed,
        prompt: &video.shot.prompt.positive,
        img_weight: task.img_weight.unwrap_or(settings.img_weight),
        motion_speed: video.shot.motion_speed,
        strength: args.compatibility.strength,
        video_guidance_scale: settings.video_guidance_scale,
        pictures: OutputPictures {
            condition: &task.images.condition_images,
            redrawn: video.redraw_condition_image,
            reference: &chosen.reference,
            face: &chosen.face,
        },
        w_ind_noise: sampling.noise.w_ind_noise,
        negative_prompt: task.video_negative_prompt.as_ref().unwrap_or(negative),
    }
    .stem()
}

/// Whether the video was made earlier; tells so.
fn is_done(job: &Job, output: &Output, progress: &mut Progress) -> bool {
    let is_done = !output.overwrite && job.path.exists();
    if is_done {
        let path = job.path.display().to_string();
        progress.say(&format!("{path} is there already; --overwrite makes it again"));
        progress.tell(&json!({ "event": "skipped", "path": path }));
    }
    is_done
}

/// A number that nobody can foresee, as far as one process needs it: the keys of the standard
/// library's hash maps are drawn from the system.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % (LARGEST_RANDOM_SEED + 1)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
