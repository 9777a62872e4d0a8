//! Files of ControlNet's authors, and the names of their tensors in diffusers.

use std::collections::BTreeMap;
use std::fs;

use musev::checkpoint::{Weights, control_net};
use musev::{Kind, inspect};
use tempfile::tempdir;

use crate::{golden, safetensors, write};

/// Every name of such a file, with what diffusers makes of it.
fn recorded() -> BTreeMap<String, (String, Vec<usize>)> {
    let text = fs::read_to_string(golden("formats/control_net_keys.json")).unwrap();
    let mut all: BTreeMap<String, _> = serde_json::from_str(&text).unwrap();
    all.remove("controlnet").unwrap()
}

/// Tensors of no elements.
fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let tensors: Vec<_> = names.into_iter().map(|name| (name, "F32", &[0][..], vec![])).collect();
    safetensors(&tensors)
}

fn renamed(bytes: Vec<u8>) -> Option<Weights> {
    control_net(&Weights::from_bytes("control.safetensors", bytes).unwrap()).unwrap()
}

#[test]
fn every_name_is_that_of_diffusers() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 340);
    let mut wanted: Vec<&str> = recorded.values().map(|(name, _)| name.as_str()).collect();
    wanted.sort_unstable();
    let whole = renamed(named(recorded.keys().map(String::as_str))).unwrap();
    assert_eq!(whole.names().collect::<Vec<_>>(), wanted);
    let bare = recorded.keys().map(|name| name.strip_prefix("control_model.").unwrap());
    assert_eq!(renamed(named(bare)).unwrap().names().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_model_beside_it_is_left_aside() {
    let names = [
        "control_model.input_hint_block.0.weight",
        "control_model.input_hint_block.14.weight",
        "control_model.strange.weight",
        "model.diffusion_model.out.2.weight",
    ];
    let found = renamed(named(names)).unwrap();
    let wanted = [
        "controlnet_cond_embedding.conv_in.weight",
        "controlnet_cond_embedding.conv_out.weight",
        "strange.weight",
    ];
    assert_eq!(found.names().collect::<Vec<_>>(), wanted);
}

#[test]
fn other_files_are_no_control_net() {
    assert!(renamed(named(["controlnet_mid_block.weight"])).is_none());
    assert!(renamed(named(["model.diffusion_model.out.2.weight"])).is_none());
}

#[test]
fn inspecting_tells_the_naming_and_what_is_missing() {
    let folder = tempdir().unwrap();
    let names: Vec<String> = recorded().into_keys().collect();
    let kept = names.iter().map(String::as_str).filter(|name| !name.contains("zero_convs.11"));
    write(folder.path(), "control.safetensors", &named(kept));
    let inspection = inspect(&folder.path().join("control.safetensors")).unwrap();
    assert_eq!(inspection.kind, Kind::ControlNet);
    let weights = inspection.parts[0].weights.as_ref().unwrap();
    let network = weights.network.as_ref().unwrap();
    assert_eq!((network.network.as_str(), network.present, network.of), ("ControlNet", 338, 340));
    let missing = ["controlnet_down_blocks.11.bias", "controlnet_down_blocks.11.weight"];
    assert_eq!(network.missing.len(), 2);
    assert!(missing.iter().all(|name| network.missing.iter().any(|found| found == name)));
    assert!(inspection.missing.is_empty());
}
