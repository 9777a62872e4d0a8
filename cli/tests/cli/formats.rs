//! Single-file models, LoRAs and conversion.

use std::fs;
use std::path::Path;

use super::bad_models::model;
use super::sandbox::{Sandbox, text};

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/formats");
    folder.join(name).display().to_string()
}

/// A safetensors file of float32 ones.
fn ones(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut end = 0;
    let infos: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(
                r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", infos.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(1f32.to_le_bytes().repeat(end / 4));
    file
}

/// The frames of the video that `words` make with the base model `base`.
fn frames(sandbox: &Sandbox, name: &str, base: &str, words: &[&str]) -> Vec<Vec<u8>> {
    let folder = format!("out/{name}.png");
    let motion = format!("{}/motion/musev", model());
    let tokenizer = format!("{}/base/tokenizer", model());
    let all = [
        "text2video",
        "--image",
        "picture.png",
        "-o",
        &folder,
        "--sd-model-name",
        "None",
        "--sd-model-cfg-path",
        base,
        "--unet-model-name",
        "None",
        "--unet-model-cfg-path",
        &motion,
        "--tokenizer",
        &tokenizer,
        "--device",
        "cpu",
        "--frames",
        "3",
        "--steps",
        "1",
        "--seed",
        "1",
    ];
    sandbox.succeed(&[&all[..], words].concat());
    let written = sandbox.path(&format!("out/{name}"));
    let names = super::sandbox::list(&written);
    names.iter().map(|frame| fs::read(written.join(frame)).expect("it was listed")).collect()
}

#[test]
fn a_single_file_makes_the_video_of_its_folder() {
    let sandbox = Sandbox::new();
    let base = format!("{}/base", model());
    let said = sandbox.events(&["convert", &base, "out/base.safetensors", "--json"]);
    assert_eq!(said[0]["layout"], "single_file");
    let vae = format!("{base}/vae");
    let of_folder = frames(&sandbox, "folder", &base, &["--vae-model-path", &vae]);
    assert_eq!(of_folder.len(), 3);
    assert_eq!(frames(&sandbox, "file", "out/base.safetensors", &[]), of_folder);

    let inspected = sandbox.succeed(&["inspect", "out/base.safetensors"]);
    assert!(inspected.contains("single-file model"), "{inspected}");

    let back = ["convert", "out/base.safetensors", "out/model", "--tokenizer"];
    let tokenizer = format!("{base}/tokenizer");
    sandbox.succeed(&[&back[..], &[&tokenizer, "--dtype", "f32"]].concat());
    let vae = ["--vae-model-path", "out/model/vae"];
    assert_eq!(frames(&sandbox, "again", "out/model", &vae), of_folder);
}

#[test]
fn loras_change_the_video_by_their_weight() {
    let sandbox = Sandbox::new();
    let base = format!("{}/base", model());
    let vae = format!("{base}/vae");
    sandbox.write(
        "lora.safetensors",
        ones(&[
            ("lora_unet_conv_in.lora_down.weight", &[1, 4, 3, 3]),
            ("lora_unet_conv_in.lora_up.weight", &[32, 1, 1, 1]),
        ]),
    );
    let with = |name: &str, loras: &[&str]| {
        let options: Vec<&str> = loras.iter().flat_map(|lora| ["--lora", lora]).collect();
        frames(&sandbox, name, &base, &[&["--vae-model-path", &vae][..], &options].concat())
    };
    let without = with("without", &[]);
    assert_eq!(with("zero", &["lora.safetensors:0"]), without);
    assert_ne!(with("one", &["lora.safetensors"]), without);
    // What one adds another takes away, up to rounding of the sums.
    let half = with("half", &["lora.safetensors:0.5"]);
    let twice = ["lora.safetensors:0.25:ALL", "lora.safetensors:0.25"];
    assert_eq!(with("twice", &twice), half);
}

#[test]
fn an_lcm_lora_brings_its_sampler() {
    let sandbox = Sandbox::new();
    let whole = [
        ("lora_unet_conv_in.lora_down.weight", &[1, 4, 3, 3][..]),
        ("lora_unet_conv_in.lora_up.weight", &[32, 1, 1, 1]),
    ];
    sandbox.write("lcm.safetensors", ones(&whole));
    let base = format!("{}/base", model());
    let vae = format!("{base}/vae");
    let with = |name: &str, words: &[&str]| {
        frames(&sandbox, name, &base, &[&["--vae-model-path", &vae][..], words].concat())
    };
    let lcm = ["--lcm_model_name", "None", "--lcm_model_cfg_path", "lcm.safetensors"];
    let by_hand = ["--lora", "lcm.safetensors", "--scheduler", "lcm"];
    assert_eq!(with("named", &lcm), with("by_hand", &by_hand));

    sandbox.write("table.yaml", "mine: lcm.safetensors");
    let tabled = ["--lcm-model-name", "mine", "--lcm-model-cfg-path", "table.yaml"];
    let tabled = [&tabled[..], &["--model-dir", "."]].concat();
    assert_eq!(with("tabled", &tabled), with("again", &by_hand));
}

#[test]
fn loras_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new();
    let (up, down) = ("lora_unet_conv_in.lora_up.weight", "lora_unet_conv_in.lora_down.weight");
    sandbox.write("wide.safetensors", ones(&[(down, &[1, 8, 3, 3]), (up, &[32, 1, 1, 1])]));
    sandbox.write("ranks.safetensors", ones(&[(down, &[2, 4, 3, 3]), (up, &[32, 3, 1, 1])]));
    sandbox.write("half.safetensors", ones(&[(down, &[1, 4, 3, 3])]));
    sandbox.write("model.safetensors", ones(&[("conv_in.weight", &[1])]));
    sandbox.write("loha.safetensors", ones(&[("lora_unet_conv_in.hada_w1_a", &[1, 4])]));
    let whole = ones(&[(down, &[1, 4, 3, 3]), (up, &[32, 1, 1, 1])]);
    sandbox.write("cut.safetensors", &whole[..whole.len() - 4]);
    let other = golden("lora_kohya.safetensors");
    let cases: &[(&str, &[&str])] = &[
        ("nowhere.safetensors", &["nowhere.safetensors"]),
        ("cut.safetensors", &["cut.safetensors", "cut short"]),
        ("wide.safetensors", &["wide.safetensors", "[32, 8, 3, 3]", "[32, 4, 3, 3] in the model"]),
        ("ranks.safetensors", &["ranks.safetensors", "rank 3 up, rank 2 down"]),
        ("half.safetensors", &["half.safetensors", "no counterpart"]),
        ("model.safetensors", &["model.safetensors", "is no LoRA"]),
        ("loha.safetensors", &["loha.safetensors", "LoHa"]),
        ("wide.safetensors:strong", &["--lora", "strong"]),
        ("wide.safetensors:1:NOSE", &["--lora", "NOSE", "FACE", "17 numbers"]),
        (&other, &["lora_kohya.safetensors", "of another shape"]),
    ];
    for (lora, needles) in cases {
        let words = ["text2video", "--image", "picture.png", "-o", "out/a.gif", "--device", "cpu"];
        let words = [&words[..], &["--model", model(), "--lora", lora]].concat();
        sandbox.refuses(&words, needles);
    }
}

