//! Mistakes that need no model to be found.

use std::fs;

use super::sandbox::Sandbox;

/// `musev text2video --image picture.png -o out/a.mp4` and `words`.
fn animate(words: &[&'static str]) -> Vec<&'static str> {
    let mut all = vec!["text2video", "--image", "picture.png", "-o", "out/a.mp4"];
    all.extend(words);
    all
}

#[test]
fn values_that_cannot_work_are_refused() {
    let sandbox = Sandbox::new();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--frames", "0"], &["--frames", "1..=100000"]),
        (&["--frames", "-3"], &["--frames", "-3"]),
        (&["--frames", "1000000000"], &["--frames", "100000"]),
        (&["--frames", "many"], &["--frames", "many"]),
        (&["--frames", "1"], &["frames", "at least 2"]),
        (&["--seconds", "0"], &["--seconds", "above 0"]),
        (&["--seconds", "NaN"], &["--seconds", "above 0"]),
        (&["--seconds", "0.01"], &["seconds", "less than a frame"]),
        (&["--seconds", "1e300"], &["frames", "100000"]),
        (&["--frames", "8", "--time-size", "8"], &["--frames", "--time-size"]),
        (&["--time-size", "0"], &["--time-size", "0"]),
        (&["--n-batch", "0"], &["--n-batch", "0"]),
        (
            &["--n-batch", "2", "--time-size", "2", "--n-vision-condition", "3"],
            &["n-vision-condition", "time-size"],
        ),
        (&["--width", "0"], &["width", "64"]),
        (&["--height", "7"], &["height", "7", "64"]),
        (&["--width", "100000"], &["width", "8192"]),
        (&["--width", "-64"], &["--width", "-64"]),
        (&["--img-length-ratio", "0.4"], &["width", "128 times 0.4"]),
        (&["--img-length-ratio", "-1"], &["--img-length-ratio", "above 0"]),
        (&["--steps", "0"], &["--steps", "1..=1000"]),
        (&["--video_num_inference_steps", "5000"], &["--steps", "5000"]),
        (&["--video-guidance-scale", "NaN"], &["--video-guidance-scale", "a number"]),
        (&["--video-guidance-scale-method", "cubic"], &["--video-guidance-scale-method", "linear"]),
        (&["--context-frames", "4", "--context-overlap", "4"], &["context-overlap", "at most 3"]),
        (&["--context-frames", "0"], &["context-frames", "0"]),
        (&["--context-batch-size", "0"], &["context-batch-size", "0"]),
        (&["--context-schedule", "spiral"], &["--context-schedule", "uniform_v2"]),
        (&["--redraw-strength", "0"], &["--redraw-strength", "above 0"]),
        (&["--redraw-strength", "1.5"], &["--redraw-strength", "up to 1"]),
        (
            &["--redraw-condition-image", "--redraw-strength", "0.02", "--frames", "4"],
            &["redraw-strength", "0.02 of 20 steps is none"],
        ),
        (&["--scheduler", "lcm", "--steps", "60"], &["steps", "60 is not in 1..=50"]),
        (&["--seed", "-1"], &["--seed", "-1"]),
        (&["--seed", "tomorrow"], &["--seed", "tomorrow"]),
        (&["--rng", "dice"], &["--rng", "torch-cpu"]),
        (&["--noise-type", "pink"], &["--noise-type", "video_fusion"]),
        (&["--w-ind-noise", "1.5"], &["--w-ind-noise", "between 0 and 1"]),
        (&["--s-noise", "-1"], &["--s-noise", "0 or more"]),
        (&["--img-weight", "-0.1"], &["--img-weight", "between 0 and 1"]),
        (&["--fps", "0"], &["--fps", "0.01"]),
        (&["--n-repeat", "0"], &["--n-repeat", "0"]),
        (&["--device", "abacus"], &["--device", "abacus", "auto"]),
        (&["--device", "cuda:x"], &["--device", "cuda:NUMBER"]),
        (&["--dtype", "f8"], &["--dtype", "f8", "f16"]),
        (&["--log-level", "loud"], &["--log-level", "loud"]),
        (&["--negative-prompt", "V9"], &["V9", "V2"]),
        (&["--negprompt-cfg-path", "nowhere.yaml"], &["nowhere.yaml"]),
        (&["--no-such-option"], &["--no-such-option"]),
        (&["--target-datas", "a"], &["--target-datas", "--image"]),
        (&["--tasks", "tasks.yaml"], &["--tasks", "--image"]),
    ];
    for (words, needles) in cases {
        sandbox.refuses(&animate(words), needles);
    }
}

#[test]
fn something_to_show_is_needed() {
    Sandbox::new().refuses(&["text2video", "-o", "out/a.mp4"], &["--prompt"]);
}

#[test]
fn pictures_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    let png = fs::read(sandbox.path("picture.png")).expect("the sandbox has a picture");
    sandbox.write("half.png", &png[..png.len() / 2]);
    sandbox.write("header.png", &png[..20]);
    sandbox.write("text.png", "this is no picture");
    sandbox.write("empty.jpg", "");
    let cases: &[(&str, &[&str])] = &[
        ("nowhere.png", &["nowhere.png", "No such file"]),
        ("out", &["out", "folder"]),
        ("text.png", &["text.png", "PNG, JPEG"]),
        ("half.png", &["half.png", "no whole png"]),
        ("header.png", &["header.png", "no whole png"]),
        ("empty.jpg", &["empty.jpg", "empty"]),
    ];
    for (picture, needles) in cases {
        sandbox.refuses(&["text2video", "--image", picture, "-o", "out/a.mp4"], needles);
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused_early() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder.mp4")).expect("the folder is new");
    sandbox.write("file", "not a folder");
    let cases: &[(&str, &[&str])] = &[
        ("out/a.avi", &["out/a.avi", ".avi", ".mp4"]),
        ("out/a", &["out/a", "extension"]),
        ("nowhere/a.mp4", &["nowhere/a.mp4"]),
        ("folder.mp4", &["folder.mp4", "folder"]),
        ("file/a.mp4", &["file/a.mp4"]),
    ];
    for (output, needles) in cases {
        let model = super::bad_models::model();
        let words = [
            "text2video",
            "--image",
            "picture.png",
            "--model",
            model,
            "--device",
            "cpu",
            "-o",
            output,
        ];
        sandbox.refuses(&words, needles);
    }
    let words = ["text2video", "--prompt", "x", "--output-dir", "file", "--model"];
    sandbox.refuses(&[&words[..], &[super::bad_models::model()]].concat(), &["file"]);
}

#[test]
fn task_files_that_cannot_work_are_refused() {
    let sandbox = Sandbox::new();
    let files: &[(&str, &str, &[&str])] = &[
        ("syntax.yaml", "- name: a\n  prompt: [x\n", &["syntax.yaml"]),
        ("tabs.yaml", "- name: a\n\tprompt: x\n", &["tabs.yaml"]),
        ("mapping.yaml", "name: a\nprompt: x\n", &["mapping.yaml", "list"]),
        ("empty.yaml", "", &["empty.yaml"]),
        ("key.yaml", "- {name: a, prompt: x, hight: 64}", &["key.yaml", "hight", "height"]),
        ("prompt.yaml", "- {name: a, condition_images: picture.png}", &["`a`", "prompt"]),
        ("type.yaml", "- {name: a, prompt: x, height: tall}", &["`a`", "height", "tall"]),
        ("negative.yaml", "- {name: a, prompt: x, video_negative_prompt: V9}", &["`a`", "V9"]),
        ("image.yaml", "- {name: a, prompt: x, condition_images: gone.png}", &["`a`", "gone.png"]),
        ("template.yaml", "- {name: a, prompt: '{hair} girl'}", &["`a`", "hair"]),
        ("size.yaml", "- {name: a, prompt: x, width: 32}", &["`a`", "width", "32"]),
        (
            "index.yaml",
            "- {name: a, prompt: x, condition_images: picture.png, condition_images_index: 99}",
            &["`a`", "condition", "99"],
        ),
        ("two.yaml", "- {name: a, prompt: x}\n- {name: b, prompt: z}", &["output", "one file"]),
        ("binary.yaml", "\0\0\0\0", &["binary.yaml"]),
    ];
    let model = super::bad_models::model();
    for (name, content, needles) in files {
        sandbox.write(name, content);
        let words = ["text2video", "-t", name, "-o", "out/a.mp4", "--model", model];
        sandbox.refuses(&words, needles);
    }
    for name in ["nowhere.yaml", "out", "picture.png"] {
        sandbox.refuses(&["text2video", "-t", name, "-o", "out/a.mp4"], &[name]);
    }
}

#[test]
fn a_name_that_no_task_has_is_exit_code_1() {
    let sandbox = Sandbox::new();
    sandbox.write("tasks.yaml", "- {name: a, prompt: x}");
    let words = ["text2video", "-test_data_path", "tasks.yaml", "--target_datas", "b,c"];
    let output = sandbox.run(&words);
    let said = super::sandbox::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("b,c") && said.contains("the file has a"), "{said}");
}

