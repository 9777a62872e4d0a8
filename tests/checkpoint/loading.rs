//! From weights into modules, strictly.

use std::collections::BTreeMap;
use std::fs;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{FloatDType, Tensor};
use musev::checkpoint::{LoadOptions, Weights, load, state_dict};
use musev::models::unet_3d::{self, UNet3DConditionModelConfig};
use musev::models::vae::{self, AutoencoderKLConfig};
use musev::{Device, Error};
use serde_json::Value;

use crate::checkpoints::{Sizes, is_motion};
use crate::common::device;
use crate::{case, f32s, safetensors};

#[derive(Module, Debug)]
struct Pair {
    first: Linear,
    second: Vec<Linear>,
}

fn pair(device: &Device) -> Pair {
    Pair {
        first: LinearConfig::new(3, 2).init(device),
        second: vec![LinearConfig::new(2, 2).with_bias(false).init(device)],
    }
}

fn options(allow_missing: &[String]) -> LoadOptions<'_> {
    LoadOptions { part: "pair", keys: &[], allow_missing, dtype: FloatDType::F32 }
}

fn weights(tensors: &[(&str, &[usize])]) -> Weights {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|&(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
            (name, "F32", shape, f32s(&values))
        })
        .collect();
    Weights::from_bytes("pair.safetensors", safetensors(&tensors)).unwrap()
}

const WHOLE: [(&str, &[usize]); 3] =
    [("first.weight", &[2, 3]), ("first.bias", &[2]), ("second.0.weight", &[2, 2])];

fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().into_data().convert::<f32>().try_to_vec().unwrap()
}

#[test]
fn linear_weights_are_transposed() {
    let device = device();
    let loaded = load(pair(&device), &weights(&WHOLE), &options(&[]), &device).unwrap();
    assert_eq!(loaded.first.weight.val().dims(), [3, 2]);
    assert_eq!(values(&loaded.first.weight), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(values(&loaded.second[0].weight), [0., 2., 1., 3.]);
    assert_eq!(values(loaded.first.bias.as_ref().unwrap()), [0., 1.]);
}

#[test]
fn large_matrices_are_transposed_across_tiles() {
    let device = Device::flex();
    let (rows, columns) = (71, 45);
    let linear = LinearConfig::new(columns, rows).with_bias(false).init(&device);
    let loaded =
        load(linear, &weights(&[("weight", &[rows, columns])]), &options(&[]), &device).unwrap();
    let got = values(&loaded.weight);
    for row in 0..rows {
        for column in 0..columns {
            assert_eq!(got[column * rows + row], (row * columns + column) as f32);
        }
    }
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let device = Device::flex();
    let odd = weights(&[("first.weight", &[3, 2]), ("second.0.weight", &[2, 2]), ("extra", &[4])]);
    let error = load(pair(&device), &odd, &options(&[]), &device).unwrap_err();
    assert!(matches!(&error, Error::Weights { part, .. } if part == "pair"));
    let error = error.to_string();
    for told in [
        "1 missing from the file: first.bias [2]",
        "1 unknown to the network: extra [4]",
        "first.weight ([3, 2] in the file, [2, 3] in the network)",
        "pair.safetensors",
    ] {
        assert!(error.contains(told), "{told:?} not in {error}");
    }
}

#[test]
fn long_lists_are_cut_with_a_count() {
    let names: Vec<String> = (0..50).map(|index| format!("extra.{index:02}")).collect();
    let shape: &[usize] = &[1];
    let mut tensors = WHOLE.to_vec();
    tensors.extend(names.iter().map(|name| (name.as_str(), shape)));
    let device = Device::flex();
    let error = load(pair(&device), &weights(&tensors), &options(&[]), &device).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("50 unknown") && error.contains("and 30 more"), "{error}");
    assert!(error.contains("--allow-missing") && !error.contains("extra.25"), "{error}");
}

#[test]
fn allowed_tensors_may_be_absent_on_either_side() {
    let device = Device::flex();
    let allowed = ["*.bias".to_string(), "extra*".to_string()];
    let file = weights(&[WHOLE[0], WHOLE[2], ("extra.1", &[4])]);
    let mut options = options(&allowed);
    options.dtype = FloatDType::F16;
    let loaded = load(pair(&device), &file, &options, &device).unwrap();
    assert_eq!(loaded.first.weight.val().dtype(), burn::tensor::DType::F16);
    // The initial value stays, in the type of the others.
    assert_eq!(loaded.first.bias.unwrap().val().dtype(), burn::tensor::DType::F16);
}

#[test]
fn positions_of_old_text_encoders_are_ignored() {
    let device = Device::flex();
    let mut tensors = WHOLE.to_vec();
    tensors.push(("text_model.embeddings.position_ids", &[1, 77]));
    load(pair(&device), &weights(&tensors), &options(&[]), &device).unwrap();
}

#[test]
fn integers_do_not_fill_float_parameters() {
    let device = Device::flex();
    let file = safetensors(&[("weight", "I32", &[2, 2], vec![0; 16])]);
    let file = Weights::from_bytes("ints", file).unwrap();
    let linear = LinearConfig::new(2, 2).with_bias(false).init(&device);
    let error = load(linear, &file, &options(&[]), &device).unwrap_err().to_string();
    assert!(error.contains("I32 in the file, a float type in the network"), "{error}");
}

