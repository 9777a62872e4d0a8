//! Textual inversion with the tiny model: a learned word whose vector is that of a word that the
//! model knows makes the same video.

use std::fs;
use std::path::Path;

use musev::checkpoint::Weights;
use serde_json::Value;

use super::bad_models::model;
use super::sandbox::Sandbox;

/// A safetensors file as AUTOMATIC1111 writes it, its vectors those of these tokens of the model.
fn learned(tokens: &[&str]) -> Vec<u8> {
    let base = Path::new(model()).join("base");
    let vocabulary = fs::read(base.join("tokenizer/vocab.json")).expect("the model is whole");
    let vocabulary: Value = serde_json::from_slice(&vocabulary).expect("it is JSON");
    let weights = Weights::open(&base.join("text_encoder")).expect("the model is whole");
    let name = "text_model.embeddings.token_embedding.weight";
    let rows: Vec<f32> = weights.tensor(name).expect("it is there").iter::<f32>().collect();
    let width = weights.info(name).expect("it is there").shape[1];
    let row = |token: &&str| {
        let id = vocabulary[*token].as_u64().expect("a token of the model") as usize;
        rows[width * id..width * (id + 1)].to_vec()
    };
    let values: Vec<f32> = tokens.iter().flat_map(row).collect();
    safetensors(&[tokens.len(), width], &values)
}

fn safetensors(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let end = 4 * values.len();
    let header =
        format!(r#"{{"emb_params":{{"dtype":"F32","shape":{shape:?},"data_offsets":[0,{end}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

const WORDS: [&str; 17] = [
    "text2video",
    "--image",
    "picture.png",
    "--device",
    "cpu",
    "--frames",
    "3",
    "--steps",
    "2",
    "--seed",
    "1",
    "--negative-prompt",
    "Empty",
    "--width",
    "64",
    "--height",
    "64",
];

/// The pixels of the last frame that `words` make.
fn last_frame(sandbox: &Sandbox, prompt: &str, words: &[&str]) -> musev::Frame {
    let output = ["--prompt", prompt, "-o", "out/frames.png"];
    sandbox.succeed(&[&WORDS[..], &output, words].concat());
    musev::read_frame(&sandbox.path("out/frames/0002.png")).expect("it was written")
}

#[test]
fn a_learned_word_acts_as_its_vectors() {
    let sandbox = Sandbox::new();
    sandbox.write("glorp.safetensors", learned(&["q</w>", "z</w>"]));
    let whole = ["--model", model()];
    let with = [&whole[..], &["--embedding", "glorp.safetensors"]].concat();
    let all = [&with[..], &["--embedding-vectors", "all"]].concat();
    let named = [&whole[..], &["--embedding", "glorp.safetensors:<x>"]].concat();
    let (first, both) =
        (last_frame(&sandbox, "a q", &whole), last_frame(&sandbox, "a q z", &whole));
    assert_ne!(first, both);
    assert_eq!(last_frame(&sandbox, "a glorp", &with), first);
    assert_eq!(last_frame(&sandbox, "a <x>", &named), first);
    assert_eq!(last_frame(&sandbox, "a glorp", &all), both);
    assert_ne!(last_frame(&sandbox, "a glorp", &whole), first);
}

#[test]
fn words_of_the_table_are_known_where_their_files_are() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("models/embedding")).expect("the folder is new");
    sandbox.write("models/embedding/badhandv4.pt", learned(&["q</w>"]));
    let (base, motion) = (format!("{}/base", model()), format!("{}/motion/musev", model()));
    let vae = format!("{base}/vae");
    let tables = [
        "--model-dir",
        "models",
        "--sd-model-name",
        "None",
        "--sd-model-cfg-path",
        &base,
        "--unet-model-name",
        "None",
        "--unet-model-cfg-path",
        &motion,
        "--vae-model-path",
        &vae,
    ];
    let none = [&tables[..], &["--embedding-cfg-path", "None"]].concat();
    let plain = last_frame(&sandbox, "a q", &none);
    assert_eq!(last_frame(&sandbox, "a badhandv4", &tables), plain);
    assert_ne!(last_frame(&sandbox, "a badhandv4", &none), plain);
    // A file that is named takes the word from the table's.
    sandbox.write("badhandv4.pt", learned(&["z</w>"]));
    let named = [&tables[..], &["--embedding", "badhandv4.pt"]].concat();
    assert_eq!(last_frame(&sandbox, "a badhandv4", &named), last_frame(&sandbox, "a z", &none));
}

#[test]
fn mistakes_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("wide.pt", safetensors(&[1, 5], &[0.0; 5]));
    sandbox.write("glorp.pt", learned(&["q</w>"]));
    let base = ["--prompt", "a", "-o", "out/a.gif", "--model", model()];
    let refuses = |embedding: &str, needles: &[&str]| {
        sandbox.refuses(&[&WORDS[..], &base, &["--embedding", embedding]].concat(), needles);
    };
    refuses("wide.pt", &["wide.pt", "5 channels", "text encoder 32"]);
    refuses("glorp.pt:q", &["glorp.pt", "\"q\" is a token of the vocabulary already"]);
    refuses("none.pt", &["none.pt"]);
    refuses("picture.png", &["picture.png"]);
    refuses("glorp.pt:a:b", &["\"b\" is too much"]);
    let both = ["--embedding", "glorp.pt", "--embedding", "glorp.pt"];
    let needles = ["\"glorp\" is a token of another embedding", "FILE:TOKEN"];
    sandbox.refuses(&[&WORDS[..], &base, &both].concat(), &needles);
    let table = ["--embedding-cfg-path", "none.yaml"];
    sandbox.refuses(&[&WORDS[..], &base, &table].concat(), &["none.yaml"]);
}
