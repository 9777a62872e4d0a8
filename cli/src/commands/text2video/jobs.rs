//! From options and tasks to the videos to make, everything checked that can be before the device
//! works.

use anyhow::Context;
use musev::{ModelFiles, ModelSettings, OutputName, OutputPictures, Result, Task, Text2Video};

use super::options::Text2videoArgs;
use crate::commands::options::Chosen;
use crate::commands::output_file::OutputFile;
use crate::commands::{common, tasks};

/// A video with the task it belongs to.
pub(crate) struct TaskVideo {
    task: Task,
    /// What it is to look like.
    chosen: Chosen,
    video: Text2Video,
}

/// A video to make with a model.
pub(crate) struct Job {
    pub(crate) video: Text2Video,
    pub(crate) file: OutputFile,
}

/// The videos of `tasks`, checked as far as they can be without weights. Of `model` it counts which
/// networks it has.
pub(crate) fn videos(
    args: &Text2videoArgs,
    (settings, model): (&ModelSettings, &ModelFiles),
    tasks: Vec<Task>,
) -> anyhow::Result<Vec<TaskVideo>> {
    args.pictures.check(model)?;
    let length = args.length.at(settings.fps, args.motion.time_size)?;
    let defaults = common::defaults(args.common(), settings, length)?;
    let mut all = Vec::new();
    for task in tasks {
        let condition = tasks::condition_images(&task, &args.input);
        let chosen = args.pictures.chosen(&task, condition, model);
        let with = (model, &defaults.video);
        let prepare = || defaults.prepare(&task, args.pictures.read(&chosen, condition, with)?);
        let videos = match &args.input.tasks {
            Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
            None => prepare()?,
        };
        for video in videos {
            for repeat in 0..args.output.n_repeat {
                let mut video = video.clone();
                video.shot.sampling.seed = tasks::seed(args.sampling.seed, repeat);
                all.push(TaskVideo { task: task.clone(), chosen: chosen.clone(), video });
            }
        }
    }
    Ok(all)
}

/// A video made with `model`.
pub(crate) fn job(
    (args, settings): (&Text2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &ModelFiles,
) -> Result<Job> {
    let shot = &video.video.shot;
    let file = OutputFile::new(
        &args.output,
        &video.task.name,
        || output_name((args, settings), video, model),
        (shot.size.width, shot.size.height),
        video.video.summary(&model.name),
    )?;
    Ok(Job { video: video.video.clone(), file })
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
