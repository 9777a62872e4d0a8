//! Videos that look like pictures: ReferenceNet, image prompt and faces, with random weights.

use std::sync::OnceLock;

use serde_json::Value;

use super::bad_models;
use super::sandbox::{Sandbox, text};
use super::videos::{frames, named};
use crate::conditioners::{self, FACE};
use musev::Frame;

/// The folder of the tiny model with everything, written once for all tests of a run.
pub(super) fn model() -> &'static str {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (sizes, encoder) = conditioners::tiny();
        conditioners::write(folder.path(), &sizes, &encoder).expect("it can be written");
        folder
    });
    folder.path().to_str().expect("temporary folders have plain names")
}

/// A file of the model.
fn at(path: &str) -> String {
    format!("{}/{path}", model())
}

/// A sandbox with a second picture.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut other = Frame::filled(64, 64, [10, 60, 200]);
    other.data[..3 * 64 * 30].fill(250);
    let png = musev::media::png::encode(&other).expect("a plain picture can be encoded");
    sandbox.write("other.png", png);
    sandbox
}

/// Small, quick and always the same.
const QUICK: [&str; 15] = [
    "text2video",
    "--device",
    "cpu",
    "--width",
    "64",
    "--height",
    "64",
    "--steps",
    "1",
    "--num-inference-steps",
    "1",
    "--time-size",
    "3",
    "--seed",
    "1",
];

fn with_model<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&QUICK[..], &["--model", model(), "--image", "picture.png"], words].concat()
}

/// The levels of the video that `words` make.
fn video(sandbox: &Sandbox, words: &[&str]) -> Vec<u8> {
    sandbox.succeed(&[words, &["-o", "out/a.png"]].concat());
    frames(&sandbox.path("out/a"))
}

/// The networks that were loaded, in order.
fn loaded(events: &[Value]) -> Vec<&str> {
    named(events, "loaded").iter().filter_map(|event| event["part"].as_str()).collect()
}

#[test]
fn a_whole_model_brings_its_networks_and_every_picture_counts() {
    let sandbox = sandbox();
    let plain = video(&sandbox, &with_model(&[]));
    assert_eq!(plain.len(), 4 * 64 * 64 * 3);
    assert_eq!(video(&sandbox, &with_model(&[])), plain, "the same words make the same video");
    // The picture that the video begins with is its reference and its image prompt.
    let named =
        ["--referencenet-image-path", "picture.png", "--ipadapter-image-path", "picture.png"];
    assert_eq!(video(&sandbox, &with_model(&named)), plain);
    let changes: [&[&str]; 6] = [
        &["--referencenet-image-path", "other.png"],
        &["--ipadapter-image-path", "other.png"],
        &["--ip-adapter-scale", "0.3"],
        &["--motion-speed", "3"],
        &["--referencenet-model-name", "None"],
        &["--redraw-condition-image"],
    ];
    for words in changes {
        assert_ne!(video(&sandbox, &with_model(words)), plain, "{words:?} changes nothing");
    }
}

#[test]
fn only_the_networks_that_are_needed_are_loaded() {
    let sandbox = sandbox();
    let out = ["-o", "out/a.gif", "--json"];
    let events = sandbox.events(&with_model(&out));
    let parts = loaded(&events);
    let all = ["vae", "unet", "text_encoder", "image_encoder", "image_proj", "referencenet"];
    assert_eq!(parts, all);
    let words = [&out[..], &["--referencenet-model-name", "None"]].concat();
    let events = sandbox.events(&with_model(&words));
    assert_eq!(loaded(&events), all[..5]);
    // Shots that share their pictures share what was made of them.
    let words = [&out[..], &["--n-batch", "3"]].concat();
    let events = sandbox.events(&with_model(&words));
    assert_eq!(loaded(&events), all);
    let words = [&out[..], &["--n-batch", "2", "--fixed_refer_image"]].concat();
    let events = sandbox.events(&with_model(&words));
    let again = ["image_encoder", "image_proj", "referencenet"];
    assert_eq!(loaded(&events), [&all[..], &again].concat());
}