#[test]
fn files_that_are_no_base_model_are_refused() {
    let sandbox = Sandbox::new();
    let unet = "model.diffusion_model.input_blocks.0.0.weight";
    sandbox.write("xl.safetensors", ones(&[(unet, &[1]), ("conditioner.embedders.0.x", &[1])]));
    sandbox.write("two.safetensors", ones(&[(unet, &[1]), ("cond_stage_model.model.x", &[1])]));
    sandbox.write("inpaint.safetensors", ones(&[(unet, &[1, 9, 1, 1])]));
    sandbox.write("bare.safetensors", ones(&[(unet, &[1, 4, 1, 1])]));
    sandbox.write("other.safetensors", ones(&[("weight", &[1])]));
    let lora = golden("lora_peft.safetensors");
    let motion = format!("{}/motion/musev", model());
    let tokenizer = format!("{}/base/tokenizer", model());
    let cases: &[(&str, &[&str])] = &[
        ("xl.safetensors", &["xl.safetensors", "Stable Diffusion XL"]),
        ("two.safetensors", &["two.safetensors", "Stable Diffusion 2"]),
        ("inpaint.safetensors", &["inpaint.safetensors", "inpainting"]),
        ("bare.safetensors", &["bare.safetensors", "no text encoder"]),
        ("other.safetensors", &["other.safetensors", "model.diffusion_model."]),
        (&lora, &["lora_peft.safetensors", "--lora"]),
    ];
    for (file, needles) in cases {
        let words = [
            "text2video",
            "--prompt",
            "x",
            "-o",
            "out/a.gif",
            "--sd-model-name",
            "None",
            "--sd-model-cfg-path",
            file,
            "--unet-model-name",
            "None",
            "--unet-model-cfg-path",
            &motion,
        ];
        sandbox.refuses(&[&words[..], &["--tokenizer", &tokenizer]].concat(), needles);
        // Without a vocabulary the option that gives one is named.
        sandbox.refuses(&words, &["tokenizer: ", file]);
    }
    let whole = ["text2video", "--prompt", "x", "-o", "out/a.gif", "--model", "bare.safetensors"];
    sandbox.refuses(&whole, &["bare.safetensors", "--sd-model-cfg-path"]);
}

