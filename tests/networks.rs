//! Networks: the original's numbers, the state dicts of published sizes, and what must hold for
//! any input.

mod common;
#[path = "networks/denoiser.rs"]
mod denoiser;
#[path = "networks/manifests.rs"]
mod manifests;
#[path = "common/scramble.rs"]
mod scramble;
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

#[test]
fn temporal_transformer_of_referencenet() {
    passes("temporal_transformer_referencenet");
}

#[test]
fn spatial_transformer() {
    passes("spatial_transformer_ip_refer");
}

#[test]
fn reference_fusion() {
    passes("refer_fuse_attention");
}

#[test]
fn unet3d_referencenet() {
    passes("unet3d_referencenet_cfg");
}

#[test]
fn unet3d_referencenet_without_guidance() {
    passes("unet3d_referencenet_nocfg");
}

#[test]
fn unet3d_referencenet_control() {
    passes("unet3d_referencenet_noref_control");
}

#[test]
fn referencenet() {
    passes("referencenet2d");
}

#[test]
fn controlnet() {
    passes("controlnet");
}

#[test]
fn controlnet_guess() {
    passes("controlnet_guess");
}

#[test]
fn pose_guider() {
    passes("pose_guider");
}

#[test]
fn clip_vision() {
    passes("clip_vision");
}

#[test]
fn image_proj() {
    passes("image_proj");
}

#[test]
fn face_id_proj() {
    passes("faceid_proj");
}

#[test]
fn resampler() {
    passes("ip_plus_resampler");
}