#[test]
fn tables_name_the_same_networks_in_the_originals_spelling() {
    let sandbox = sandbox();
    let base = at("base");
    let vae = at("base/vae");
    let words = [
        "--sd_model_name",
        "None",
        "--sd_model_cfg_path",
        &base,
        "--vae_model_path",
        &vae,
        "--model-dir",
        model(),
        "--unet_model_name",
        "musev_referencenet",
        "--referencenet_model_name",
        "musev_referencenet",
        "--ip_adapter_model_name",
        "musev_referencenet",
        "--vision_clip_extractor_class_name",
        "ImageClipVisionFeatureExtractor",
    ];
    let image = ["--image", "picture.png"];
    let of_tables = [&QUICK[..], &words, &image].concat();
    let plain = video(&sandbox, &of_tables);
    assert_eq!(plain, video(&sandbox, &with_model(&[])));
    let folder = at("IP-Adapter/models/image_encoder");
    let by_path = [&of_tables[..], &["--vision_clip_model_path", &folder]].concat();
    assert_eq!(video(&sandbox, &by_path), plain);
    // Adapters of others bring keys and values for the denoiser.
    for name in ["IPAdapter", "IPAdapterPlus"] {
        let mut other = of_tables.clone();
        let option = other.iter().position(|word| *word == "--ip_adapter_model_name");
        other[option.expect("it is named") + 1] = name;
        assert_ne!(video(&sandbox, &other), plain, "{name}");
    }
    let without = [&of_tables[..12 + QUICK.len()], &image].concat();
    let events = sandbox.events(&[&without[..], &["-o", "out/a.gif", "--json"]].concat());
    assert_eq!(loaded(&events), ["vae", "unet", "text_encoder", "referencenet"]);
}

#[test]
fn tasks_name_pictures_and_names_of_files_tell_them() {
    let sandbox = sandbox();
    sandbox.write(
        "tasks.yaml",
        "- name: a\n  prompt: a hill\n  condition_images: picture.png\n  refer_image: other.png\n\
         \x20 ipadapter_image: ${.condition_images}\n  motion_speed: 6\n\
         - name: b\n  prompt: a hill\n  refer_image: other.png\n  ipadapter_image: other.png\n",
    );
    let words = ["--model", model(), "-t", "tasks.yaml", "--output-dir", "out"];
    let switches = [
        "--redraw_condition_image_with_referencenet",
        "--redraw_condition_image_with_ipdapter",
        "--redraw_condition_image_with_facein",
        "--redraw_condition_image_with_ip_adapter_face",
        "--fixed_ip_adapter_image",
        "--n_batch",
        "2",
    ];
    sandbox.succeed(&[&QUICK[..], &words, &switches].concat());
    let names = sandbox.list("out");
    assert_eq!(names.len(), 2, "{names:?}");
    for needle in ["rm=musev_referencenet_case=a_", "_ms=6.0_", "_c-i=pictu_", "_r=oth_ip=oth_f=no"]
    {
        assert!(names[0].contains(needle), "{needle}: {names:?}");
    }
    // A model without these networks leaves the pictures of tasks aside, as the original does.
    let plain = ["--model", bad_models::model(), "-t", "tasks.yaml", "--output-dir", "out"];
    sandbox.succeed(&[&QUICK[..], &plain].concat());
    let names = sandbox.list("out");
    assert!(names.iter().any(|name| name.contains("_rm=no_case=a_")), "{names:?}");
}

/// A .npy file of one row.
pub(super) fn npy(values: &[f32]) -> Vec<u8> {
    let count = values.len();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}\n");
    let head = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()].concat();
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    head.into_iter().chain(header.into_bytes()).chain(values).collect()
}

