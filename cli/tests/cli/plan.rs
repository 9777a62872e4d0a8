//! `--plan`: what a video needs, beforehand.

use super::sandbox::Sandbox;
use super::videos::{named, photograph};
#[cfg(target_os = "linux")]
use {
    super::references::npy,
    super::video2video,
    crate::checkpoints::{class, write_network},
    crate::conditioners,
    musev::Device,
    musev::checkpoint::state_dict,
    musev::models::controlnet::{self, ControlNetModelConfig},
    musev::models::unet_3d::UNet3DConditionModelConfig,
    serde_json::Value,
};

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
    let into_folder = ["text2video", "--prompt", "a cat", "--device", "cpu", "--plan"];
    sandbox.succeed(&[&into_folder[..], &["--output-dir", "planned"]].concat());
    assert!(!sandbox.path("planned").exists(), "a plan makes no folder");
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
    assert!((planned / measured - 1.0).abs() < 0.15, "planned {planned}, measured {measured}");
}

/// The same with a reference and an image prompt: what is only needed for them, or for the prompt, is
/// gone when the denoiser works, or it would not fit into what the plan allows.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_with_a_reference_comes_true() {
    let sandbox = Sandbox::new();
    write_large(&sandbox);
    let image = photograph();
    let words = ["text2video", "--image", &image, "--time-size", "6"];
    let plan = assert_large_plan(&sandbox, &words);
    assert_eq!(passing(&plan), ["text_encoder", "image_encoder", "image_proj", "referencenet"]);
}

/// The same with a face and a video that is followed: the ControlNet stays.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_with_all_parts_comes_true() {
    let sandbox = video2video::sandbox();
    let unet = write_large(&sandbox);
    let net = ControlNetModelConfig {
        encoder: conditioners::half_of(&unet),
        conditioning_embedding_out_channels: vec![256, 1024],
        ..Default::default()
    };
    let tensors = state_dict(&net.init(&Device::flex()), controlnet::KEYS);
    let config = class("ControlNetModel", &net).expect("it is plain");
    let (folder, file) = (sandbox.path("large_net"), "diffusion_pytorch_model.safetensors");
    write_network(&folder, &config, file, &tensors).expect("it can be written");
    sandbox.write("face.npy", npy(&[0.5; conditioners::FACE]));
    let adapter = "large/IP-Adapter/models/ip-adapter-faceid_sd15.bin";
    let face =
        ["--ip-adapter-face-model-name", "None", "--ip-adapter-face-model-cfg-path", adapter];
    let image = photograph();
    let source = ["video2video", "--video", "square.webp", "--time-size", "6"];
    let net = ["--controlnet-name", "canny", "--controlnet-model-path", "large_net"];
    let rest = ["--image", &image, "--face-embedding", "face.npy"];
    let plan = assert_large_plan(&sandbox, &[&source[..], &net, &rest, &face].concat());
    let parts = ["text_encoder", "image_encoder", "image_proj", "face_proj", "referencenet"];
    assert_eq!(passing(&plan), parts);
    // Without a picture nothing looks at one, and taking in the control frames is the most.
    let rest = ["--prompt", "x", "--num-inference-steps", "1"];
    let plan = assert_large_plan(&sandbox, &[&source[..], &net, &rest].concat());
    let networks = plan["plan"]["networks"].as_array().expect("a list");
    let names: Vec<_> = networks.iter().filter_map(|network| network["name"].as_str()).collect();
    assert_eq!(names, ["text_encoder", "vae", "unet", "controlnet"]);
    let phases = plan["plan"]["phases"].as_array().expect("a list");
    let bytes = |phase: &Value| phase["on_device"].as_u64().zip(phase["on_cpu"].as_u64());
    let most = phases.iter().max_by_key(|phase| bytes(phase).map(|(device, cpu)| device + cpu));
    assert_eq!(most.map(|phase| &phase["name"]), Some(&Value::from("denoising")));
}

/// Writes the model `large`, whose passing networks weigh more than those that stay.
#[cfg(target_os = "linux")]
fn write_large(sandbox: &Sandbox) -> UNet3DConditionModelConfig {
    let (mut sizes, mut encoder) = conditioners::tiny();
    sizes.text_encoder.hidden_size = 512;
    sizes.text_encoder.intermediate_size = 2048;
    sizes.text_encoder.num_hidden_layers = 14;
    sizes.unet.cross_attention_dim = 512;
    encoder.hidden_size = 768;
    encoder.intermediate_size = 3072;
    encoder.num_hidden_layers = 10;
    encoder.projection_dim = 512;
    conditioners::write(&sandbox.path("large"), &sizes, &encoder).expect("it can be written");
    sizes.unet
}

/// Makes a small video of the model `large` and compares its peak with the plan, which is given back.
#[cfg(target_os = "linux")]
fn assert_large_plan(sandbox: &Sandbox, words: &[&str]) -> Value {
    let size = ["--width", "128", "--height", "128", "--steps", "1", "--device", "cpu"];
    let model = ["--model", "large", "-o", "out/a.gif", "--overwrite", "--json"];
    let words = [words, &size, &model].concat();
    let events = sandbox.events(&[&words[..], &["--plan"]].concat());
    let event = named(&events, "plan")[0];
    let planned = event["peak"].as_f64().expect("it is a number of bytes");
    let measured = peak_memory(sandbox.command(&words));
    assert!((planned / measured - 1.0).abs() < 0.15, "planned {planned}, measured {measured}");
    event.clone()
}

/// The names of the networks of `plan` that go when they are not needed any more, which has to
/// matter: they are more than half of its peak.
#[cfg(target_os = "linux")]
fn passing(plan: &Value) -> Vec<&str> {
    let networks = plan["plan"]["networks"].as_array().expect("a list");
    let passing: Vec<_> = networks.iter().filter(|network| network["stays"] == false).collect();
    let bytes: f64 = passing.iter().filter_map(|network| network["bytes"].as_f64()).sum();
    let peak = plan["peak"].as_f64().expect("it is a number of bytes");
    assert!(bytes > 0.5 * peak, "{bytes} of {peak} pass");
    passing.iter().filter_map(|network| network["name"].as_str()).collect()
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
