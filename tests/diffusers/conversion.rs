//! From the folder that diffusers wrote to the single file that diffusers reads, and back.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use md5::{Digest, Md5};
use musev::checkpoint::Weights;
use musev::{Conversion, ModelFiles, ModelSpec, convert};
use tempfile::tempdir;

use crate::record::{assert_close, golden, latents, runs};
use crate::whole::{base, first_frame};

fn converted(input: &Path, output: &Path) {
    let conversion = Conversion {
        input: input.to_owned(),
        output: output.to_owned(),
        dtype: None,
        force: false,
        tokenizer: Some(golden("base/tokenizer")),
        root: golden("models"),
    };
    convert(&conversion, &mut |_| ControlFlow::Continue(())).unwrap();
}

#[test]
fn a_folder_becomes_the_single_file_that_diffusers_reads() {
    let folder = tempdir().unwrap();
    let (file, again) = (folder.path().join("model.safetensors"), folder.path().join("again"));
    converted(&golden("base"), &file);
    let weights = Weights::open(&file).unwrap();
    let text = fs::read_to_string(golden("single_file.json")).unwrap();
    let recorded: BTreeMap<String, (Vec<usize>, String)> = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = recorded.keys().map(String::as_str).collect();
    assert_eq!(weights.names().collect::<Vec<_>>(), names);
    for (name, (shape, digest)) in &recorded {
        assert_eq!(weights.info(name).unwrap().shape, *shape, "{name}");
        let bytes = Md5::digest(weights.tensor(name).unwrap().as_bytes());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, *digest, "{name}");
    }

    // The file is as good a base as the folder.
    let spec = ModelSpec { base: file.clone(), vae: file.clone(), ..base() };
    let files = ModelFiles::open(&spec).unwrap();
    for run in runs("ddim").into_iter().take(1) {
        assert_close(first_frame(&files, &run), latents(&run.name), &run.name);
    }

    converted(&file, &again);
    for part in ["unet", "vae", "text_encoder"] {
        let (one, other) = (golden("base").join(part), again.join(part));
        let (one, other) = (Weights::open(&one).unwrap(), Weights::open(&other).unwrap());
        assert_eq!(one.names().count(), other.names().count(), "{part}");
        for name in one.names() {
            // Here transformers 5 leaves the outermost module out; every version reads it.
            let full =
                if part == "text_encoder" { format!("text_model.{name}") } else { name.into() };
            one.tensor(name).unwrap().assert_eq(&other.tensor(&full).unwrap(), true);
        }
    }
}