#[test]
fn inspecting_a_lora_tells_what_it_touches() {
    let sandbox = Sandbox::new();
    let said = sandbox.succeed(&["inspect", &golden("lora_diffusers.safetensors")]);
    for told in ["a LoRA", "names of diffusers, rank 2", "layers of the UNet", "cross attention"] {
        assert!(said.contains(told), "{told:?} not in {said}");
    }
}

#[test]
fn inspecting_tells_what_looks_at_pictures() {
    let sandbox = Sandbox::new();
    let folder = super::references::model();
    let told = |path: &str| sandbox.succeed(&["inspect", &format!("{folder}/{path}")]);
    let motion = told("motion/musev_referencenet");
    for text in [
        "fits UNet of musev_referencenet, the size of its config.json",
        "fits ReferenceNet: all",
        "fits image projection of IP-Adapter: all 4 tensors",
        "for musev_referencenet still needed: base model: unet, base model: vae",
        "scheduler, image_encoder\n",
    ] {
        assert!(motion.contains(text), "{text:?} not in {motion}");
    }
    assert!(!motion.contains("for musev still"), "{motion}");
    let adapters = "IP-Adapter/models";
    assert!(told(&format!("{adapters}/image_encoder")).contains("fits CLIP image encoder: all"));
    for (file, network) in [
        ("ip-adapter_sd15.bin", "image projection of IP-Adapter"),
        ("ip-adapter-plus_sd15.bin", "resampler of IP-Adapter Plus"),
        ("ip-adapter-faceid_sd15.bin", "face projection of IP-Adapter FaceID"),
    ] {
        let adapter = told(&format!("{adapters}/{file}"));
        let texts = ["an IP-Adapter", &format!("fits {network}: all"), "\nip_adapter\n"];
        assert!(texts.iter().all(|text| adapter.contains(text)), "{adapter}");
    }
}

#[test]
fn conversions_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    let base = format!("{}/base", model());
    sandbox.write("there.safetensors", "mine");
    sandbox.write("notes.txt", "no weights");
    let lora = golden("lora_peft.safetensors");
    let cases: &[(&[&str], &[&str])] = &[
        (&["nowhere", "out/a.safetensors"], &["nowhere"]),
        (&["notes.txt", "out/a.safetensors"], &["notes.txt"]),
        (&[&base, "there.safetensors"], &["there.safetensors", "--force"]),
        (&[&base, "out/a.ckpt"], &["out/a.ckpt", ".safetensors"]),
        (&[&base, "out"], &["out", "--force"]),
        (&[&base, "out/a.safetensors", "--dtype", "f8"], &["--dtype", "f8", "bf16"]),
        (&[&base, "nowhere/a.safetensors"], &["nowhere/a.safetensors"]),
        (&[&lora, "out/lora"], &["lora_peft.safetensors", ".safetensors"]),
        (&[&base], &["<OUT>"]),
    ];
    for (words, needles) in cases {
        sandbox.refuses(&[&["convert"][..], words].concat(), needles);
    }
    assert_eq!(fs::read(sandbox.path("there.safetensors")).expect("it is there"), b"mine");
    let forced = ["convert", &lora, "there.safetensors", "--force", "--dtype", "bf16"];
    let said = text(&sandbox.run(&forced).stderr);
    assert!(said.contains("there.safetensors: 14 tensors"), "{said}");
}
