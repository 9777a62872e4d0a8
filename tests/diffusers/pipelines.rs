//! Text to image, ControlNet and image to image, with every sampler.

use burn::tensor::Tensor;
use musev::{
    ConditionFrames, Control, ControlInterval, Device, Prompt, Request, Unwatched, read_frame,
};

use crate::model::{denoised, engine, text_encoder};
use crate::record::{assert_close, golden, latents, recorded, runs};

#[test]
fn a_prompt_is_read_alike() {
    let prompt = Prompt { positive: "a red cat, sitting".to_owned(), negative: String::new() };
    let text = text_encoder();
    let (prompts, cpu) = ([(&prompt, false)], Device::flex());
    let states = pollster::block_on(text.encode(&prompts, &cpu, &mut Unwatched)).unwrap().remove(0);
    let wanted = recorded::<3>("prompt_embeds").into_data();
    assert_close(states, Tensor::from_data(wanted, &Device::flex()), "prompt");
}

#[test]
fn words_become_the_same_latents_with_every_sampler() {
    for prefix in ["dd", "euler", "dpm", "without_guidance", "lcm"] {
        for run in runs(prefix) {
            let got = denoised(&engine(&run, false), &run.request());
            assert_close(got, latents(&run.name), &run.name);
        }
    }
}

#[test]
fn a_control_net_is_followed_alike() {
    let frames = vec![read_frame(&golden("control.png")).unwrap()];
    for run in runs("control") {
        let control = Control {
            scale: run.controlnet_conditioning_scale.unwrap_or(1.0),
            interval: ControlInterval {
                start: run.control_guidance_start.unwrap_or(0.0),
                end: run.control_guidance_end.unwrap_or(1.0),
            },
            guess_mode: run.guess_mode,
            ..Control::new(frames.clone())
        };
        let request = Request { controls: vec![control], ..run.request() };
        let got = denoised(&engine(&run, true), &request);
        assert_close(got, latents(&run.name), &run.name);
    }
}

#[test]
fn a_picture_is_changed_by_the_same_strength() {
    let picture = vec![read_frame(&golden("picture.png")).unwrap()];
    for run in runs("image") {
        let engine = engine(&run, false);
        for source in [
            ConditionFrames::Pictures(picture.clone()),
            ConditionFrames::Latents(latents("clean_latents")),
        ] {
            let request = Request { source: Some(source), ..run.request() };
            assert_close(denoised(&engine, &request), latents(&run.name), &run.name);
        }
    }
}
