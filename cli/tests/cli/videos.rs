//! Videos of the tiny model: its weights are random, its files and events are not.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::bad_models::model;
use super::sandbox::{Sandbox, text};

/// The real picture that the example tasks begin with.
pub(crate) fn photograph() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/tasks/images");
    let names = super::sandbox::list(&folder);
    let jpg = names.iter().find(|name| name.ends_with(".jpg")).expect("a photograph is shipped");
    folder.join(jpg).to_str().expect("the repository has a plain name").to_owned()
}

/// `musev text2video` with the tiny model on the CPU, small and quick, and `words`.
fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    with_steps("1", words)
}

fn with_steps<'a>(steps: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    sized(&[&["--num-inference-steps", "1", "--steps", steps], words].concat())
}

/// A small video with as many steps as `words` say.
fn sized<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "text2video",
        "--model",
        model(),
        "--device",
        "cpu",
        "--width",
        "64",
        "--height",
        "64",
    ];
    all.extend(words);
    all
}

pub(crate) fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_photograph_becomes_40_frames_through_five_windows() {
    let sandbox = Sandbox::new();
    let image = photograph();
    let words = small(&["--image", &image, "--frames", "40", "--seed", "1", "--json"]);
    for file in ["out/a.mp4", "out/a.gif", "out/a.webp"] {
        let events = sandbox.events(&[&words[..], &["-o", file]].concat());
        let windows = named(&events, "window");
        assert_eq!(windows.len(), 5, "{file}");
        assert!(windows.iter().all(|event| event["of"] == 5), "{file}");
        let done = named(&events, "done")[0];
        assert_eq!((&done["frames"], &done["path"]), (&40.into(), &file.into()));
    }
    sandbox.succeed(&[&words[..], &["-o", "out/frames.png"]].concat());
    let frames = sandbox.list("out/frames");
    assert_eq!(frames.len(), 40);
    assert_eq!((frames[0].as_str(), frames[39].as_str()), ("0000.png", "0039.png"));
    assert_eq!(sandbox.list("out"), ["a.gif", "a.mp4", "a.webp", "frames"]);
    let starts = |file: &str, at: usize, magic: &[u8]| {
        fs::read(sandbox.path(file)).expect("it was written")[at..].starts_with(magic)
    };
    assert!(starts("out/a.mp4", 4, b"ftyp"));
    assert!(starts("out/a.gif", 0, b"GIF89a"));
    assert!(starts("out/a.webp", 8, b"WEBP"));
}

/// Slow, and needs a graphics adapter (a software one will do): `MUSEV_SLOW=1 cargo test`.
#[test]
fn the_cpu_and_a_graphics_adapter_make_the_same_video() {
    if std::env::var_os("MUSEV_SLOW").is_none() {
        eprintln!("skipped: set MUSEV_SLOW=1 to compare the devices");
        return;
    }
    let sandbox = Sandbox::new();
    let image = photograph();
    let mut videos = Vec::new();
    for device in ["cpu", "wgpu"] {
        let out = format!("out/{device}.png");
        let words = ["--image", &image, "--frames", "40", "--seed", "1", "-o", &out];
        let mut words = with_steps("2", &words);
        let at = words.iter().position(|word| *word == "cpu").expect("a device is named");
        words[at] = device;
        sandbox.succeed(&words);
        videos.push(frames(&sandbox.path(&format!("out/{device}"))));
    }
    let squares: Vec<f64> = videos[0]
        .iter()
        .zip(&videos[1])
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .collect();
    assert_eq!((squares.len(), videos[1].len()), (40 * 64 * 64 * 3, videos[0].len()));
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / mean.max(f64::MIN_POSITIVE)).log10();
    assert!(psnr >= 45.0, "{psnr:.1} dB");
}

/// The levels of all pictures in `folder`, one after the other.
pub(crate) fn frames(folder: &Path) -> Vec<u8> {
    let read = |name: String| musev::read_frame(&folder.join(name)).expect("it was written").data;
    super::sandbox::list(folder).into_iter().flat_map(read).collect()
}

