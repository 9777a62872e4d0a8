//! Names and shapes of the published sizes; no weight is allocated.

use std::collections::BTreeMap;
use std::path::Path;

use musev::Device;
use musev::checkpoint::state_dict;
use musev::models::clip::text::{self, CLIPTextConfig};
use musev::models::unet_3d::{self, UNet3DConditionModelConfig};
use musev::models::vae::{self, AutoencoderKLConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

type Shapes = BTreeMap<String, Vec<usize>>;

/// The configuration and the tensors of `tests/manifests/<name>.json`.
fn manifest<C: DeserializeOwned>(name: &str) -> (C, Shapes) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/manifests/{name}.json"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tensors: BTreeMap<String, (Vec<usize>, String)> =
        serde_json::from_value(json["state_dict"].clone()).unwrap();
    let shapes = tensors.into_iter().map(|(name, (shape, _))| (name, shape)).collect();
    (serde_json::from_value(json["config"].clone()).unwrap(), shapes)
}

fn assert_same(got: Vec<(String, Vec<usize>)>, want: &Shapes) {
    let count = got.len();
    let got: Shapes = got.into_iter().collect();
    assert_eq!(got.len(), count, "no name occurs twice");
    let differs = |a: &Shapes, b: &Shapes| {
        a.iter().filter(|(name, shape)| b.get(*name) != Some(*shape)).count()
    };
    assert_eq!((differs(&got, want), differs(want, &got)), (0, 0), "too many, too few");
}

#[test]
fn text_encoder() {
    let (config, want) = manifest::<CLIPTextConfig>("clip_text_vit_l14");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), text::KEYS), &want);
    let default = CLIPTextConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, text::KEYS), &want);
}

#[test]
fn autoencoder() {
    let (config, want) = manifest::<AutoencoderKLConfig>("vae_sd_ft_mse");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), vae::KEYS), &want);
    let default = AutoencoderKLConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, vae::KEYS), &want);
}

#[test]
fn denoiser() {
    let (config, want) = manifest::<UNet3DConditionModelConfig>("unet_musev");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), unet_3d::KEYS), &want);
    let default = UNet3DConditionModelConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, unet_3d::KEYS), &want);
}
