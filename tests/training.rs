//! Training runs of seconds on networks of a few channels.

#![cfg(feature = "train")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use musev::checkpoint::Weights;
use musev::training::{TrainConfig, TrainEvent, train};
use musev::{
    AdapterChoice, Device, DeviceChoice, Format, Frame, ModelFiles, ModelSpec, OpenDevice,
    Pipeline, Precision, TrainRecord, Unwatched, write_video,
};

#[path = "common/checkpoints.rs"]
mod checkpoints;

/// Weights that begin at random come from the one generator of the process, which every run seeds.
static ALONE: Mutex<()> = Mutex::new(());

/// A folder with moving squares and a model without weights.
struct Studio(tempfile::TempDir);

impl Studio {
    fn new() -> Self {
        let studio = Self(tempfile::tempdir().unwrap());
        fs::create_dir(studio.path("clips")).unwrap();
        for (index, colour) in [[220, 40, 40], [40, 160, 60], [60, 80, 220]].iter().enumerate() {
            let frames = (0..8).map(|t| square(*colour, 2 * t + index)).collect();
            let video = musev::Video::new(frames, 8.0).expect("the frames are of one size");
            let path = studio.path(&format!("clips/{index}.gif"));
            write_video(&video, &path, Format::Gif).unwrap();
            fs::write(path.with_extension("txt"), "a square, moving\n").unwrap();
        }
        fs::write(studio.path("held_out.txt"), "2 # blue\n").unwrap();
        checkpoints::write_checkpoint(&studio.path("tiny"), &checkpoints::Sizes::tiny()).unwrap();
        let base = studio.path("tiny/base");
        fs::copy(studio.path("tiny/motion/musev/unet/config.json"), base.join("unet/config.json"))
            .unwrap();
        for part in ["vae", "text_encoder", "unet"] {
            for entry in fs::read_dir(base.join(part)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "safetensors") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        studio
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, stage: &str, model: &str, output: &str, steps: usize) -> TrainConfig {
        let text = format!(
            "stage: {stage}\nmodel: {root}/{model}\noutput: {root}/{output}\n\
             data: {{folder: {root}/clips, held_out: {root}/held_out.txt, cache: {root}/cache, \
                     size: 32, max_frames: 8}}\n\
             steps: {steps}\nbatch_size: 2\nseed: 3\n\
             optimizer: {{learning_rate: 0.003, final_share: 1.0, warmup_steps: 1, \
                          ema_decay: 0.5}}\n\
             denoiser: {{frames: 3, strides: [1, 2], stride_words: [slowly, quickly]}}\n\
             save_every: 100\nsample_every: 0\n",
            root = self.0.path().display(),
        );
        let path = self.path("run.yaml");
        fs::write(&path, text).unwrap();
        TrainConfig::read(&path).unwrap()
    }
}

fn square(colour: [u8; 3], at: usize) -> Frame {
    let mut frame = Frame::filled(32, 32, [240, 240, 240]);
    frame.paste(&Frame::filled(10, 10, colour), at, 11);
    frame
}

/// Runs on the CPU to the end, or until `stop_after` updates.
fn run(config: &TrainConfig, stop_after: usize) -> Vec<TrainRecord> {
    run_on(&Device::flex(), config, stop_after)
}

fn run_on(device: &Device, config: &TrainConfig, stop_after: usize) -> Vec<TrainRecord> {
    let mut records = Vec::new();
    let end = train(config, device, &mut |event| {
        if let TrainEvent::Step(record) = event {
            records.push(record);
            if records.len() == stop_after {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    assert_eq!(end.is_err(), stop_after <= records.len(), "{end:?}");
    records
}

fn bytes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let weights = Weights::open(path).unwrap();
    let read = |name: &str| weights.tensor(name).unwrap().as_bytes().to_vec();
    weights.names().map(|name| (name.to_owned(), read(name))).collect()
}

fn losses(records: &[TrainRecord]) -> Vec<f64> {
    records.iter().map(|record| record.loss).collect()
}

#[test]
fn stages_follow_each_other_and_a_stopped_run_goes_on_as_if_it_had_not_been() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let studio = Studio::new();
    let whole = run(&studio.config("autoencoder", "tiny/base", "whole", 40), usize::MAX);
    assert_eq!(whole.len(), 40);
    let mean = |records: &[TrainRecord]| losses(records).iter().sum::<f64>() / records.len() as f64;
    assert!(mean(&whole[30..]) < 0.6 * mean(&whole[..5]), "{:?}", losses(&whole));

    let config = studio.config("autoencoder", "tiny/base", "parts", 40);
    let mut parts = run(&config, 17);
    parts.extend(run(&config, usize::MAX));
    assert_eq!(losses(&parts), losses(&whole));
    for file in ["state/weights.safetensors", "state/mean.safetensors", "checkpoint/vae"] {
        let [whole, parts] = ["whole", "parts"].map(|run| bytes(&studio.path(run).join(file)));
        assert!(whole == parts, "{file} differs");
    }
    let log = fs::read_to_string(studio.path("parts/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 41, "{log}");
    assert!(studio.path("parts/curves.png").is_file());

    let mut config = studio.config("autoencoder", "whole/checkpoint", "decoder", 2);
    config.autoencoder.frozen_encoder = true;
    run(&config, usize::MAX);
    let [before, after] =
        ["whole", "decoder"].map(|run| bytes(&studio.path(run).join("checkpoint/vae")));
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let of_decoder = name.starts_with("decoder") || name.starts_with("post_quant_conv");
        assert!(of_decoder || before == after, "{name} is not of the decoder, but changed");
    }
    assert!(before != after, "the decoder was not trained");

    let config = studio.config("denoiser", "whole/checkpoint", "denoiser", 12);
    let denoiser = run(&config, usize::MAX);
    assert!(mean(&denoiser[9..]) < mean(&denoiser[..3]), "{:?}", losses(&denoiser));

    let latents = || fs::read(studio.path("cache/latents.bin")).unwrap();
    let as_they_are = latents();
    let mut config = studio.config("denoiser", "whole/checkpoint", "views", 2);
    (config.denoiser.views, config.denoiser.reversed_share) = (2, 0.5);
    run(&config, usize::MAX);
    let seen = latents();
    assert_eq!(seen.len(), 2 * as_they_are.len());
    // Three clips of eight frames.
    let of_frame = as_they_are.len() / 24;
    for (two, one) in seen.chunks(2 * of_frame).zip(as_they_are.chunks(of_frame)) {
        assert!(two[..of_frame] == *one && two[of_frame..] != *one, "a frame, then its other view");
    }
    config.data.mirror = false;
    config.output = studio.path("unmirrored");
    run(&config, usize::MAX);
    assert!(latents() != seen, "latents of other views were kept");

    let mut config = studio.config("motion", "denoiser/checkpoint", "motion", 2);
    // Pictures have no motion: the stage has none, whatever their share.
    config.denoiser.image_share = 1.0;
    config.denoiser.noise.img_weight = Some(0.25);
    run(&config, usize::MAX);
    let [before, after] =
        ["denoiser", "motion"].map(|run| bytes(&studio.path(run).join("checkpoint/unet")));
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let temporal = ["temp_convs", "temp_attentions", "transformer_in", "frame_embedding"];
        if !temporal.iter().any(|part| name.contains(part)) {
            assert!(before == after, "{name} is not of the motion module, but changed");
        }
    }
    assert!(before != after, "the motion module was not trained");

    // What a run writes is a model like any other.
    let spec = ModelSpec::whole(&studio.path("motion/checkpoint")).unwrap();
    assert_eq!(spec.settings.img_weight, 0.25, "a model tells the noise it was trained with");
    let files = ModelFiles::open(&spec).unwrap();
    let device = pollster::block_on(OpenDevice::start(&DeviceChoice::Cpu, Precision::F32));
    Pipeline::open(&files, &[], &device.unwrap(), &mut Unwatched).unwrap();
}

/// A base model and a motion model in their usual files: nothing may begin at random.
#[test]
fn the_motion_of_a_published_checkpoint_is_trained_on_its_base() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let studio = Studio::new();
    let folder = studio.path("published");
    checkpoints::write_checkpoint(&folder, &checkpoints::Sizes::tiny()).unwrap();
    let mut config = studio.config("motion", "published", "out", 1);
    // A sample follows the model's settings: with guidance and its negative prompt, or without.
    config.sample_every = 1;
    run(&config, usize::MAX);
    fs::write(folder.join("settings.yaml"), "video_guidance_scale: 1\n").unwrap();
    let mut config = studio.config("motion", "published", "unguided", 1);
    config.sample_every = 1;
    run(&config, usize::MAX);
    let made = bytes(&studio.path("out/checkpoint/unet"));
    let base = bytes(&folder.join("base/unet"));
    for (name, values) in &base {
        let (_, kept) = made.iter().find(|(made, _)| made == name).unwrap();
        assert!(values == kept, "{name} is not the base model's");
    }
    assert!(made.len() > base.len() && !base.is_empty());

    let motion = folder.join("motion/musev/unet/diffusion_pytorch_model.safetensors");
    fs::remove_file(motion).unwrap();
    let config = studio.config("motion", "published", "none", 1);
    let error = refusal(&config);
    assert!(error.contains("a motion model to begin with"), "{error}");
}

#[test]
fn configurations_that_cannot_be_carried_out_are_refused() {
    let studio = Studio::new();
    studio.config("denoiser", "tiny/base", "out", 1);
    let text = fs::read_to_string(studio.path("run.yaml")).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let path = studio.path("bad.yaml");
        fs::write(&path, text.replace(from, to)).unwrap();
        TrainConfig::read(&path).unwrap_err().to_string()
    };
    assert!(refused("steps: 1", "steps: 0").contains("`steps` is 0"));
    assert!(refused("stage: denoiser", "stage: everything").contains("everything"));
    assert!(refused("seed: 3", "sede: 3").contains("sede"));
    assert!(refused("[1, 2]", "[1, 0]").contains("strides"));
    assert!(refused("[slowly, quickly]", "[slowly]").contains("stride_words"));
    assert!(refused("ema_decay: 0.5", "ema_decay: 1.5").contains("ema_decay"));
    assert!(refused("frames: 3", "frames: 3, min_frames: 4").contains("min_frames"));
    assert!(refused("frames: 3", "frames: 3, timestep_shift: 0").contains("timestep_shift"));
    assert!(refused("frames: 3", "frames: 3, views: 0").contains("denoiser.views"));
    assert!(refused("frames: 3", "frames: 3, noise: {s_noise: 0.9}").contains("settings.yaml"));
    assert!(refused("frames: 3", "frames: 3, reversed_share: 2").contains("reversed_share"));

    // No autoencoder to make latents with.
    let error = refusal(&studio.config("denoiser", "tiny/base", "out", 1));
    assert!(error.contains("train that stage first"));
}

fn refusal(config: &TrainConfig) -> String {
    train(config, &Device::flex(), &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
}

#[test]
fn the_runs_that_are_shipped_can_be_read() {
    let mut runs = 0;
    for entry in fs::read_dir("configs/train").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            TrainConfig::read(&path).unwrap();
            runs += 1;
        }
    }
    assert_eq!(runs, 3);
    let scheduler = |model: &str| {
        fs::read_to_string(format!("configs/{model}/scheduler/scheduler_config.json")).unwrap()
    };
    assert_eq!(scheduler("train/mini"), scheduler("models/mini"));
    let tokenizer = musev::ClipTokenizer::open(Path::new("configs/train/mini/tokenizer")).unwrap();
    let config = fs::read_to_string("configs/train/mini/text_encoder/config.json").unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert!(tokenizer.vocabulary_size() as u64 <= config["vocab_size"].as_u64().unwrap());
}