#[test]
fn events_tell_the_run_in_order() {
    let sandbox = Sandbox::new();
    let words = ["--image", "picture.png", "--frames", "4", "--json", "-o", "out/a.gif"];
    let events = sandbox.events(&with_steps("3", &words));
    let order: Vec<&str> =
        events.iter().map(|event| event["event"].as_str().expect("events are named")).collect();
    let position = |name: &str| order.iter().position(|event| *event == name);
    let positions = ["loaded", "start", "shot", "window", "step", "decoded", "done"].map(position);
    assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{order:?}");
    let steps: Vec<(u64, u64)> = named(&events, "step")
        .iter()
        .map(|step| {
            (step["index"].as_u64().expect("a count"), step["of"].as_u64().expect("a count"))
        })
        .collect();
    assert_eq!(steps, [(0, 3), (1, 3), (2, 3)]);
    let parts: Vec<&Value> = named(&events, "loaded").iter().map(|event| &event["part"]).collect();
    assert_eq!(parts, ["vae", "unet", "text_encoder"]);
}

#[test]
fn a_seed_decides_every_byte() {
    let sandbox = Sandbox::new();
    let make = |seed, file| {
        let words = ["--image", "picture.png", "--frames", "4", "--seed", seed, "-o", file];
        sandbox.succeed(&small(&words));
        fs::read(sandbox.path(file)).expect("it was written")
    };
    let first = make("7", "out/a.webp");
    assert!(first == make("7", "out/b.webp"), "the same seed made another video");
    assert!(first != make("8", "out/c.webp"), "another seed made the same video");
}

#[test]
fn without_a_seed_one_is_taken_and_told() {
    let sandbox = Sandbox::new();
    let words = small(&["--image", "picture.png", "--frames", "2", "-o", "out/a.gif", "--json"]);
    let seeds: Vec<Value> =
        (0..2).map(|_| named(&sandbox.events(&words), "start")[0]["seed"].clone()).collect();
    assert!(seeds.iter().all(|seed| seed.as_u64().expect("a number") <= 100_000_000));
    assert_ne!(seeds[0], seeds[1]);
}

#[test]
fn shots_are_chained_and_counted_as_in_the_original() {
    let sandbox = Sandbox::new();
    let cases: &[(&[&str], u64)] = &[
        // A given picture is a frame more of the first shot.
        (&["--image", "picture.png", "--time_size", "4"], 5),
        (&["--image", "picture.png", "--time_size", "4", "--n_batch", "2"], 9),
        (&["--prompt", "a hill", "--time_size", "4", "--n_batch", "2"], 8),
        (&["--image", "picture.png", "--use_condition_image", "--time_size", "4"], 4),
        (&["--image", "picture.png", "--time_size", "4", "--n_vision_condition", "0"], 4),
        (&["--image", "picture.png", "--time_size", "4", "--redraw_condition_image"], 5),
        (&["--image", "picture.png", "--image", "picture.png", "--frames", "4"], 4),
        (&["--prompt", "a hill", "--seconds", "1", "--fps", "5"], 5),
        (&["--prompt", "a hill", "--frames", "3", "--need_hist_match"], 3),
    ];
    for (words, frames) in cases {
        let words = small(&[words, &["-o", "out/a.gif", "--json"][..]].concat());
        let events = sandbox.events(&words);
        assert_eq!(named(&events, "done")[0]["frames"], *frames, "{words:?}");
    }
}

#[test]
fn a_picture_is_redrawn_as_much_as_was_asked_for() {
    let sandbox = Sandbox::new();
    let make = |words: &[&str], file| {
        let words = [words, &["--frames", "2", "--seed", "3", "-o", file, "--json"]].concat();
        let words =
            [&["--image", "picture.png", "--num-inference-steps", "4", "--steps", "1"], &words[..]]
                .concat();
        let events = sandbox.events(&sized(&words));
        let first: Vec<&Value> = events.iter().take_while(|e| e["event"] != "shot").collect();
        let steps = first.iter().filter(|event| event["event"] == "step").count();
        (steps, fs::read(sandbox.path(file)).expect("it was written"))
    };
    let redraw = "--redraw_condition_image";
    let (steps, wholly) = make(&[redraw], "out/a.webp");
    assert_eq!(steps, 4);
    // The original's own option changes nothing but the name of the file.
    assert!(make(&[redraw, "--strength", "0.5"], "out/b.webp") == (4, wholly.clone()));
    let (steps, half) = make(&[redraw, "--redraw_strength", "0.5"], "out/c.webp");
    assert_eq!(steps, 2);
    assert!(half != wholly, "half as much changed as much");
}

