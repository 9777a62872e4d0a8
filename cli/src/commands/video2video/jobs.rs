//! From options and tasks to the videos to make, everything checked that can be before the device
//! works.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use musev::{
    ControlInterval, Error, FollowedControl, Frame, Length, ModelFiles, ModelSettings,
    OutputPictures, Result, SchedulerKind, SerialDenoise, SourceVideo, Task, TaskDefaults,
    TransformedName, Video2Video,
};

use super::options::{Followed, Video2videoArgs, Which};
use crate::commands::models::FollowedModels;
use crate::commands::options::Chosen;
use crate::commands::output_file::OutputFile;
use crate::commands::{common, tasks};

/// What shows where a source video is transparent.
const WHITE: [u8; 3] = [255; 3];

/// A video with the task it belongs to.
pub(crate) struct TaskVideo {
    task: Task,
    /// What it is to look like.
    chosen: Chosen,
    video: Video2Video,
}

/// A video to make with a model.
pub(crate) struct Job {
    pub(crate) video: Video2Video,
    pub(crate) file: OutputFile,
}

/// Source videos that have been read.
type Read = BTreeMap<PathBuf, Arc<Vec<Frame>>>;

impl Followed {
    /// The networks that follow.
    ///
    /// # Errors
    /// When there are not as many as names.
    pub(crate) fn models(&self) -> Result<FollowedModels> {
        if let Some(pose_guider) = &self.pose_guider_model_path {
            if self.controlnet_name.len() > 1 {
                let reason = "a pose guider follows one kind of maps; give one name";
                return Err(Error::request("controlnet-name", reason));
            }
            let pose_guider = Some(pose_guider.clone());
            return Ok(FollowedModels { pose_guider, ..FollowedModels::default() });
        }
        let (names, paths) = (&self.controlnet_name, &self.controlnet_model_path);
        if !paths.is_empty() && paths.len() != names.len() {
            let reason = format!("{} paths for {} names", paths.len(), names.len());
            return Err(Error::request("controlnet-model-path", reason));
        }
        let control_nets = match paths.is_empty() {
            true => names.iter().map(|kind| kind.name().to_owned()).collect(),
            false => paths.clone(),
        };
        Ok(FollowedModels { control_nets, pose_guider: None })
    }

    /// What each ControlNet follows.
    fn controls(&self) -> Result<Vec<FollowedControl>> {
        let (kinds, scales) = (&self.controlnet_name, &self.controlnet_conditioning_scale);
        if scales.len() != 1 && scales.len() != kinds.len() {
            let reason = format!(
                "{} numbers for {} ControlNets; give one for all, or one for each",
                scales.len(),
                kinds.len()
            );
            return Err(Error::request("controlnet-conditioning-scale", reason));
        }
        let (start, end) = (self.control_guidance_start, self.control_guidance_end);
        let scales = scales.iter().cycle();
        let control = |(&kind, &scale)| FollowedControl {
            kind,
            scale,
            interval: ControlInterval { start, end },
            guess_mode: self.guess_mode,
        };
        Ok(kinds.iter().zip(scales).map(control).collect())
    }
}

/// The videos of `tasks`, checked as far as they can be without weights. Of `model` it counts which
/// networks it has.
pub(crate) fn videos(
    args: &Video2videoArgs,
    (settings, model): (&ModelSettings, &ModelFiles),
    tasks: Vec<Task>,
) -> anyhow::Result<Vec<TaskVideo>> {
    args.pictures.check(model)?;
    let length = Length::Shot(args.motion.time_size as usize);
    let mut defaults = common::defaults(args.common(), settings, length)?;
    let scheduler = &mut defaults.video.shot.sampling.scheduler;
    if args.serial.enable_zero_snr && *scheduler != SchedulerKind::Lcm {
        *scheduler = SchedulerKind::Ddim;
    }
    let (mut all, mut read) = (Vec::new(), Read::new());
    for mut task in tasks {
        // The original takes places of condition pictures, and does nothing with them.
        task.images.condition_images_index = None;
        let condition = tasks::condition_images(&task, &args.input);
        let chosen = args.pictures.chosen(&task, condition, model);
        let mut prepare = || {
            let pictures = args.pictures.read(&chosen, condition, (model, &defaults.video))?;
            let frames = source_frames(args, &task, &mut read)?;
            let defaults = sized_like(&defaults, &frames, condition);
            let prepared = defaults.prepare(&task, pictures)?.into_iter();
            let source = source(args, &task, frames)?;
            let with_source = |base| {
                let video = video(args, base, source.clone());
                video.check().map(|()| video)
            };
            prepared.map(with_source).collect::<Result<Vec<_>>>()
        };
        let videos = match &args.input.tasks {
            Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
            None => prepare()?,
        };
        for video in videos {
            for repeat in 0..args.output.n_repeat {
                let mut video = video.clone();
                video.base.shot.sampling.seed = tasks::seed(args.sampling.seed, repeat);
                all.push(TaskVideo { task: task.clone(), chosen: chosen.clone(), video });
            }
        }
    }
    Ok(all)
}

