//! `musev face` with small networks of the interface of InsightFace's.

use std::path::Path;

use musev::Frame;

use super::sandbox::Sandbox;

/// The folder of the networks; their faces are no faces.
pub(super) fn models() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/face");
    folder.to_str().expect("the repository has a plain name").to_owned()
}

#[test]
fn the_surest_face_is_told_and_written() {
    let sandbox = Sandbox::new();
    let image = super::videos::photograph();
    let models = models();
    let words = ["face", &image, "--models", &models, "-o", "out/face.safetensors"];
    let told = &sandbox.events(&[&words[..], &["--json"]].concat())[0];
    let faces = told["faces"].as_array().expect("a list of faces");
    assert!(!faces.is_empty() && told["path"] == "out/face.safetensors");
    let scores: Vec<_> = faces.iter().filter_map(|face| face["score"].as_f64()).collect();
    assert!(scores.len() == faces.len() && scores.is_sorted_by(|a, b| a >= b));
    let path = sandbox.path("out/face.safetensors");
    let weights = musev::checkpoint::Weights::open(&path).expect("it is a safetensors file");
    let shape = weights.info("face_embedding").map(|info| info.shape.clone());
    assert_eq!(shape, Some(vec![1, 512]));
    sandbox.succeed(&words[..4]);
}

#[test]
fn mistakes_are_named() {
    let sandbox = Sandbox::new();
    let models = models();
    let black = musev::media::png::encode(&Frame::filled(64, 64, [0; 3])).expect("it is plain");
    sandbox.write("black.png", black);
    let output = ["-o", "out/a.safetensors"];
    let face = |picture, models| [&["face", picture, "--models", models], &output[..]].concat();
    sandbox.refuses(&face("black.png", &models), &["black.png", "no face is found"]);
    sandbox.refuses(&face("picture.png", "out"), &["out: has no det_10g.onnx", "buffalo_l"]);
    sandbox.refuses(&face("none.png", &models), &["none.png"]);
    sandbox.refuses(&["face", "picture.png"], &["--models"]);
}