#[test]
fn tasks_become_files_that_name_their_settings_and_are_not_made_twice() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "tasks.yaml",
        "- name: hill\n  prompt: a (green:1.2) hill\n  condition_images: picture.png\n\
         - name: sea\n  prompt: the {mood} sea\n  mood: calm|wild\n  w_ind_noise: 0.3\n\
         - name: left_out\n  prompt: x\n",
    );
    let words = small(&[
        "-t",
        "tasks.yaml",
        "--target-datas",
        "hill,sea",
        "--time-size",
        "2",
        "--seed",
        "3",
        "--output-dir",
        "out/deep",
        "--save-filetype",
        "gif",
        "--json",
    ]);
    let done = sandbox.events(&words);
    assert_eq!(named(&done, "done").len(), 3);
    let files = sandbox.list("out/deep");
    assert_eq!(files.len(), 3, "{files:?}");
    let of_case = |case: &str| files.iter().filter(|name| name.contains(case)).count();
    assert_eq!((of_case("case=hill"), of_case("case=sea")), (1, 2), "{files:?}");
    assert!(files.iter().all(|name| name.contains("_w=64_h=64_t=2_nb=1_s=3_")), "{files:?}");

    let again = sandbox.events(&words);
    assert_eq!((named(&again, "skipped").len(), named(&again, "done").len()), (3, 0));
    let anew = sandbox.events(&[&words[..], &["--overwrite"]].concat());
    assert_eq!(named(&anew, "done").len(), 3);
    assert_eq!(sandbox.list("out/deep"), files);
}

#[test]
fn the_task_and_the_frame_are_written_onto_the_frames_on_request() {
    let sandbox = Sandbox::new();
    let words = ["--image", "picture.png", "--frames", "2", "--seed", "5", "-o"];
    sandbox.succeed(&small(&[&words[..], &["out/plain.png"]].concat()));
    sandbox.succeed(&small(&[&words[..], &["out/told.png", "--write_info"]].concat()));
    let [plain, told] = ["out/plain", "out/told"].map(|folder| frames(&sandbox.path(folder)));
    let changed = plain.iter().zip(&told).filter(|(a, b)| a != b).count();
    assert!(0 < changed && changed < plain.len() / 2, "{changed} of {} levels", plain.len());
}

#[test]
fn frames_and_repeats_are_written_too() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&small(&[
        "--image",
        "picture.png",
        "--frames",
        "2",
        "--seed",
        "5",
        "--n-repeat",
        "2",
        "--save-images",
        "--save-filetype",
        "gif",
        "--output-dir",
        "out",
    ]));
    let names = sandbox.list("out");
    assert_eq!(names.len(), 4, "{names:?}");
    let folders: Vec<_> = names.iter().filter(|name| !name.ends_with(".gif")).collect();
    assert!(folders.iter().all(|name| sandbox.list(&format!("out/{name}")).len() == 2));
    assert!(names.iter().any(|name| name.contains("_s=5_")), "{names:?}");
    assert!(names.iter().any(|name| name.contains("_s=6_")), "{names:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_after_the_window_and_leaves_nothing() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let sandbox = Sandbox::new();
    let words = ["--image", "picture.png", "--frames", "12", "--json", "-o", "out/a.mp4"];
    let mut child = sandbox
        .command(&with_steps("1000", &words))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let step = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"step\"")));
    assert!(step.is_some(), "no step was told");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill is there");
    assert!(sent.success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(rest.last().is_some_and(|line| line.contains("\"error\"")), "{rest:?}");
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{said}");
    assert!(
        said.contains("stopping after this window") && said.contains("was not written"),
        "{said}"
    );
    assert_eq!(sandbox.list("out"), Vec::<String>::new());
}

#[test]
fn people_are_told_the_device_the_seed_and_the_file() {
    let sandbox = Sandbox::new();
    let words =
        small(&["--image", "picture.png", "--frames", "2", "--seed", "9", "-o", "out/a.gif"]);
    let output = sandbox.run(&words);
    let said = text(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
    for needle in ["CPU (", "seed 9", "64 x 64", "out/a.gif: 2 frames"] {
        assert!(said.contains(needle), "{needle:?} is not told: {said}");
    }
}

#[test]
fn an_older_video_is_replaced_whole() {
    let sandbox = Sandbox::new();
    sandbox.write("out/a.gif", "older");
    sandbox.succeed(&small(&["--image", "picture.png", "--frames", "2", "-o", "out/a.gif"]));
    assert_eq!(sandbox.list("out"), ["a.gif"]);
    assert!(fs::read(sandbox.path("out/a.gif")).expect("it is there").starts_with(b"GIF89a"));
}
