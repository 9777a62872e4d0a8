//! Videos of videos, with the tiny model and a tiny ControlNet: their weights are random, their files
//! and events are not.

use std::fs;
use std::path::Path;

use musev::checkpoint::state_dict;
use musev::models::controlnet::{self, ControlNetModelConfig};
use musev::models::pose_guider::{self, PoseGuiderConfig};
use musev::{Device, Format, Frame, Video};
use serde_json::{Value, json};

use super::bad_models::model;
use super::checkpoints::{write_network, write_safetensors};
use super::sandbox::{Sandbox, list};
use super::videos::named;

/// A sandbox with the video `square.webp`, 13 frames of 80 x 72 with a square that moves, and a
/// ControlNet in the folder `net`.
pub(super) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let frame = |index: usize| {
        let mut frame = Frame::filled(80, 72, [20, 60, 120]);
        frame.paste(&Frame::filled(24, 24, [250, 240, 60]), 4 * index, 2 * index + 10);
        frame
    };
    let video = Video::new((0..13).map(frame).collect(), 8.0).expect("the frames are alike");
    musev::write_video(&video, &sandbox.path("square.webp"), Format::Webp).expect("it is written");
    write_net(&sandbox.path("net"));
    sandbox
}

fn write_net(folder: &Path) {
    let config = json!({
        "_class_name": "ControlNetModel",
        "block_out_channels": [32, 64],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 4,
        "cross_attention_dim": 32,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "conditioning_embedding_out_channels": [8, 16],
    });
    let sizes: ControlNetModelConfig =
        serde_json::from_value(config.clone()).expect("these are its keys");
    let tensors = state_dict(&sizes.init(&Device::flex()), controlnet::KEYS);
    write_network(folder, &config, "diffusion_pytorch_model.safetensors", &tensors)
        .expect("the sandbox takes files");
}

/// `musev video2video` with the tiny model on the CPU, small and quick, and `words`.
fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let quick = [
        "video2video",
        "--model",
        model(),
        "--device",
        "cpu",
        "--width",
        "64",
        "--height",
        "64",
        "--steps",
        "2",
        "--num-inference-steps",
        "1",
        "--seed",
        "3",
    ];
    [&quick[..], words].concat()
}

const SQUARE: [&str; 4] = ["--video", "square.webp", "--prompt", "a hill"];
const CANNY: [&str; 4] = ["--controlnet-name", "canny", "--controlnet-model-path", "net"];

fn frames(sandbox: &Sandbox, file: &str) -> Vec<Frame> {
    musev::read_video(&sandbox.path(file), [0; 3]).expect("it was written").frames
}

#[test]
fn three_chunks_follow_edges() {
    let sandbox = sandbox();
    let three = ["--n-batch", "3", "--time-size", "4", "--json"];
    let words = small(&[&SQUARE[..], &CANNY, &three].concat());
    let events = sandbox.events(&[&words[..], &["-o", "out/a.webp"]].concat());
    assert_eq!(named(&events, "start")[0]["controlnet"], json!(["canny"]));
    let parts: Vec<&Value> = named(&events, "loaded").iter().map(|event| &event["part"]).collect();
    assert!(parts.contains(&&json!("controlnet")), "{parts:?}");
    let shots: Vec<&Value> = named(&events, "shot").iter().map(|event| &event["index"]).collect();
    assert_eq!(shots, [0, 1, 2]);
    assert_eq!(named(&events, "done")[0]["frames"], 12);
    let followed = frames(&sandbox, "out/a.webp");
    assert_eq!((followed.len(), followed[0].width), (12, 64));
    // The same again, the edges counting for nothing, and another video's edges.
    sandbox.events(&[&words[..], &["-o", "out/b.webp"]].concat());
    assert!(frames(&sandbox, "out/b.webp") == followed, "the same seed made another video");
    let unfollowed = ["--controlnet-conditioning-scale", "0", "-o", "out/c.webp"];
    sandbox.events(&[&words[..], &unfollowed].concat());
    assert!(frames(&sandbox, "out/c.webp") != followed, "the ControlNet has no effect");
}

