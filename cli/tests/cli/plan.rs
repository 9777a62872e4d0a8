//! `--plan`: what a video needs, beforehand.

use super::sandbox::Sandbox;
use super::videos::{named, photograph};
#[cfg(target_os = "linux")]
use crate::conditioners;

#[test]
fn a_plan_names_the_parts_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let image = photograph();
    let words = ["text2video", "--image", &image, "--device", "cpu", "--plan", "-o", "out/a.mp4"];
    let told = sandbox.succeed(&words);
    for part in ["text_encoder", "vae", "unet", "denoising", "decoding", "at most at once"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(sandbox.list("out").is_empty());
    // From a prompt alone too, and larger videos need more.
    let peak = |size: &str| {
        let words = ["text2video", "--prompt", "a cat", "--device", "cpu", "--plan", "--json"];
        let events = sandbox.events(&[&words[..], &["--width", size, "--height", size]].concat());
        named(&events, "plan")[0]["peak"].as_u64().expect("it is a number of bytes")
    };
    assert!(peak("256") < peak("512"));
}

/// The most memory that the command held, as the system counts it, is what the plan said.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_comes_true() {
    let sandbox = Sandbox::new();
    let image = photograph();
    let words = ["text2video", "--image", &image, "--device", "cpu", "--steps", "2", "--json"];
    let size = ["--width", "256", "--height", "256", "-o", "out/a.webp"];
    let words = [&words[..], &size].concat();
    let events = sandbox.events(&[&words[..], &["--plan"]].concat());
    let planned = named(&events, "plan")[0]["peak"].as_f64().expect("it is a number of bytes");
    let measured = peak_memory(sandbox.command(&words));
    eprintln!("planned {planned}, measured {measured}");
    assert!((planned / measured - 1.0).abs() < 0.15, "planned {planned}, measured {measured}");
}

/// The same with a reference and an image prompt: what is only needed for them, or for the prompt, is
/// gone when the denoiser works, or it would not fit into what the plan allows.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_with_all_parts_comes_true() {
    let (mut sizes, mut encoder) = conditioners::tiny();
    sizes.text_encoder.hidden_size = 512;
    sizes.text_encoder.intermediate_size = 2048;
    sizes.text_encoder.num_hidden_layers = 14;
    sizes.unet.cross_attention_dim = 512;
    encoder.hidden_size = 768;
    encoder.intermediate_size = 3072;
    encoder.num_hidden_layers = 10;
    encoder.projection_dim = 512;
    let sandbox = Sandbox::new();
    let folder = sandbox.path("large");
    conditioners::write(&folder, &sizes, &encoder).expect("it can be written");
    let image = photograph();
    let words = ["text2video", "--model", "large", "--image", &image, "--device", "cpu"];
    let size = ["--width", "128", "--height", "128", "--steps", "1", "--time-size", "6"];
    let words = [&words[..], &size, &["-o", "out/a.gif", "--json"]].concat();
    let events = sandbox.events(&[&words[..], &["--plan"]].concat());
    let event = named(&events, "plan")[0];
    let networks = event["plan"]["networks"].as_array().expect("a list");
    let bytes = |stays: bool| -> f64 {
        let chosen = networks.iter().filter(|network| network["stays"] == stays);
        chosen.filter_map(|network| network["bytes"].as_f64()).sum()
    };
    let planned = event["peak"].as_f64().expect("it is a number of bytes");
    let phases = event["plan"]["phases"].as_array().expect("a list");
    eprintln!("{phases:?}");
    assert!(bytes(false) > 0.5 * planned, "{} of {planned} pass", bytes(false));
    let measured = peak_memory(sandbox.command(&words));
    eprintln!("planned {planned}, measured {measured}");
    assert!((planned / measured - 1.0).abs() < 0.15, "planned {planned}, measured {measured}");
}

/// Bytes that were resident at most while `command` ran.
#[cfg(target_os = "linux")]
fn peak_memory(mut command: std::process::Command) -> f64 {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut kilobytes = 0.0;
    while child.try_wait().expect("it is our child").is_none() {
        // Empty when it has just ended.
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kilobytes = value.unwrap_or(kilobytes);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    1024.0 * kilobytes
}