#[test]
fn faces_are_read_from_their_embeddings() {
    let sandbox = sandbox();
    let face: Vec<f32> = (0..FACE).map(|i| (i as f32).sin()).collect();
    sandbox.write("face.npy", npy(&face));
    sandbox.write("other.npy", npy(&face.iter().rev().copied().collect::<Vec<_>>()));
    sandbox.write("short.npy", npy(&face[..100]));
    let file = at("IP-Adapter/models/ip-adapter-faceid_sd15.bin");
    let adapter =
        ["--ip-adapter-face-model-name", "None", "--ip-adapter-face-model-cfg-path", &file];
    let with =
        |words: &[&'static str]| video(&sandbox, &[&with_model(&adapter)[..], words].concat());
    let [one, other] = ["face.npy", "other.npy"].map(|file| with(&["--face-embedding", file]));
    assert_ne!(one, other);
    assert_ne!(with(&["--face-embedding", "face.npy", "--ip-adapter-face-scale", "0.2"]), one);

    let out = ["-o", "out/b.gif"];
    let refuses = |words: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&with_model(&adapter)[..], words, &out].concat(), needles);
    };
    refuses(&[], &["face-embedding"]);
    refuses(&["--face-image-path", "picture.png"], &["face-embedding", "--face-analysis-path"]);
    refuses(&["--face-embedding", "picture.png"], &["picture.png"]);
    refuses(&["--face-embedding", "face.npy", "--fixed_refer_face_image"], &["refer-face-image"]);
    let words = [&with_model(&adapter)[..], &["--face-embedding", "short.npy"], &out].concat();
    let said = text(&sandbox.run(&words).stderr);
    assert!(said.contains("100 numbers") && said.contains("512"), "{said}");
}

#[cfg(feature = "face")]
#[test]
fn faces_are_found_in_pictures() {
    let sandbox = sandbox();
    let file = at("IP-Adapter/models/ip-adapter-faceid_sd15.bin");
    let networks = super::face::models();
    let adapter = [
        "--ip-adapter-face-model-name",
        "None",
        "--ip-adapter-face-model-cfg-path",
        &file,
        "--face-analysis-path",
        &networks,
    ];
    let photograph = super::videos::photograph();
    let face = ["--face-image-path", &photograph];
    let with = |words: &[&'static str]| {
        video(&sandbox, &[&with_model(&adapter)[..], &face, words].concat())
    };
    // As when it is found first, and then read from its file.
    let found = with(&[]);
    let words = ["face", &photograph, "--models", &networks, "-o", "out/face.safetensors"];
    sandbox.succeed(&words);
    let read = ["--face-embedding", "out/face.safetensors"];
    assert_eq!(video(&sandbox, &[&with_model(&adapter[..4])[..], &read].concat()), found);

    // In the picture that the video begins with, where there is no other.
    let out = ["-o", "out/b.gif"];
    let refuses = |words: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&with_model(&adapter)[..], words, &out].concat(), needles);
    };
    let black = musev::media::png::encode(&Frame::filled(64, 64, [0; 3])).expect("it is plain");
    sandbox.write("black.png", black);
    refuses(&[], &["picture.png", "no face is found"]);
    refuses(&["--face-image-path", "black.png"], &["black.png", "no face is found"]);
    let elsewhere =
        [&with_model(&adapter[..4])[..], &["--face-analysis-path", "out"], &out].concat();
    sandbox.refuses(&elsewhere, &["out: has no det_10g.onnx"]);
    refuses(&["--face-embedding", "x.npy"], &["--face-embedding", "--face-analysis-path"]);

    // Each shot has the face of the one before, or all have the first.
    let shots = |words: &[&'static str]| with(&[&["--n-batch", "2"], words].concat());
    assert_ne!(shots(&["--no-fixed-refer-face-image"]), shots(&[]));
}

