//! `musev video2video`: from videos to videos.

mod followed;
mod options;
mod source;

use anyhow::Context;
use musev::{
    Length, MemoryPlan, ModelFiles, ModelSettings, OpenDevice, OutputPictures, Pipeline, Result,
    SchedulerKind, Task, Transformed, TransformedName, Video, Video2Video,
};
use serde_json::json;

use crate::commands::common::Common;
use crate::commands::make::{Job, MakesVideos, TaskVideo};
use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, tasks};
use crate::progress::{Progress, Steps};
pub(crate) use options::Video2videoArgs;
use options::Which;
use source::{SourceVideos, sized_like};

impl MakesVideos for Video2videoArgs {
    type Request = Video2Video;

    fn common(&self) -> Common<'_> {
        Common {
            input: &self.input,
            output: &self.output,
            model: &self.model,
            pictures: &self.pictures,
            sampling: &self.sampling,
            first_frame: &self.first_frame,
            motion: &self.motion,
            windows: &self.windows,
            device: &self.device,
        }
    }

    fn tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = tasks::tasks(&self.input, self.source.video.as_deref())?;
        for task in &mut tasks {
            // The original takes places of condition pictures, and does nothing with them.
            task.images.condition_images_index = None;
        }
        Ok(tasks)
    }

    fn models(&self) -> Result<Vec<ModelFiles>> {
        let followed = self.followed.models()?;
        let models = models::following(&self.model, &self.conditioners, &followed)?;
        Ok(match self.serial.enable_zero_snr {
            true => models.into_iter().map(ModelFiles::with_zero_snr).collect(),
            false => models,
        })
    }

    fn videos(
        &self,
        (settings, model): (&ModelSettings, &ModelFiles),
        tasks: Vec<Task>,
    ) -> anyhow::Result<Vec<TaskVideo<Video2Video>>> {
        self.pictures.check(model)?;
        let length = Length::Shot(self.motion.time_size as usize);
        let mut defaults = common::defaults(self.common(), settings, length)?;
        let scheduler = &mut defaults.video.shot.sampling.scheduler;
        if self.serial.enable_zero_snr && *scheduler != SchedulerKind::Lcm {
            *scheduler = SchedulerKind::Ddim;
        }
        let (mut all, mut sources) = (Vec::new(), SourceVideos::default());
        for task in tasks {
            let condition = tasks::condition_images(&task, &self.input);
            let chosen = self.pictures.chosen(&task, condition, model);
            let mut prepare = || {
                let pictures = self.pictures.read(&chosen, condition, (model, &defaults.video))?;
                let frames = sources.frames(self, &task)?;
                let defaults = sized_like(&defaults, &frames, condition);
                let prepared = defaults.prepare(&task, pictures)?.into_iter();
                let source = self.source(&task, frames)?;
                let with_source = |base| {
                    let video = self.video(base, source.clone());
                    video.check().map(|()| video)
                };
                prepared.map(with_source).collect::<Result<Vec<_>>>()
            };
            let videos = match &self.input.tasks {
                Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
                None => prepare()?,
            };
            all.extend(TaskVideo::repeated(self.common(), (&task, &chosen), videos, |video| {
                &mut video.base.shot.sampling.seed
            }));
        }
        Ok(all)
    }

    fn file(
        &self,
        settings: &ModelSettings,
        video: &TaskVideo<Video2Video>,
        model: &ModelFiles,
    ) -> Result<OutputFile> {
        let mut file = OutputFile::new(
            &self.output,
            &video.task.name,
            || self.output_name(settings, video, model),
            video.request.grid_size(self.shown.n_cols as usize),
            video.request.summary(&model.name),
        )?;
        // Every part of the grid has words of its own.
        file.write_info = false;
        Ok(file)
    }

    fn plan(model: &ModelFiles, request: &Video2Video, number_bytes: usize) -> Result<MemoryPlan> {
        model.video2video_memory_plan(request, number_bytes)
    }

    async fn make(
        &self,
        job: &Job<Video2Video>,
        (pipeline, device): (&Pipeline, &OpenDevice),
        progress: &mut Progress,
    ) -> anyhow::Result<Video> {
        let (video, file) = (&job.request, &job.file);
        let base = &video.base;
        let (width, height) = (base.shot.size.width, base.shot.size.height);
        let (seed, shots) = (base.shot.sampling.seed, video.chunk_count());
        let steps = Steps { first_frame: base.first_frame.steps, video: video.steps() };
        progress.begin(steps, &device.description);
        let device_name = &device.description;
        progress.say(&format!("{}: {width} x {height}, seed {seed}, {device_name}", file.name));
        let followed = self.followed.controlnet_name.iter().map(|kind| kind.name());
        progress.tell(&json!({
            "event": "start", "task": file.name, "path": file.path.display().to_string(),
            "width": width, "height": height, "seed": seed, "steps": steps.video, "shots": shots,
            "fps": base.fps, "controlnet": followed.collect::<Vec<_>>(), "device": device_name,
            "dtype": format!("{:?}", device.dtype).to_lowercase(),
        }));
        let mut made = pipeline.video2video(video, progress).await?;
        progress.end();
        if self.output.write_info {
            self.label(&mut made, &file.name);
        }
        Ok(made.grid(self.shown.n_cols as usize)?)
    }
}

impl Video2videoArgs {
    /// Writes onto each part of the grid what it is.
    fn label(&self, made: &mut Transformed, name: &str) {
        if let Some(source) = &mut made.source {
            musev::write_info(source, "videos");
        }
        musev::write_info(&mut made.video, name);
        for (maps, kind) in made.controls.iter_mut().zip(&self.followed.controlnet_name) {
            musev::write_info(maps, kind.name());
        }
    }

    fn output_name(
        &self,
        settings: &ModelSettings,
        video: &TaskVideo<Video2Video>,
        model: &ModelFiles,
    ) -> String {
        let TaskVideo { task, chosen, request: video } = video;
        let negative =
            self.input.video_negative_prompt.as_ref().unwrap_or(&settings.negative_prompt);
        let shot = &video.base.shot;
        let names = self.followed.controlnet_name.iter().map(|kind| kind.name());
        let img_weight = task.img_weight.unwrap_or(settings.img_weight);
        TransformedName {
            kind: match self.source.which2video {
                Which::Video => "v2v",
                Which::VideoMiddle => "vm2v",
            },
            model: (&model.name, model.reference_net()),
            case: &task.name,
            size: (shot.size.width, shot.size.height),
            time_size: shot.frames,
            n_batch: video.base.shots,
            steps: shot.sampling.steps,
            noise: (img_weight, shot.sampling.noise.w_ind_noise),
            seed: shot.sampling.seed,
            controlnet: &names.collect::<Vec<_>>().join(","),
            first_frame: (self.compatibility.strength, settings.guidance_scale),
            video: (self.compatibility.video_strength, settings.video_guidance_scale),
            prompts: (
                &shot.prompt.positive,
                task.video_negative_prompt.as_ref().unwrap_or(negative),
            ),
            pictures: OutputPictures {
                reference: &chosen.reference,
                face: &chosen.face,
                ..OutputPictures::default()
            },
        }
        .stem()
    }
}
