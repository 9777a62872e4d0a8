//! Conversion between layouts, types and formats.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use musev::checkpoint::Weights;
use musev::{
    Conversion, Converted, Kind, ModelChoice, ModelFiles, ModelSpec, PartChoice, StoredType,
    convert, inspect,
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::checkpoints::write_tiny_checkpoint;
use crate::{f32s, golden, safetensors, write};

/// A folder with the tiny model in `base` and `motion/musev`.
fn tiny() -> TempDir {
    let folder = tempdir().unwrap();
    write_tiny_checkpoint(folder.path()).unwrap();
    folder
}

fn conversion(folder: &Path, input: &str, output: &str) -> Conversion {
    Conversion {
        input: folder.join(input),
        output: folder.join(output),
        dtype: None,
        force: false,
        tokenizer: None,
        root: folder.join("models"),
    }
}

fn run(conversion: &Conversion) -> Result<Converted, String> {
    convert(conversion, &mut |_| ControlFlow::Continue(())).map_err(|error| error.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_same(one: &Weights, other: &Weights) {
    assert_eq!(one.names().collect::<Vec<_>>(), other.names().collect::<Vec<_>>());
    for name in one.names() {
        assert_eq!(one.info(name), other.info(name), "{name}");
        one.tensor(name).unwrap().assert_eq(&other.tensor(name).unwrap(), true);
    }
}

#[test]
fn a_folder_becomes_a_file_and_the_same_folder_again() {
    let tiny = tiny();
    let root = tiny.path();
    let done = run(&conversion(root, "base", "model.safetensors")).unwrap();
    assert_eq!(done.layout, "single_file");
    assert_eq!(done.bytes, fs::metadata(root.join("model.safetensors")).unwrap().len());

    let inspection = inspect(&root.join("model.safetensors")).unwrap();
    assert_eq!(inspection.kind, Kind::SingleFile);
    assert_eq!(inspection.parts.len(), 3);
    assert!(inspection.missing[0].parts.contains(&"base model: tokenizer".to_owned()));

    let back = Conversion {
        tokenizer: Some(root.join("base/tokenizer")),
        ..conversion(root, "model.safetensors", "back")
    };
    assert_eq!(run(&back).unwrap().tensors, done.tensors);
    for part in ["unet", "vae", "text_encoder"] {
        let open = |model: &str| Weights::open(&root.join(model).join(part)).unwrap();
        assert_same(&open("base"), &open("back"));
        let config = |model: &str| fs::read(root.join(model).join(part).join("config.json"));
        assert_eq!(config("base").unwrap(), config("back").unwrap());
    }
    for file in ["tokenizer/vocab.json", "scheduler/scheduler_config.json"] {
        let read = |model: &str| fs::read(root.join(model).join(file)).unwrap();
        assert_eq!(read("base"), read("back"), "{file}");
    }
    let index: Value =
        serde_json::from_slice(&fs::read(root.join("back/model_index.json")).unwrap()).unwrap();
    assert_eq!(index["unet"][1], "UNet2DConditionModel");
    assert_eq!(inspect(&root.join("back")).unwrap().missing[0].parts, ["motion model: unet"]);
}

#[test]
fn a_single_file_is_a_base_model_like_its_folder() {
    let tiny = tiny();
    let root = tiny.path();
    run(&conversion(root, "base", "model.safetensors")).unwrap();
    let choice = |path: &str| ModelChoice { table: Some(root.join(path)), name: "None".to_owned() };
    let open = |base: &str, vae: Option<&str>| {
        let parts = PartChoice {
            vae: vae.map(|path| root.join(path).display().to_string()),
            tokenizer: Some(root.join("base/tokenizer")),
        };
        let specs = ModelSpec::find(&choice(base), &choice("motion/musev"), &parts, root);
        ModelFiles::open(&specs.unwrap()[0])
    };
    open("base", Some("base/vae")).unwrap();
    open("model.safetensors", None).unwrap();
    // Its VAE serves another base model too, and it another VAE.
    open("base", Some("model.safetensors")).unwrap();
    open("model.safetensors", Some("base/vae")).unwrap();
}

#[test]
fn without_configurations_a_file_is_stable_diffusion() {
    let folder = tempdir().unwrap();
    let tensors: [(&str, &str, &[usize], Vec<u8>); 3] = [
        ("model.diffusion_model.out.2.bias", "F32", &[1], f32s(&[1.0])),
        ("first_stage_model.quant_conv.bias", "F32", &[1], f32s(&[2.0])),
        ("cond_stage_model.transformer.text_model.x", "F32", &[1], f32s(&[3.0])),
    ];
    write(folder.path(), "model.safetensors", &safetensors(&tensors));
    let tokenizer = folder.path().join("tokenizer");
    fs::create_dir(&tokenizer).unwrap();
    write(&tokenizer, "vocab.json", b"{}");
    run(&conversion(folder.path(), "model.safetensors", "model")).unwrap();
    let model = folder.path().join("model");
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(model.join(file)).unwrap()).unwrap()
    };
    let unet = read("unet/config.json");
    assert_eq!(unet["block_out_channels"], serde_json::json!([320, 640, 1280, 1280]));
    assert_eq!(unet["down_block_types"][0], "CrossAttnDownBlock2D");
    assert_eq!(unet["_class_name"], "UNet2DConditionModel");
    assert_eq!(read("vae/config.json")["scaling_factor"], 0.18215);
    assert_eq!(read("text_encoder/config.json")["hidden_size"], 768);
    assert_eq!(read("scheduler/scheduler_config.json")["beta_end"], 0.012);
    // The folder beside the file is the tokenizer.
    assert_eq!(names(&model.join("tokenizer")), ["vocab.json"]);
}

#[test]
fn folders_are_rewritten_in_another_type() {
    let tiny = tiny();
    let root = tiny.path();
    let wide = Conversion { dtype: Some(StoredType::F32), ..conversion(root, "base", "wide") };
    run(&wide).unwrap();
    let narrow = Conversion { dtype: Some(StoredType::F16), ..conversion(root, "wide", "narrow") };
    run(&narrow).unwrap();
    for part in ["unet", "vae", "text_encoder"] {
        let open = |model: &str| Weights::open(&root.join(model).join(part)).unwrap();
        assert!(
            open("wide")
                .names()
                .all(|name| { open("wide").info(name).unwrap().dtype == burn::tensor::DType::F32 })
        );
        assert_same(&open("base"), &open("narrow"));
    }
    assert_eq!(names(&root.join("base")), names(&root.join("narrow")));
}

#[test]
fn pickles_become_safetensors() {
    let folder = tempdir().unwrap();
    for name in ["torch_zip.bin", "torch_legacy.pth"] {
        let input = golden(name);
        let to = Conversion {
            input: input.clone(),
            ..conversion(folder.path(), "", &format!("{name}.safetensors"))
        };
        assert_eq!(run(&to).unwrap().layout, "weights");
        assert_same(&Weights::open(&input).unwrap(), &Weights::open(&to.output).unwrap());
    }
}

#[test]
fn only_floats_are_converted_and_nothing_becomes_infinite() {
    let folder = tempdir().unwrap();
    let tensors: [(&str, &str, &[usize], Vec<u8>); 2] = [
        ("count", "I64", &[1], 7i64.to_le_bytes().to_vec()),
        ("weight", "F32", &[3], f32s(&[1.0, 65504.0, f32::NEG_INFINITY])),
    ];
    write(folder.path(), "in.safetensors", &safetensors(&tensors));
    let half = |input: &str, output: &str| Conversion {
        dtype: Some(StoredType::F16),
        ..conversion(folder.path(), input, output)
    };
    run(&half("in.safetensors", "half.safetensors")).unwrap();
    let converted = Weights::open(&folder.path().join("half.safetensors")).unwrap();
    assert_eq!(converted.tensor("count").unwrap().iter::<i64>().collect::<Vec<_>>(), [7]);
    let values: Vec<f32> = converted.tensor("weight").unwrap().iter().collect();
    assert_eq!(values, [1.0, 65504.0, f32::NEG_INFINITY]);

    let large = safetensors(&[("weight", "F32", &[1], f32s(&[70000.0]))]);
    write(folder.path(), "large.safetensors", &large);
    let error = run(&half("large.safetensors", "over.safetensors")).unwrap_err();
    assert!(error.contains("tensor weight") && error.contains("bf16"), "{error}");
    assert_eq!(names(folder.path()), ["half.safetensors", "in.safetensors", "large.safetensors"]);
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let tiny = tiny();
    let root = tiny.path();
    let before = names(root);
    for output in ["model.safetensors", "copy"] {
        let mut left = 5;
        let stopped = convert(&conversion(root, "base", output), &mut |event| {
            assert!(event.index < event.of);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(musev::Error::Cancelled)));
        assert_eq!(names(root), before);
    }
}

#[test]
fn what_is_there_stays_unless_it_is_forced() {
    let tiny = tiny();
    let root = tiny.path();
    for output in ["model.safetensors", "copy"] {
        let mut to = conversion(root, "base", output);
        run(&to).unwrap();
        let error = run(&to).unwrap_err();
        assert!(error.contains("--force"), "{error}");
        to.force = true;
        run(&to).unwrap();
        // In the place of its own input.
        run(&Conversion {
            input: to.output.clone(),
            dtype: Some(StoredType::Bf16),
            tokenizer: Some(root.join("base/tokenizer")),
            ..to
        })
        .unwrap();
    }
    fs::write(root.join("copy/thesis.txt"), "years of work").unwrap();
    let over = Conversion { force: true, ..conversion(root, "base", "copy") };
    let error = run(&over).unwrap_err();
    assert!(error.contains("thesis.txt"), "{error}");
    assert!(root.join("copy/thesis.txt").exists());
}

#[test]
fn a_folder_that_is_no_tokenizer_is_told_before_anything_is_written() {
    let tiny = tiny();
    let root = tiny.path();
    run(&conversion(root, "base", "model.safetensors")).unwrap();
    fs::create_dir(root.join("half")).unwrap();
    write(&root.join("half"), "vocab.json", b"{}");
    let before = names(root);
    for input in ["base", "model.safetensors"] {
        for (tokenizer, told) in [
            ("tokeniser", "is no folder"),
            ("model.safetensors", "is no folder"),
            ("base/unet", "holds neither"),
            ("half", "holds neither"),
        ] {
            let tokenizer = root.join(tokenizer);
            let wanted = format!("tokenizer: {} {told}", tokenizer.display());
            let to = Conversion { tokenizer: Some(tokenizer), ..conversion(root, input, "new") };
            let error = convert(&to, &mut |event| panic!("{} is written", event.name));
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(&wanted), "{input}: {error}");
            assert_eq!(names(root), before);
        }
    }
}