/// The frames of a task's video, read once.
fn source_frames(args: &Video2videoArgs, task: &Task, read: &mut Read) -> Result<Arc<Vec<Frame>>> {
    let path = args.source.video.as_ref().or(task.video.video_path.as_ref()).ok_or_else(|| {
        Error::request("video_path", "the task has none; it names the video to transform")
    })?;
    if let Some(frames) = read.get(path) {
        return Ok(frames.clone());
    }
    let frames = Arc::new(musev::read_video(path, WHITE)?.frames);
    read.insert(path.clone(), frames.clone());
    Ok(frames)
}

/// `defaults` with the size of the video's `frames` where nothing else says one.
fn sized_like(defaults: &TaskDefaults, frames: &[Frame], condition: &[PathBuf]) -> TaskDefaults {
    let mut defaults = defaults.clone();
    if let (true, Some(frame)) = (condition.is_empty(), frames.first()) {
        defaults.width = defaults.width.or(Some(frame.width));
        defaults.height = defaults.height.or(Some(frame.height));
    }
    defaults
}

fn source(args: &Video2videoArgs, task: &Task, frames: Arc<Vec<Frame>>) -> Result<SourceVideo> {
    let options = &args.source;
    let poses = args.followed.pose_guider_model_path.is_some();
    Ok(SourceVideo {
        frames,
        sample_rate: options.sample_rate as usize,
        is_middle: task.video.video_is_middle.unwrap_or(options.video_is_middle),
        has_condition: task.video.video_has_condition.unwrap_or(!options.no_video_has_condition),
        need_video2video: options.need_video2video || options.which2video == Which::Video,
        controls: if poses { Vec::new() } else { args.followed.controls()? },
        pose: args.followed.controlnet_name.first().copied().filter(|_| poses),
    })
}

fn video(args: &Video2videoArgs, base: musev::Text2Video, source: SourceVideo) -> Video2Video {
    Video2Video {
        base,
        source,
        serial: SerialDenoise {
            latents: args.serial.record_mid_video_latents,
            noises: args.serial.record_mid_video_noises,
            overlap: args.serial.video_overlap as usize,
        },
        need_return_videos: args.shown.need_return_videos,
        need_return_condition: args.shown.need_return_condition,
    }
}

/// A video made with `model`.
pub(crate) fn job(
    (args, settings): (&Video2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &ModelFiles,
) -> Result<Job> {
    let mut file = OutputFile::new(
        &args.output,
        &video.task.name,
        || output_name((args, settings), video, model),
        video.video.grid_size(args.shown.n_cols as usize),
        video.video.summary(&model.name),
    )?;
    // Every part of the grid has words of its own.
    file.write_info = false;
    Ok(Job { video: video.video.clone(), file })
}

fn output_name(
    (args, settings): (&Video2videoArgs, &ModelSettings),
    video: &TaskVideo,
    model: &ModelFiles,
) -> String {
    let TaskVideo { task, chosen, video } = video;
    let negative = args.input.video_negative_prompt.as_ref().unwrap_or(&settings.negative_prompt);
    let shot = &video.base.shot;
    let names = args.followed.controlnet_name.iter().map(|kind| kind.name());
    TransformedName {
        kind: match args.source.which2video {
            Which::Video => "v2v",
            Which::VideoMiddle => "vm2v",
        },
        model: (&model.name, model.reference_net()),
        case: &task.name,
        size: (shot.size.width, shot.size.height),
        time_size: shot.frames,
        n_batch: video.base.shots,
        steps: shot.sampling.steps,
        noise: (task.img_weight.unwrap_or(settings.img_weight), shot.sampling.noise.w_ind_noise),
        seed: shot.sampling.seed,
        controlnet: &names.collect::<Vec<_>>().join(","),
        first_frame: (args.compatibility.strength, settings.guidance_scale),
        video: (args.compatibility.video_strength, settings.video_guidance_scale),
        prompts: (&shot.prompt.positive, task.video_negative_prompt.as_ref().unwrap_or(negative)),
        pictures: OutputPictures {
            reference: &chosen.reference,
            face: &chosen.face,
            ..OutputPictures::default()
        },
    }
    .stem()
}
