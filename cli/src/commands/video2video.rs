//! `musev video2video`: from videos to videos.

mod followed;
mod options;
mod source;

use musev::{
    Length, MemoryPlan, ModelFiles, ModelSettings, OutputPictures, Pipeline, Result, SchedulerKind,
    Task, TaskDefaults, TaskPictures, Text2Video, Transformed, TransformedName, Video, Video2Video,
};

use crate::commands::common::Common;
use crate::commands::make::{MakesVideos, TaskVideo};
use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, tasks};
use crate::progress::{Progress, Steps};
pub(crate) use options::Video2videoArgs;
use options::Which;
use source::SourceVideos;

impl MakesVideos for Video2videoArgs {
    type Request = Video2Video;
    type Read = SourceVideos;

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

    fn defaults(&self, settings: &ModelSettings) -> anyhow::Result<TaskDefaults> {
        let length = Length::Shot(self.motion.time_size as usize);
        let mut defaults = common::defaults(self.common(), settings, length)?;
        let scheduler = &mut defaults.video.shot.sampling.scheduler;
        if self.serial.enable_zero_snr && *scheduler != SchedulerKind::Lcm {
            *scheduler = SchedulerKind::Ddim;
        }
        Ok(defaults)
    }

    fn requests(
        &self,
        task: &Task,
        pictures: TaskPictures,
        defaults: &TaskDefaults,
        read: &mut SourceVideos,
    ) -> Result<Vec<Video2Video>> {
        let frames = read.frames(self, task)?;
        let mut defaults = defaults.clone();
        if let (true, Some(frame)) = (pictures.condition.is_empty(), frames.first()) {
            defaults.width = defaults.width.or(Some(frame.width));
            defaults.height = defaults.height.or(Some(frame.height));
        }
        let bases = defaults.prepare(task, pictures)?.into_iter();
        let source = self.source(task, frames)?;
        let with_source = |base| {
            let video = self.video(base, source.clone());
            video.check().map(|()| video)
        };
        bases.map(with_source).collect()
    }

    fn base(request: &Video2Video) -> &Text2Video {
        &request.base
    }

    fn base_mut(request: &mut Video2Video) -> &mut Text2Video {
        &mut request.base
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

    fn length(request: &Video2Video) -> (Steps, usize) {
        let first_frame = request.first_frame_steps();
        (Steps { first_frame, video: request.steps() }, request.chunk_count())
    }

    fn followed(&self) -> Vec<&'static str> {
        self.followed.controlnet_name.iter().map(|kind| kind.name()).collect()
    }

    async fn make(
        &self,
        request: &Video2Video,
        name: &str,
        pipeline: &Pipeline,
        progress: &mut Progress,
    ) -> Result<Video> {
        let mut made = pipeline.video2video(request, progress).await?;
        if self.output.write_info {
            self.label(&mut made, name);
        }
        made.grid(self.shown.n_cols as usize)
    }
}

impl Video2videoArgs {
    /// Writes onto each part of the grid what it is.
    fn label(&self, made: &mut Transformed, name: &str) {
        if let Some(source) = &mut made.source {
            musev::write_info(source, "videos");
        }
        musev::write_info(&mut made.video, name);
        for (maps, kind) in made.controls.iter_mut().zip(self.followed()) {
            musev::write_info(maps, kind);
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
            controlnet: &self.followed().join(","),
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
