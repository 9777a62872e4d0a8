//! The model that is inside musev: what a stranger's first command runs.

use std::path::Path;

use musev::media::{Filter, crop_resize};
use musev::{Frame, ModelFiles, read_frame, read_video};

use super::sandbox::Sandbox;
use super::videos::{named, photograph};

#[test]
fn a_picture_and_a_prompt_are_enough() {
    let sandbox = Sandbox::new();
    let image = photograph();
    let words = ["text2video", "--image", &image, "--prompt", "waving hand", "--device", "cpu"];
    let chosen = ["--seed", "3", "--steps", "2", "--json"];
    let mut videos = Vec::new();
    for model in [&[][..], &["--model", "mini"]] {
        let events = sandbox.events(&[&words, model, &chosen, &["-o", "out/a.gif"]].concat());
        let start = named(&events, "start")[0];
        assert_eq!((&start["width"], &start["height"]), (&128.into(), &128.into()));
        assert_eq!(start["fps"], 12.0);
        assert_eq!(named(&events, "done")[0]["frames"], 13);
        videos.push(std::fs::read(sandbox.path("out/a.gif")).expect("it was written"));
    }
    assert!(videos[0] == videos[1], "`--model mini` is not the default");
}

/// Mean squared difference of pictures of one size, in grey levels.
fn squared_difference(a: &Frame, b: &Frame) -> f64 {
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.data.iter().zip(&b.data).map(square).sum::<f64>() / a.data.len() as f64
}

#[test]
fn a_drawn_face_moves_and_stays_itself() {
    let sandbox = Sandbox::new();
    let sticker = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/tasks/images/sticker.png");
    let words = ["text2video", "--image", sticker, "--prompt", "a grinning face, nodding"];
    sandbox
        .succeed(&[&words[..], &["--seed", "1", "--device", "cpu", "-o", "out/a.webp"]].concat());
    let frames = read_video(&sandbox.path("out/a.webp"), [255; 3]).expect("it was written").frames;
    let drawn = read_frame(Path::new(sticker)).expect("it is part of the project");
    let drawn = crop_resize(&drawn, frames[0].width, frames[0].height, Filter::Lanczos);
    let distances: Vec<f64> =
        frames.iter().map(|frame| squared_difference(frame, &drawn).sqrt()).collect();
    // Another face, or the same of another colour, is farther than 60 grey levels.
    assert!(distances.iter().all(|&distance| distance < 40.0), "{distances:?}");
    let motion = frames.windows(2).map(|pair| squared_difference(&pair[0], &pair[1]).sqrt());
    assert!(motion.clone().all(|change| change > 0.5), "{:?}", motion.collect::<Vec<_>>());
}

#[test]
fn its_settings_are_those_that_the_help_tells() {
    let settings = ModelFiles::mini().expect("it is part of the program").settings;
    let help = Sandbox::new().succeed(&["text2video", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, value) in [
        ("--steps", settings.steps.to_string()),
        ("--scheduler", settings.scheduler.to_string()),
        ("--fps", settings.fps.to_string()),
        ("--num-inference-steps", settings.num_inference_steps.to_string()),
        ("--guidance-scale", settings.guidance_scale.to_string()),
        ("--video-guidance-scale", settings.video_guidance_scale.to_string()),
        ("--image-guidance-scale", settings.image_guidance_scale.to_string()),
        (
            "--image-guidance-scale-end",
            settings.image_guidance_scale_end.expect("it has an end of its own").to_string(),
        ),
        ("--motion-guidance-scale", settings.motion_guidance_scale.to_string()),
        ("--img-weight", settings.img_weight.to_string()),
        ("--s-noise", settings.s_noise.to_string()),
        ("--w-ind-noise", settings.w_ind_noise.to_string()),
        ("--width", settings.width.expect("it has a size of its own").to_string()),
        ("--height", settings.height.expect("it has a size of its own").to_string()),
        ("--negative-prompt", "none".to_owned()),
    ] {
        let at = help.find(&format!(" {option} <")).expect("the option is there");
        let told = &help[at + help[at..].find("; mini: ").expect("its value is told")..];
        assert!(told.starts_with(&format!("; mini: {value}]")), "{option} is not {value}");
    }
    assert_eq!(settings.negative_prompt, "");
}

#[test]
fn a_prompt_alone_makes_its_own_first_frame() {
    let sandbox = Sandbox::new();
    let words = ["text2video", "--prompt", "a grinning face", "--frames", "5", "--device", "cpu"];
    let few = ["--steps", "1", "--num-inference-steps", "1", "--json", "-o", "out/a.png"];
    let events = sandbox.events(&[&words[..], &few].concat());
    assert_eq!(named(&events, "done")[0]["frames"], 5);
    assert_eq!(sandbox.list("out/a").len(), 5);
}