/// Names of videos are made of beginnings, and so may be the same for different pictures.
#[test]
fn two_videos_of_one_name_are_not_written_over_each_other() {
    let sandbox = Sandbox::new();
    for name in ["photo1.png", "photo2.png"] {
        fs::copy(sandbox.path("picture.png"), sandbox.path(name)).expect("the sandbox is writable");
    }
    let task = |name: &str, image: &str| {
        format!("- {{name: {name}, condition_images: {image}, prompt: x}}\n")
    };
    sandbox.write("tasks.yaml", task("same", "photo1.png") + &task("same", "photo2.png"));
    let words =
        ["text2video", "-t", "tasks.yaml", "--seed", "7", "--output-dir", "out", "--device", "cpu"];
    sandbox.refuses(&words, &["output-dir", "`same`", "runs of their own"]);
}

#[test]
fn paths_that_other_commands_cannot_use_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("notes.txt", "no weights");
    let cases: &[(&[&str], &[&str])] = &[
        (&["inspect"], &["<PATH>"]),
        (&["inspect", "nowhere"], &["nowhere"]),
        (&["inspect", "notes.txt"], &["notes.txt"]),
        (&["inspect", "out"], &["out"]),
        (&["doctor", "--cases", "nowhere"], &["nowhere"]),
        (&["doctor", "--cases", "out"], &["out", "case"]),
        (&["doctor", "--device", "abacus"], &["--device", "abacus"]),
        (&["bench", "everything"], &["everything"]),
        (&["bench", "unet", "--device", "abacus"], &["--device", "abacus"]),
        (&["paint"], &["paint"]),
    ];
    for (words, needles) in cases {
        sandbox.refuses(words, needles);
    }
}

#[test]
fn devices_that_are_not_there_are_refused() {
    let sandbox = Sandbox::new();
    let model = super::bad_models::model();
    let mut cases: Vec<(&str, &str)> = vec![("wgpu:99", "wgpu:99"), ("wgpu:abacus", "abacus")];
    if !cfg!(feature = "cuda") {
        cases.push(("cuda", "no CUDA"));
    }
    for (device, needle) in cases {
        sandbox.refuses(&animate(&["--model", model, "--device", device]), &[needle]);
    }
}