#[test]
fn chunks_are_counted_as_in_the_original() {
    let sandbox = sandbox();
    let image = ["--image", "picture.png"];
    let cases: &[(&[&str], u64, usize)] = &[
        (&["--time_size", "4", "--n_batch", "9"], 12, 3),
        (&["--time_size", "6", "--n_batch", "9"], 12, 2),
        (&["--time_size", "4"], 4, 1),
        (&["--time_size", "4", "--sample_rate", "4"], 4, 1),
        (&["--time_size", "2", "--n_batch", "9", "--sample_rate", "3"], 4, 2),
        (&["--time_size", "4", "--n_batch", "2", "--n_vision_condition", "0"], 8, 2),
        // The picture takes the place of the first frame, or comes before it.
        (&["--time_size", "4", "--n_batch", "2", image[0], image[1]], 8, 2),
        (
            &["--time_size", "4", "--n_batch", "2", image[0], image[1], "--video_has_condition"],
            9,
            2,
        ),
        (
            &["--time_size", "4", "--n_batch", "2", image[0], image[1], "--fix_condition_images"],
            8,
            2,
        ),
        (&["--time_size", "4", image[0], image[1], "--redraw_condition_image"], 4, 1),
        (&["--time_size", "4", "--n_batch", "3", "--need_hist_match", "--end_to_end"], 12, 3),
        (&["--time_size", "4", "--enable_zero_snr", "--which2video", "video_middle"], 4, 1),
        (
            &[
                "--time_size",
                "4",
                "--n_batch",
                "2",
                "--record_mid_video_latents",
                "--record_mid_video_noises",
                "--video_overlap",
                "2",
            ],
            8,
            2,
        ),
    ];
    for (words, count, shots) in cases {
        let words = [&SQUARE[..], &CANNY, words, &["-o", "out/a.webp", "--json"]].concat();
        let events = sandbox.events(&small(&words));
        assert_eq!(named(&events, "done")[0]["frames"], *count, "{words:?}");
        assert_eq!(named(&events, "shot").len(), *shots, "{words:?}");
    }
}

#[test]
fn source_and_maps_are_shown_beside_the_video() {
    let sandbox = sandbox();
    let shown = ["--need_return_videos", "--need_return_condition", "--time-size", "4"];
    let words = [&SQUARE[..], &CANNY, &shown, &["-o", "out/a.webp"]].concat();
    sandbox.succeed(&small(&words));
    let grid = frames(&sandbox, "out/a.webp");
    assert_eq!((grid.len(), grid[0].width, grid[0].height), (4, 192, 64));
    for frame in &grid {
        assert_eq!(frame.pixel(0, 0), [20, 60, 120]);
        let map: Vec<[u8; 3]> =
            (0..64).flat_map(|y| (128..192).map(move |x| frame.pixel(x, y))).collect();
        assert!(map.iter().all(|pixel| [[0; 3], [255; 3]].contains(pixel)));
        let white = map.iter().filter(|pixel| **pixel == [255; 3]).count();
        assert!((30..300).contains(&white), "{white}");
    }
    // In two columns there are two rows, and the fourth place is black.
    let words = [&words[..], &["--n_cols", "2", "--write_info"]].concat();
    sandbox.succeed(&small(&words));
    let grid = frames(&sandbox, "out/a.webp");
    assert_eq!((grid[0].width, grid[0].height), (128, 128));
    assert_eq!(grid[0].pixel(127, 127), [0; 3]);
}

#[test]
fn maps_are_detected_and_followed_as_a_video() {
    let sandbox = sandbox();
    let detect = ["detect", "--controlnet-name", "canny", "--detect-resolution", "64"];
    let at = ["--image-resolution", "64", "square.webp", "-o", "edges.webp"];
    sandbox.succeed(&[&detect[..], &at].concat());
    let maps = frames(&sandbox, "edges.webp");
    assert_eq!((maps.len(), maps[0].width, maps[0].height), (13, 64, 64));
    // A pose may be given as a video though no detector of poses is built.
    let middle = ["--video", "edges.webp", "--prompt", "a hill", "--video_is_middle"];
    let net = ["--controlnet_name", "dwpose_body_hand", "--controlnet-model-path", "net"];
    let rest = ["--which2video", "video_middle", "--time-size", "4", "-o", "out/a.webp"];
    sandbox.succeed(&small(&[&middle[..], &net, &rest].concat()));
    assert_eq!(frames(&sandbox, "out/a.webp").len(), 4);
}