#[test]
fn half_floats_are_widened_exactly() {
    let device = Device::flex();
    for (dtype, bytes) in [("F16", [0x00u8, 0x3e]), ("BF16", [0xc0, 0x3f])] {
        let file = safetensors(&[("weight", dtype, &[1, 1], bytes.to_vec())]);
        let file = Weights::from_bytes("half", file).unwrap();
        let linear = LinearConfig::new(1, 1).with_bias(false).init(&device);
        let loaded = load(linear, &file, &options(&[]), &device).unwrap();
        assert_eq!(values(&loaded.weight), [1.5], "{dtype}");
    }
}

#[test]
fn the_base_model_replaces_tensors_and_adds_none() {
    let motion = weights(&[("a", &[2]), ("temp_convs.b", &[3])]);
    let base = weights(&[("a", &[4])]);
    let merged = motion.clone().overlay(base).unwrap();
    assert_eq!(merged.info("a").unwrap().shape, [4]);
    assert_eq!(merged.info("temp_convs.b").unwrap().shape, [3]);
    let error = motion.overlay(weights(&[("c", &[1])])).unwrap_err().to_string();
    assert!(error.contains("1 of its tensors are not in pair.safetensors"), "{error}");
}

#[test]
fn prefixes_are_removed() {
    let weights = weights(&[("unet.a", &[1]), ("vae.b", &[1])]).with_prefix_removed("unet.");
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a"]);
}

/// Every name and shape of a production-size network, without a weight in memory.
fn assert_manifest(name: &str, tensors: Vec<(String, Vec<usize>)>) {
    let path = format!("{}/tests/manifests/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let manifest: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let shape = |value: &Value| serde_json::from_value(value[0].clone()).unwrap();
    let wanted = manifest["state_dict"].as_object().unwrap();
    let wanted: BTreeMap<String, Vec<usize>> =
        wanted.iter().map(|(name, value)| (name.clone(), shape(value))).collect();
    assert_eq!(tensors.into_iter().collect::<BTreeMap<_, _>>(), wanted);
}

#[test]
fn production_networks_have_the_published_tensors() {
    let sizes = Sizes::default();
    assert_manifest("unet_musev", sizes.unet_tensors());
    assert_manifest("vae_sd_ft_mse", sizes.vae_tensors());
    assert_manifest("clip_text_vit_l14", sizes.text_encoder_tensors());
}

#[test]
fn the_unet_without_motion_is_that_of_stable_diffusion() {
    let spatial = Sizes::default().unet_tensors().into_iter().filter(|(name, _)| !is_motion(name));
    assert_eq!(spatial.count(), 686);
}

#[test]
fn a_reference_unet_loads_strictly() {
    let device = device();
    let text = fs::read_to_string(case("unet3d_musev", "case.json")).unwrap();
    let case_json: Value = serde_json::from_str(&text).unwrap();
    let config: UNet3DConditionModelConfig =
        serde_json::from_value(case_json["config"].clone()).unwrap();
    let weights = Weights::open(&case("unet3d_musev", "weights.safetensors")).unwrap();
    let module = config.init(&device);
    let count = state_dict(&module, unet_3d::KEYS).len();
    assert_eq!(count, weights.names().count());
    let options = LoadOptions { keys: unet_3d::KEYS, ..options(&[]) };
    load(module, &weights, &options, &device).unwrap();
}

#[test]
fn old_attention_names_of_the_autoencoder_are_accepted() {
    let device = Device::flex();
    let text = fs::read_to_string(case("vae", "case.json")).unwrap();
    let case_json: Value = serde_json::from_str(&text).unwrap();
    let config: AutoencoderKLConfig = serde_json::from_value(case_json["config"].clone()).unwrap();
    let weights = Weights::open(&case("vae", "weights.safetensors")).unwrap();

    // The same weights as files from before diffusers 0.13 have them, as 1x1 convolutions.
    let renamed: Vec<(String, Vec<usize>, Vec<u8>)> = weights
        .names()
        .map(|name| {
            let old =
                [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
                    .iter()
                    .fold(name.to_string(), |name, (new, old)| name.replace(new, old));
            let mut shape = weights.info(name).unwrap().shape.clone();
            if old != name && shape.len() == 2 {
                shape.extend([1, 1]);
            }
            (old, shape, weights.tensor(name).unwrap().into_parts().0.to_vec())
        })
        .collect();
    let tensors: Vec<_> = renamed
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), "F32", shape.as_slice(), bytes.clone()))
        .collect();
    let old = Weights::from_bytes("old.safetensors", safetensors(&tensors)).unwrap();
    assert!(old.names().any(|name| name.contains("proj_attn")));

    let options = LoadOptions { part: "vae", keys: vae::KEYS, ..options(&[]) };
    let picture = || Tensor::<4>::ones([1, 3, 8, 8], &device);
    let decode = |weights: &Weights| {
        let vae = load(config.init(&device), weights, &options, &device).unwrap();
        vae.encode(picture()).mean.into_data()
    };
    decode(&weights).assert_eq(&decode(&old), true);
}