/// Slow, and needs a graphics adapter (a software one will do): `MUSEV_SLOW=1 cargo test`.
#[test]
fn a_graphics_adapter_trains_as_the_cpu_does() {
    if std::env::var_os("MUSEV_SLOW").is_none() {
        eprintln!("skipped: set MUSEV_SLOW=1 to compare the devices");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let studio = Studio::new();
    // One level: on a software adapter every new shape costs seconds.
    let mut sizes = checkpoints::Sizes::tiny();
    sizes.unet.block_out_channels.truncate(1);
    sizes.unet.down_block_types.truncate(1);
    sizes.unet.up_block_types.remove(0);
    checkpoints::write_checkpoint(&studio.path("published"), &sizes).unwrap();
    let first = |device: &Device, output: &str| {
        run_on(device, &studio.config("motion", "published", output, 1), usize::MAX).remove(0)
    };
    let cpu = first(&Device::flex(), "cpu");
    let choice = DeviceChoice::Wgpu(AdapterChoice::Best);
    let device = pollster::block_on(OpenDevice::start(&choice, Precision::F32)).unwrap().device;
    let wgpu = first(&device, "wgpu");
    assert!((cpu.loss / wgpu.loss - 1.0).abs() < 1e-3, "{cpu:?} {wgpu:?}");
    let ratio = cpu.gradient_norm / wgpu.gradient_norm;
    assert!((ratio - 1.0).abs() < 1e-2, "{cpu:?} {wgpu:?}");
}
