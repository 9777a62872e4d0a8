//! The same through the whole of musev: a model that is opened by its folder or file, LoRAs laid over
//! it, and the first frame of a video as the picture.

use std::ops::ControlFlow;

use burn::tensor::{FloatDType, Tensor};
use musev::{
    Error, Event, FirstFrame, Length, LoraChoice, Mode, ModelFiles, ModelSettings, ModelSpec,
    OpenDevice, Pipeline, Request, TaskDefaults, Text2Video, Unwatched,
};

use crate::common;
use crate::model::motion;
use crate::record::{Run, assert_close, golden, latents, runs};

pub(crate) fn base() -> ModelSpec {
    ModelSpec::whole(&golden("base")).unwrap()
}

fn device() -> OpenDevice {
    let device = common::device();
    OpenDevice { device, description: "under test".to_owned(), dtype: FloatDType::F32 }
}

/// A video whose first frame is that of `run`.
fn video(run: &Run) -> Text2Video {
    let request = run.request();
    let defaults = TaskDefaults::of(&ModelSettings::default(), Length::Shot(2)).unwrap();
    Text2Video {
        first_frame: FirstFrame {
            negative: request.prompt.negative.clone(),
            steps: request.sampling.steps,
            guidance_scale: run.guidance().scale,
            ..FirstFrame::default()
        },
        shot: Request { frames: 2, mode: Mode::Video, ..request },
        ..defaults.video
    }
}

/// The latents of the first frame that `files` make for `run`; the video is left there.
pub(crate) fn first_frame(files: &ModelFiles, run: &Run) -> Tensor<5> {
    let pipeline = Pipeline::open(files, &motion(), &device(), &mut Unwatched).unwrap();
    let mut made = None;
    let mut watch = |event: Event<'_>| match event {
        Event::Step { index, of, latents } if index + 1 == of => {
            made = Some(latents.clone());
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    let ended = pollster::block_on(pipeline.text2video(&video(run), &mut watch));
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    made.unwrap()
}

#[test]
fn a_folder_of_diffusers_is_a_model() {
    let files = ModelFiles::open(&base()).unwrap();
    for run in runs("ddim").into_iter().take(1).chain(runs("lcm")) {
        assert_close(first_frame(&files, &run), latents(&run.name), &run.name);
    }
}

#[test]
fn loras_of_every_spelling_do_the_same() {
    for run in runs("lora") {
        let (spelling, strength) = run.lora.clone().unwrap();
        let path = golden(&format!("lora_{spelling}.safetensors"));
        let choice = LoraChoice { strength, ..LoraChoice::from(path) };
        let files = ModelFiles::open(&base()).unwrap().with_loras(&[choice], &[]).unwrap();
        assert_close(first_frame(&files, &run), latents(&run.name), &run.name);
    }
}