#[test]
fn frames_of_the_source_are_kept_in_part() {
    let sandbox = sandbox();
    let make = |words: &[&str], file: &str| {
        let out = ["--time-size", "4", "-o", file, "--json"];
        let events = sandbox.events(&small(&[&SQUARE[..], &out, words].concat()));
        let chunk = events.iter().skip_while(|event| event["event"] != "shot");
        (chunk.filter(|event| event["event"] == "step").count(), frames(&sandbox, file))
    };
    let (steps, wholly) = make(&[], "out/a.webp");
    assert_eq!(steps, 2);
    // The original's own option changes nothing but the name of the file.
    assert!(make(&["--video_strength", "0.5"], "out/b.webp") == (2, wholly.clone()));
    let (steps, half) = make(&["--source_strength", "0.5"], "out/c.webp");
    assert_eq!(steps, 1);
    assert!(half[1..] != wholly[1..], "half as much changed as much");
}

#[test]
fn a_picture_becomes_one_map() {
    let sandbox = Sandbox::new();
    let words = ["detect", "picture.png", "--controlnet-name", "content", "-o", "out/a.png"];
    let events = sandbox.events(&[&words[..], &["--json", "--seed", "4"]].concat());
    assert_eq!(events[0]["frames"], 1);
    let map = musev::read_frame(&sandbox.path("out/a.png")).expect("it is a file");
    assert_eq!(map, Frame::filled(512, 512, [200, 120, 40]));
}

#[test]
fn several_controlnets_and_a_pose_guider_are_followed() {
    let sandbox = sandbox();
    let guider = PoseGuiderConfig {
        conditioning_embedding_channels: 32,
        conditioning_channels: 3,
        block_out_channels: vec![8, 16],
    };
    let tensors = state_dict(&guider.init(&Device::flex()), pose_guider::KEYS);
    write_safetensors(&sandbox.path("guider.safetensors"), &tensors).expect("it is written");
    let net = sandbox.path("net");
    let nets = format!("{0},{0}", net.display());
    let cases: [&[&str]; 3] = [
        &["--controlnet_name", "canny,tile", "--controlnet-model-path", &nets, "--guess-mode"],
        &[
            "--controlnet_name",
            "content,tile",
            "--controlnet-model-path",
            &nets,
            "--controlnet_conditioning_scale",
            "0.5,1",
            "--control-guidance-end",
            "0.5",
        ],
        &["--controlnet_name", "canny", "--pose_guider_model_path", "guider.safetensors"],
    ];
    for words in cases {
        let rest = ["--time-size", "3", "--n-batch", "2", "-o", "out/a.webp"];
        sandbox.succeed(&small(&[&SQUARE[..], words, &rest].concat()));
        assert_eq!(frames(&sandbox, "out/a.webp").len(), 6, "{words:?}");
    }
}

#[test]
fn tasks_become_files_that_name_their_settings() {
    let sandbox = sandbox();
    sandbox.write(
        "tasks.yaml",
        "- name: hill\n  prompt: a hill\n  video_path: square.webp\n  video_is_middle: true\n\
         - name: rest\n  prompt: x\n",
    );
    let words = ["-t", "tasks.yaml", "--target-datas", "hill", "--output_dir", "out/deep"];
    let rest = ["--time-size", "3", "--save-filetype", "gif", "--which2video", "video_middle"];
    let words = small(&[&words[..], &rest, &CANNY].concat());
    sandbox.succeed(&words);
    let names = list(&sandbox.path("out/deep"));
    assert_eq!(names.len(), 1);
    let name = &names[0];
    assert!(name.starts_with("vm2v_m="), "{name}");
    assert!(name.contains("_c=hill_w=64_h=64_t=3_n=1_vn=2_w=0.001_w=0.5_s=3_n=canny_s=0.8"));
    assert!(name.contains("_vs=1.0_vg=3.5_p=") && name.ends_with("_r=no_ip=no_f=no.gif"), "{name}");
    let events = sandbox.events(&[&words[..], &["--json"]].concat());
    assert_eq!(events[0]["event"], "skipped");
    let other = small(&["-t", "tasks.yaml", "--target-datas", "rest", "-o", "out/a.gif"]);
    sandbox.refuses(&other, &["task `rest`", "video_path"]);
}