#[test]
fn what_cannot_become_the_output_says_why() {
    let tiny = tiny();
    let root = tiny.path();
    write(
        root,
        "xl.safetensors",
        &safetensors(&[("conditioner.embedders.0.x", "F32", &[0], vec![])]),
    );
    write(root, "vae.safetensors", &safetensors(&[("encoder.conv_in.bias", "F32", &[0], vec![])]));
    write(root, "cut.safetensors", &[0x10, 0, 0, 0, 0, 0, 0, 0, b'{']);
    let model = [("model.diffusion_model.out.2.bias", "F32", &[0][..], vec![])];
    write(root, "model.safetensors", &safetensors(&model));
    fs::create_dir_all(root.join("xl/text_encoder_2")).unwrap();
    fs::create_dir_all(root.join("xl/unet")).unwrap();
    fs::create_dir(root.join("folder.safetensors")).unwrap();
    for (input, output, told) in [
        ("nowhere", "new.safetensors", "nowhere"),
        ("cut.safetensors", "new.safetensors", "damaged"),
        ("xl.safetensors", "new.safetensors", "Stable Diffusion XL"),
        ("xl", "new.safetensors", "Stable Diffusion XL"),
        ("vae.safetensors", "new", "ends in .safetensors"),
        ("base", "new.ckpt", "only safetensors"),
        ("base", "nowhere/new.safetensors", "nowhere/new.safetensors"),
        ("base", "vae.safetensors", "--force"),
        ("base", "folder.safetensors", "is a folder"),
        ("motion/musev", "new.safetensors", "vae/config.json"),
        ("model.safetensors", "new", "tokenizer: "),
    ] {
        let before = names(root);
        let error = run(&conversion(root, input, output)).unwrap_err();
        assert!(error.contains(told), "{input} {output}: {error}");
        assert_eq!(names(root), before);
    }
    // A whole model moves, and a single file has no names for that.
    fs::remove_dir_all(root.join("base/unet")).unwrap();
    fs::rename(root.join("motion/musev/unet"), root.join("base/unet")).unwrap();
    let error = run(&conversion(root, "base", "new.safetensors")).unwrap_err();
    assert!(error.contains("without motion"), "{error}");
}
