//! From options and tasks to the videos to make, everything checked that can be before the device
//! works.

use std::path::{Path, PathBuf};

use anyhow::Context;
use musev::{
    Error, Format, Frame, LoraChoice, ModelChoice, ModelFiles, ModelSettings, ModelSpec,
    OutputName, PartChoice, Result, Task, TaskFile, TaskImages, Text2Video,
};
use serde_json::json;

use super::options::{Input, Model, Output, Text2videoArgs};
use super::settings;
use crate::progress::Progress;

/// The largest seed that is taken when none is given: the original's.
const LARGEST_RANDOM_SEED: u64 = 100_000_000;

/// A video with the task it belongs to.
pub(crate) struct TaskVideo {
    task: Task,
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

/// The models that were asked for, at least one, with their LoRAs and embeddings; the one inside
/// musev if none was.
pub(crate) fn models(args: &Model) -> Result<Vec<ModelFiles>> {
    let root = musev::checkpoint_root(args.model_dir.as_deref());
    let (loras, learned) = (loras(args)?, &args.embeddings);
    let embeddings = learned.chosen(args.model.is_none() && args.names_a_table(), &root)?;
    let with_parts = |model: ModelFiles| {
        let model = model.with_loras(&loras, &args.allow_missing)?;
        model.with_embeddings(&embeddings, learned.embedding_vectors)
    };
    opened(args)?.into_iter().map(with_parts).collect()
}

/// The LCM LoRA, if one is named, and the others.
fn loras(args: &Model) -> Result<Vec<LoraChoice>> {
    let choice = ModelChoice {
        table: args.lcm_model_cfg_path.clone(),
        name: args.lcm_model_name.clone().unwrap_or_else(|| "None".to_owned()),
    };
    let lcm = musev::lcm_lora(&choice, &musev::checkpoint_root(args.model_dir.as_deref()))?;
    Ok(lcm.map(LoraChoice::from).into_iter().chain(args.lora.iter().cloned()).collect())
}

fn opened(args: &Model) -> Result<Vec<ModelFiles>> {
    let named = args.model.as_deref();
    let is_inside = named.map_or(!args.names_a_table(), |name| name == Path::new("mini"));
    if is_inside && let Some(mini) = mini() {
        return Ok(vec![mini?]);
    }
    let specs = match named {
        Some(folder) => vec![ModelSpec::whole(folder)?],
        None => of_tables(args)?,
    };
    specs.iter().map(ModelFiles::open).collect()
}

/// The model inside musev, where it was built in.
fn mini() -> Option<Result<ModelFiles>> {
    #[cfg(feature = "mini")]
    return Some(ModelFiles::mini());
    #[cfg(not(feature = "mini"))]
    None
}

fn of_tables(args: &Model) -> Result<Vec<ModelSpec>> {
    let choice = |table: &Option<PathBuf>, name: &Option<String>, otherwise: &str| ModelChoice {
        table: table.clone(),
        name: name.as_deref().unwrap_or(otherwise).to_owned(),
    };
    ModelSpec::find(
        &choice(&args.sd_model_cfg_path, &args.sd_model_name, "all"),
        &choice(&args.unet_model_cfg_path, &args.unet_model_name, "musev"),
        &PartChoice { vae: args.vae_model_path.clone(), tokenizer: args.tokenizer.clone() },
        &musev::checkpoint_root(args.model_dir.as_deref()),
    )
}

impl Model {
    /// Whether an option speaks of the tables of models.
    fn names_a_table(&self) -> bool {
        let names = [&self.sd_model_name, &self.unet_model_name, &self.vae_model_path];
        let paths =
            [&self.model_dir, &self.sd_model_cfg_path, &self.unet_model_cfg_path, &self.tokenizer];
        names.iter().any(|name| name.is_some()) || paths.iter().any(|path| path.is_some())
    }
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

/// The videos of `tasks`, checked as far as they can be without a model.
pub(crate) fn videos(
    args: &Text2videoArgs,
    settings: &ModelSettings,
    tasks: Vec<Task>,
) -> anyhow::Result<Vec<TaskVideo>> {
    let defaults = settings::defaults(args, settings)?;
    let mut all = Vec::new();
    for task in tasks {
        let prepare = || defaults.prepare(&task, pictures(&task, args.input.no_condition_image)?);
        let videos = match &args.input.tasks {
            Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
            None => prepare()?,
        };
        for video in videos {
            for repeat in 0..u64::from(args.output.n_repeat) {
                let mut video = video.clone();
                let seed = args.sampling.seed.map(|seed| seed.wrapping_add(repeat));
                video.shot.sampling.seed = seed.unwrap_or_else(random_seed);
                all.push(TaskVideo { task: task.clone(), video });
            }
        }
    }
    Ok(all)
}

/// `videos` made with the model called `model`, those aside that are there already.
pub(crate) fn jobs(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    videos: &[TaskVideo],
    model: &str,
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
    model: &str,
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
        comment: video.video.summary(model),
    })
}

fn output_name(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &str,
) -> String {
    let TaskVideo { task, video } = video;
    let negative = args.input.video_negative_prompt.as_ref().unwrap_or(&settings.negative_prompt);
    let sampling = &video.shot.sampling;
    OutputName {
        model,
        case: &task.name,
        size: (video.shot.size.width, video.shot.size.height),
        time_size: video.shot.frames,
        n_batch: video.shots,
        seed: sampling.seed,
        prompt: &video.shot.prompt.positive,
        img_weight: task.img_weight.unwrap_or(settings.img_weight),
        motion_speed: task.motion_speed.unwrap_or(args.compatibility.motion_speed),
        strength: args.compatibility.strength,
        video_guidance_scale: settings.video_guidance_scale,
        condition: (&task.images.condition_images, video.redraw_condition_image),
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

fn pictures(task: &Task, leave_out: bool) -> Result<Vec<Frame>> {
    if leave_out {
        return Ok(Vec::new());
    }
    task.images.condition_images.iter().map(|path| musev::read_frame(path)).collect()
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