#[test]
fn plans_count_the_source_and_the_controlnet() {
    let sandbox = sandbox();
    let words = [&SQUARE[..], &CANNY, &["--time-size", "4", "--plan", "--json"]].concat();
    let events = sandbox.events(&small(&words));
    let networks = events[0]["plan"]["networks"].as_array().expect("it lists them");
    assert!(networks.iter().any(|network| network["name"] == "controlnet"), "{networks:?}");
    let frames = events[0]["plan"]["frames"].as_u64().expect("a count");
    assert!(frames > 13 * 80 * 72 * 3, "{frames}");
    assert!(sandbox.list("out").is_empty());
}

/// Stands for ffmpeg: two frames of 64 x 64 at 5 a second, whatever the input.
#[cfg(unix)]
#[test]
fn other_formats_are_read_by_ffmpeg() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = sandbox();
    sandbox.write("video.mkv", [0x1a, 0x45, 0xdf, 0xa3, 0, 0, 0, 0]);
    let words = ["detect", "video.mkv", "--controlnet-name", "tile", "-o", "out/a.webp"];
    let alone = sandbox.command(&words).env("PATH", "").output().expect("the binary starts");
    let said = super::sandbox::text(&alone.stderr);
    assert_eq!(alone.status.code(), Some(2), "{said}");
    assert!(said.contains("video.mkv") && said.contains("ffmpeg on the PATH"), "{said}");

    fs::create_dir(sandbox.path("bin")).expect("it is new");
    let picture = "printf 'P6\\n64 64\\n255\\n'; printf '%12288s' '' | tr ' ' 'A'";
    let script = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\ncase \"$*\" in *file:*) ;; *) exit 9 ;; esac\n\
         echo 'Stream #0:0: Video: vp9, 64x64, 5 fps, 5 tbr' >&2\n{picture}\n{picture}\n"
    );
    sandbox.write("bin/ffmpeg", script);
    let ffmpeg = sandbox.path("bin/ffmpeg");
    fs::set_permissions(&ffmpeg, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let read = sandbox.command(&words).env("PATH", sandbox.path("bin")).output();
    let read = read.expect("the binary starts");
    assert!(read.status.success(), "{}", super::sandbox::text(&read.stderr));
    let video = musev::read_video(&sandbox.path("out/a.webp"), [0; 3]).expect("it was written");
    assert_eq!((video.frames.len(), video.fps), (2, 5.0));
    assert_eq!(video.frames[1], Frame::filled(64, 64, [b'A'; 3]));

    sandbox.write("bin/ffmpeg", "#!/bin/sh\necho 'no such codec' >&2\nexit 1\n");
    let broken = sandbox.command(&words).env("PATH", sandbox.path("bin")).output();
    let said = super::sandbox::text(&broken.expect("the binary starts").stderr);
    assert!(said.contains("no such codec") && said.contains("video.mkv"), "{said}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let sandbox = sandbox();
    sandbox.write("text.txt", "no video");
    let out = ["-o", "out/a.webp"];
    let cases: &[(&[&str], &[&str])] = &[
        (&["--prompt", "a hill"], &["--video"]),
        (&["--video", "absent.webp", "--prompt", "a hill"], &["absent.webp"]),
        (&["--video", "picture.png", "--prompt", "x"], &["video", "1 frames", "time-size"]),
    ];
    for (words, needles) in cases {
        sandbox.refuses(&small(&[words, &out[..]].concat()), needles);
    }
    let cases: &[(&[&str], &[&str])] = &[
        (&["--time-size", "14"], &["13 frames", "sample-rate"]),
        (&["--time-size", "4", "--sample-rate", "5"], &["13 frames", "16", "lower"]),
        (&["--time-size", "1"], &["frames", "2 frames"]),
        (&["--time-size", "1", "--image", "picture.png"], &["time-size", "at least 2"]),
        (&["--sample-rate", "0"], &["--sample-rate"]),
        (&["--controlnet-name", "canni"], &["canni", "dwpose_body_hand"]),
        (
            &["--controlnet-name", "depth", "--controlnet-model-path", "net"],
            &["depth", "not in this musev yet", "video-is-middle"],
        ),
        (
            &["--controlnet-name", "canny,tile", "--controlnet-model-path", "net"],
            &["controlnet-model-path", "1 paths for 2 names"],
        ),
        (
            &[
                "--controlnet-name",
                "canny",
                "--controlnet-model-path",
                "net",
                "--controlnet-conditioning-scale",
                "1,2",
            ],
            &["controlnet-conditioning-scale", "2 numbers for 1"],
        ),
        (&["--controlnet-name", "canny"], &["control_v11p_sd15_canny", "model-dir"]),
        (&["--video-is-middle"], &["video-is-middle", "controlnet-name"]),
        (&["--no-video-has-condition"], &["video-has-condition", "picture"]),
        (&["--pose-guider-model-path", "net"], &["--controlnet-name"]),
        (
            &["--video-overlap", "4", "--record-mid-video-latents", "--time-size", "4"],
            &["video-overlap"],
        ),
        (&["--image", "picture.png", "--image", "picture.png"], &["condition_images"]),
        (&["--enable-zero-snr", "--scheduler", "euler"], &["--enable-zero-snr"]),
        (&["--which2video", "sound"], &["video_middle"]),
        (&["--source-strength", "1.5"], &["--source-strength", "up to 1"]),
        (&["--source-strength", "0.3"], &["source-strength", "0.3 of 2 steps is none"]),
        (
            &["--source-strength", "0.5", "--which2video", "video_middle"],
            &["source-strength", "--need-video2video"],
        ),
        (
            &["--redraw-strength", "0.5", "--which2video", "video_middle"],
            &["redraw-strength", "--need-video2video"],
        ),
        (&["--redraw-strength", "0.01"], &["redraw-strength", "is none"]),
        (&["--frames", "3"], &["--frames"]),
    ];
    for (words, needles) in cases {
        sandbox.refuses(&small(&[&SQUARE[..], words, &out].concat()), needles);
    }
    let detect = |words: &[&'static str], needles: &[&str]| {
        sandbox.refuses(&[&["detect"], words].concat(), needles);
    };
    detect(
        &["square.webp", "--controlnet-name", "hed", "-o", "out/a.gif"],
        &["hed", "canny, tile"],
    );
    detect(&["text.txt", "--controlnet-name", "tile", "-o", "out/a.gif"], &["text.txt"]);
    detect(&["square.webp", "--controlnet-name", "tile", "-o", "out/a.txt"], &["a.txt"]);
    let small = ["--detect-resolution", "20"];
    let words = ["square.webp", "--controlnet-name", "canny", "-o", "out/a.gif"];
    detect(&[&words[..], &small].concat(), &["detect-resolution", "64"]);
}

/// Slow, and needs a graphics adapter (a software one will do): `MUSEV_SLOW=1 cargo test`.
#[test]
fn the_cpu_and_a_graphics_adapter_transform_a_video_alike() {
    if std::env::var_os("MUSEV_SLOW").is_none() {
        eprintln!("skipped: set MUSEV_SLOW=1 to compare the devices");
        return;
    }
    let sandbox = sandbox();
    let made = ["cpu", "wgpu"].map(|device| {
        let out = format!("out/{device}.webp");
        let rest = ["--n-batch", "3", "--time-size", "4", "-o", &out];
        let mut words = small(&[&SQUARE[..], &CANNY, &rest].concat());
        let at = words.iter().position(|word| *word == "cpu").expect("a device is named");
        words[at] = device;
        sandbox.succeed(&words);
        frames(&sandbox, &out).into_iter().flat_map(|frame| frame.data).collect::<Vec<u8>>()
    });
    assert_eq!((made[0].len(), made[1].len()), (12 * 64 * 64 * 3, made[0].len()));
    let squares = made[0].iter().zip(&made[1]).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / made[0].len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / mean.max(f64::MIN_POSITIVE)).log10();
    eprintln!("{psnr:.1} dB");
    assert!(psnr >= 45.0, "{psnr:.1} dB");
}
