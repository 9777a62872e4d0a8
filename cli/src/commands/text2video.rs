//! `musev text2video`: from a picture or a prompt to videos.

mod options;

use musev::{
    MemoryPlan, ModelFiles, ModelSettings, OutputName, OutputPictures, Pipeline, Result, Task,
    TaskDefaults, TaskPictures, Text2Video, Video,
};

use crate::commands::common::Common;
use crate::commands::make::{MakesVideos, TaskVideo};
use crate::commands::output_file::OutputFile;
use crate::commands::{common, models, tasks};
use crate::progress::{Progress, Steps};
pub(crate) use options::Text2videoArgs;

impl MakesVideos for Text2videoArgs {
    type Request = Text2Video;
    type Read = ();

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

    fn defaults(&self, settings: &ModelSettings) -> anyhow::Result<TaskDefaults> {
        let length = self.length.at(settings.fps, self.motion.time_size)?;
        common::defaults(self.common(), settings, length)
    }

    fn requests(
        &self,
        task: &Task,
        pictures: TaskPictures,
        defaults: &TaskDefaults,
        (): &mut (),
    ) -> Result<Vec<Text2Video>> {
        defaults.prepare(task, pictures)
    }

    fn base(request: &Text2Video) -> &Text2Video {
        request
    }

    fn base_mut(request: &mut Text2Video) -> &mut Text2Video {
        request
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

    fn length(request: &Text2Video) -> (Steps, usize) {
        let steps =
            Steps { first_frame: request.first_frame_steps(), video: request.shot.sampling.steps };
        (steps, request.shots)
    }

    async fn make(
        &self,
        request: &Text2Video,
        _: &str,
        pipeline: &Pipeline,
        progress: &mut Progress,
    ) -> Result<Video> {
        pipeline.text2video(request, progress).await
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