#[test]
fn an_image_prompt_can_stand_in_place_of_the_words() {
    let sandbox = sandbox();
    let encoder = at("IP-Adapter/models/image_encoder");
    let base = [&QUICK[..], &["--model", bad_models::model(), "--image", "picture.png"]].concat();
    let sees = ["--vision-clip-model-path", &encoder];
    let seen = [&base[..], &sees, &["--prompt-only-use-image-prompt"]].concat();
    let one = video(&sandbox, &seen);
    assert_eq!(video(&sandbox, &[&seen[..], &["--prompt", "a hill"]].concat()), one);
    let other = [&seen[..], &["--ipadapter-image-path", "other.png"]].concat();
    assert_ne!(video(&sandbox, &other), one);
    let beside = [&base[..], &sees, &["-o", "out/b.gif"]].concat();
    let said = text(&sandbox.run(&beside).stderr);
    assert!(said.contains("no branch for pictures") && said.contains("prompt-only"), "{said}");
}

#[test]
fn networks_that_are_not_there_or_do_not_fit_are_told() {
    let sandbox = sandbox();
    let refuses = |words: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&with_model(words)[..], &["-o", "out/a.gif"]].concat(), needles);
    };
    let no_reference =
        ["--referencenet-model-name", "None", "--referencenet-image-path", "other.png"];
    refuses(&no_reference, &["referencenet-image-path", "--referencenet-model-name"]);
    refuses(&["--face-image-path", "other.png"], &["face-image-path", "IPAdapterFaceID"]);
    refuses(&["--face-embedding", "x.npy"], &["face-embedding", "IPAdapterFaceID"]);
    refuses(&["--facein-model-name", "facein"], &["facein-model-name", "not supported"]);
    refuses(&["--referencenet-model-name", "musev"], &["referencenet.yaml", "musev_referencenet"]);
    refuses(&["--ip-adapter-model-name", "IPAdaptor"], &["did you mean `IPAdapter`?"]);
    refuses(
        &["--ip-adapter-model-name", "IPAdapter"],
        &["IP-Adapter is not there", "MUSEV_MODELS"],
    );
    refuses(&["--vision-clip-model-path", "eyes"], &["neither a path nor a known image encoder"]);
    refuses(&["--vision-clip-extractor-class-name", "Eyes"], &["ImageClipVisionFeatureExtractor"]);
    refuses(&["--referencenet-image-path", "nothing.png"], &["nothing.png"]);
    refuses(&["--ip-adapter-scale=-1"], &["ip-adapter-scale"]);
    refuses(&["--motion-speed=-1"], &["motion-speed"]);

    let own = |option: &'static str, path: &str, needles: &[&str]| {
        let (name, table) = (format!("--{option}-name"), format!("--{option}-cfg-path"));
        let path = at(path);
        refuses(&[&name, "None", &table, &path], needles);
    };
    let faces = "IP-Adapter/models/ip-adapter-faceid_sd15.bin";
    own("ip-adapter-model", faces, &["adapter of faces", "--ip-adapter-face-model-name"]);
    let whole = "IP-Adapter/models/ip-adapter_sd15.bin";
    own("ip-adapter-face-model", whole, &["whole pictures", "--ip-adapter-model-name"]);
    own("ip-adapter-model", "base/text_encoder", &["is no IP-Adapter"]);
    own("referencenet-model", "base/vae", &["vae/config.json"]);
    let table = "referencenet-model-cfg-path";
    let folder = at("motion");
    refuses(
        &["--referencenet-model-name", "x", &format!("--{table}"), &folder],
        &["is a folder, not a table"],
    );

    // Of another model.
    let reference = at("motion/musev_referencenet");
    let words = ["--model", bad_models::model(), "--image", "picture.png", "-o", "out/a.gif"];
    let named = ["--referencenet-model-name", "None", "--referencenet-model-cfg-path", &reference];
    let said = text(&sandbox.run(&[&QUICK[..], &words, &named].concat()).stderr);
    assert!(said.contains("no place for a ReferenceNet"), "{said}");
    if cfg!(feature = "mini") {
        let mini = ["text2video", "--model", "mini", "--prompt", "x", "-o", "out/a.gif"];
        sandbox.refuses(&[&mini[..], &named].concat(), &["mini has no ReferenceNet"]);
    }
}
