//! `musev text2video`: from a picture or a prompt to videos.

mod options;

use anyhow::Context;
use musev::{
    MemoryPlan, ModelFiles, ModelSettings, OpenDevice, OutputName, OutputPictures, Pipeline,
    Result, Task, Text2Video, Video,
};
use serde_json::json;

use crate::commands::common::Common;
use crate::commands::make::{Job, MakesVideos, TaskVideo};
use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, tasks};
use crate::progress::{Progress, Steps};
pub(crate) use options::Text2videoArgs;

impl MakesVideos for Text2videoArgs {
    type Request = Text2Video;

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
        tasks::tasks(&self.input, None)
    }

    fn models(&self) -> Result<Vec<ModelFiles>> {
        models::models(&self.model, &self.conditioners)
    }

    fn videos(
        &self,
        (settings, model): (&ModelSettings, &ModelFiles),
        tasks: Vec<Task>,
    ) -> anyhow::Result<Vec<TaskVideo<Text2Video>>> {
        self.pictures.check(model)?;
        let length = self.length.at(settings.fps, self.motion.time_size)?;
        let defaults = common::defaults(self.common(), settings, length)?;
        let mut all = Vec::new();
        for task in tasks {
            let condition = tasks::condition_images(&task, &self.input);
            let chosen = self.pictures.chosen(&task, condition, model);
            let with = (model, &defaults.video);
            let prepare = || defaults.prepare(&task, self.pictures.read(&chosen, condition, with)?);
            let videos = match &self.input.tasks {
                Some(_) => prepare().with_context(|| format!("task `{}`", task.name))?,
                None => prepare()?,
            };
            all.extend(TaskVideo::repeated(self.common(), (&task, &chosen), videos, |video| {
                &mut video.shot.sampling.seed
            }));
        }
        Ok(all)
    }

    fn file(
        &self,
        settings: &ModelSettings,
        video: &TaskVideo<Text2Video>,
        model: &ModelFiles,
    ) -> Result<OutputFile> {
        let size = video.request.shot.size;
        OutputFile::new(
            &self.output,
            &video.task.name,
            || self.output_name(settings, video, model),
            (size.width, size.height),
            video.request.summary(&model.name),
        )
    }

    fn plan(model: &ModelFiles, request: &Text2Video, number_bytes: usize) -> Result<MemoryPlan> {
        model.memory_plan(request, number_bytes)
    }

    async fn make(
        &self,
        job: &Job<Text2Video>,
        (pipeline, device): (&Pipeline, &OpenDevice),
        progress: &mut Progress,
    ) -> anyhow::Result<Video> {
        let (video, file) = (&job.request, &job.file);
        let shot = &video.shot;
        let (width, height, seed) = (shot.size.width, shot.size.height, shot.sampling.seed);
        let steps = Steps { first_frame: video.first_frame_steps(), video: shot.sampling.steps };
        progress.begin(steps, &device.description);
        let device_name = &device.description;
        progress.say(&format!("{}: {width} x {height}, seed {seed}, {device_name}", file.name));
        progress.tell(&json!({
            "event": "start", "task": file.name, "path": file.path.display().to_string(),
            "width": width, "height": height, "seed": seed, "steps": steps.video,
            "shots": video.shots, "fps": video.fps, "device": device_name,
            "dtype": format!("{:?}", device.dtype).to_lowercase(),
        }));
        let video = pipeline.text2video(video, progress).await?;
        progress.end();
        Ok(video)
    }
}

impl Text2videoArgs {
    fn output_name(
        &self,
        settings: &ModelSettings,
        video: &TaskVideo<Text2Video>,
        model: &ModelFiles,
    ) -> String {
        let TaskVideo { task, chosen, request: video } = video;
        let negative =
            self.input.video_negative_prompt.as_ref().unwrap_or(&settings.negative_prompt);
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
            strength: self.compatibility.strength,
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
}
