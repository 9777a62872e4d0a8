//! Networks: the original's numbers, the state dicts of published sizes, and what must hold for
//! any input.

mod common;
#[path = "networks/denoiser.rs"]
mod denoiser;
#[path = "networks/manifests.rs"]
mod manifests;
#[path = "networks/text.rs"]
mod text;

use std::path::Path;

use musev::doctor::cases::{Status, run};

fn passes(case: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(case);
    let report = pollster::block_on(run(&folder, &common::device()));
    assert_eq!(report.status, Status::Pass, "{report:?}");
}

#[test]
fn temporal_conv() {
    passes("temporal_conv");
}

#[test]
fn temporal_transformer() {
    passes("temporal_transformer_musev");
}

#[test]
fn resnet_block() {
    passes("resnet_block");
}

#[test]
fn unet3d() {
    passes("unet3d_musev");
}

#[test]
fn unet3d_text2image() {
    passes("unet3d_musev_text2image");
}

#[test]
fn vae() {
    passes("vae");
}

#[test]
fn clip_text() {
    passes("clip_text");
}

#[test]
fn weighted_prompt() {
    passes("weighted_prompt");
}
