//! Single files of Stable Diffusion 1, and their names in diffusers.

use std::collections::BTreeMap;
use std::fs;

use burn::tensor::FloatDType;
use musev::Device;
use musev::checkpoint::{LoadOptions, SingleFile, Weights, load};
use musev::models::vae;
use proptest::prelude::*;

use crate::checkpoints::{Sizes, is_motion};
use crate::{golden, safetensors};

type Table = BTreeMap<String, (String, Vec<usize>)>;

/// Every name of Stable Diffusion 1.5, with what diffusers makes of it.
fn recorded() -> BTreeMap<String, Table> {
    let text = fs::read_to_string(golden("formats/single_file_keys.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A file of float32 tensors of no elements.
fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Weights {
    let tensors: Vec<_> = names.into_iter().map(|name| (name, "F32", &[0][..], vec![])).collect();
    Weights::from_bytes("model.safetensors", safetensors(&tensors)).unwrap()
}

fn opened(weights: &Weights) -> SingleFile {
    SingleFile::of(weights).unwrap().expect("it is a single file")
}

fn parts(single: &SingleFile) -> [(&'static str, &Weights); 3] {
    [
        ("unet", single.unet.as_ref().unwrap()),
        ("vae", single.vae.as_ref().unwrap()),
        ("text_encoder", single.text_encoder.as_ref().unwrap()),
    ]
}

#[test]
fn every_name_is_that_of_diffusers_both_ways() {
    let recorded = recorded();
    let all = || recorded.values().flat_map(|part| part.keys().map(String::as_str));
    assert_eq!(all().count(), 686 + 248 + 196);
    let single = opened(&named(all()));
    for (part, weights) in parts(&single) {
        let mut wanted: Vec<&str> =
            recorded[part].values().map(|(name, _)| name.as_str()).collect();
        wanted.sort_unstable();
        assert_eq!(weights.names().collect::<Vec<_>>(), wanted, "{part}");
    }
    let mut wanted: Vec<&str> = all().collect();
    wanted.sort_unstable();
    assert_eq!(single.joined().unwrap().names().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_networks_have_the_recorded_tensors() {
    let recorded = recorded();
    let sizes = Sizes::default();
    let wanted = |part: &str| recorded[part].values().cloned().collect::<BTreeMap<_, _>>();
    let spatial = sizes.unet_tensors().into_iter().filter(|(name, _)| !is_motion(name));
    assert_eq!(spatial.collect::<BTreeMap<_, _>>(), wanted("unet"));
    assert_eq!(sizes.vae_tensors().into_iter().collect::<BTreeMap<_, _>>(), wanted("vae"));
    let text = sizes.text_encoder_tensors().into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(text, wanted("text_encoder"));
}

/// The recorded autoencoder of the tests, as a file of one network.
fn small_vae() -> Weights {
    Weights::open(&crate::case("vae", "weights.safetensors")).unwrap()
}

#[test]
fn values_go_there_and_back_and_attention_becomes_convolution() {
    let vae = small_vae();
    let single = SingleFile { unet: None, vae: Some(vae.clone()), text_encoder: None };
    let joined = single.joined().unwrap();
    let query = "first_stage_model.encoder.mid.attn_1.q.weight";
    let shape = &joined.info(query).unwrap().shape;
    assert_eq!((shape.len(), &shape[2..]), (4, &[1, 1][..]));
    let alone = joined.with_prefix_removed("first_stage_model.");
    let back = opened(&alone);
    assert!(back.unet.is_none() && back.text_encoder.is_none());
    let back = back.vae.unwrap();
    assert_eq!(back.names().collect::<Vec<_>>(), vae.names().collect::<Vec<_>>());
    for name in vae.names() {
        assert_eq!(back.info(name), vae.info(name), "{name}");
        back.tensor(name).unwrap().assert_eq(&vae.tensor(name).unwrap(), true);
    }
}

#[test]
fn old_attention_names_of_the_autoencoder_have_a_place() {
    let names = ["query", "key", "value", "proj_attn"]
        .map(|layer| format!("encoder.mid_block.attentions.0.{layer}.weight"));
    let vae = named(names.iter().map(String::as_str));
    let joined = SingleFile { unet: None, vae: Some(vae), text_encoder: None }.joined().unwrap();
    let wanted = ["k", "proj_out", "q", "v"]
        .map(|layer| format!("first_stage_model.encoder.mid.attn_1.{layer}.weight"));
    assert_eq!(joined.names().collect::<Vec<_>>(), wanted);
}

#[test]
fn what_training_left_is_ignored_and_wrappers_are_taken_off() {
    let single = opened(&named([
        "state_dict.model.diffusion_model.out.2.bias",
        "state_dict.model_ema.diffusion_modelout2bias",
        "state_dict.model_ema.decay",
        "state_dict.first_stage_model.encoder.conv_in.bias",
        "state_dict.first_stage_model.loss.logvar",
        "state_dict.cond_stage_model.transformer.text_model.embeddings.position_ids",
        "state_dict.cond_stage_model.transformer.encoder.layers.0.mlp.fc1.bias",
        "state_dict.cond_stage_model.logit_scale",
        "state_dict.alphas_cumprod_prev",
        "state_dict.sqrt_recipm1_alphas_cumprod",
        "state_dict.posterior_mean_coef1",
        "optimizer_states.0.state.1.exp_avg",
    ]));
    let names = |weights: &Weights| weights.names().map(str::to_owned).collect::<Vec<_>>();
    let all = parts(&single).map(|(_, weights)| names(weights));
    let text = "text_model.encoder.layers.0.mlp.fc1.bias";
    assert_eq!(all, [["conv_out.bias"], ["encoder.conv_in.bias"], [text]]);
}

#[test]
fn strangers_reach_the_strict_report() {
    let single = opened(&named([
        "model.diffusion_model.out.2.bias",
        "model.diffusion_model.input_blocks.1.0.in_layers.7.bias",
        "first_stage_model.encoder.down.0.magic.bias",
        "control_model.out.bias",
    ]));
    let unet: Vec<&str> = single.unet.as_ref().unwrap().names().collect();
    let odd = "model.diffusion_model.input_blocks.1.0.in_layers.7.bias";
    assert_eq!(unet, ["control_model.out.bias", "conv_out.bias", odd]);
    let options =
        LoadOptions { part: "vae", keys: vae::KEYS, allow_missing: &[], dtype: FloatDType::F32 };
    let device = Device::flex();
    let module = Sizes::tiny().vae.init(&device);
    let error = load(module, &single.vae.unwrap(), &options, &device).unwrap_err().to_string();
    assert!(error.contains("first_stage_model.encoder.down.0.magic.bias"), "{error}");
    assert!(error.contains("encoder.conv_in.weight"), "{error}");
}

#[test]
fn other_families_are_refused_by_name() {
    let unet = "model.diffusion_model.out.2.bias";
    for (name, shape, family) in [
        ("conditioner.embedders.0.transformer.x", &[0][..], "Stable Diffusion XL"),
        ("model.diffusion_model.label_emb.0.0.weight", &[0], "Stable Diffusion XL"),
        ("cond_stage_model.model.transformer.x", &[0], "Stable Diffusion 2"),
        (
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            &[0, 1024],
            "Stable Diffusion 2",
        ),
        ("model.diffusion_model.joint_blocks.0.x", &[0], "Stable Diffusion 3"),
        ("model.diffusion_model.double_blocks.0.x", &[0], "Flux"),
        ("model.diffusion_model.input_blocks.0.0.weight", &[0, 9, 3, 3], "inpainting"),
        ("model.diffusion_model.input_blocks.0.0.weight", &[0, 8, 3, 3], "InstructPix2Pix"),
    ] {
        let file = safetensors(&[(unet, "F32", &[0], vec![]), (name, "F32", shape, vec![])]);
        let weights = Weights::from_bytes("model.safetensors", file).unwrap();
        let error = SingleFile::of(&weights).unwrap_err().to_string();
        assert!(error.contains(family) && error.contains("Stable Diffusion 1.5"), "{error}");
    }
}

#[test]
fn other_weights_are_no_single_file() {
    assert!(SingleFile::of(&named(["conv_in.weight", "down_blocks.0.x"])).unwrap().is_none());
}

#[test]
fn motion_has_no_names_in_a_single_file() {
    let unet = named(["conv_in.weight", "down_blocks.0.temp_convs.0.conv1.0.weight"]);
    let single = SingleFile { unet: Some(unet), vae: None, text_encoder: None };
    let error = single.joined().unwrap_err().to_string();
    assert!(error.contains("1 of its tensors: down_blocks.0.temp_convs"), "{error}");
}

#[test]
fn two_tensors_of_one_place_are_damage() {
    let weights = named([
        "model.diffusion_model.output_blocks.2.1.conv.bias",
        "model.diffusion_model.output_blocks.2.2.conv.bias",
        "model.diffusion_model.input_blocks.3.0.op.bias",
    ]);
    let error = SingleFile::of(&weights).unwrap_err().to_string();
    assert!(error.contains("up_blocks.0.upsamplers.0.conv.bias"), "{error}");
}

/// Names of a UNet of these levels in diffusers; `attends` tells which levels attend, counted from
/// the picture inwards.
fn unet_names(layers: usize, attends: &[bool]) -> Vec<String> {
    let last = attends.len() - 1;
    let mut names = vec!["conv_in.bias".to_owned(), "mid_block.resnets.1.conv1.bias".to_owned()];
    for (level, &attends) in attends.iter().enumerate() {
        let (down, up) = (format!("down_blocks.{level}"), format!("up_blocks.{}", last - level));
        for (block, count) in [(&down, layers), (&up, layers + 1)] {
            for layer in 0..count {
                names.push(format!("{block}.resnets.{layer}.conv_shortcut.bias"));
                names.extend(attends.then(|| format!("{block}.attentions.{layer}.norm.bias")));
            }
        }
        if level < last {
            names.push(format!("{down}.downsamplers.0.conv.bias"));
        }
        if level > 0 {
            names.push(format!("{up}.upsamplers.0.conv.bias"));
        }
    }
    names.sort();
    names
}

proptest! {
    #[test]
    fn unets_of_any_size_go_there_and_back(
        layers in 1usize..5,
        attends in prop::collection::vec(any::<bool>(), 2..6),
    ) {
        let names = unet_names(layers, &attends);
        let unet = named(names.iter().map(String::as_str));
        let single = SingleFile { unet: Some(unet), vae: None, text_encoder: None };
        let back = opened(&single.joined().unwrap()).unet.unwrap();
        prop_assert_eq!(back.names().collect::<Vec<_>>(), names);
    }

    #[test]
    fn any_names_end_in_a_result(
        names in prop::collection::btree_set(
            "(model\\.diffusion_model|first_stage_model|cond_stage_model\\.transformer)\\.\
             (input_blocks|output_blocks|encoder\\.down|decoder\\.up|out)\
             (\\.[0-9]{1,6}|\\.(op|conv|block|q|in_layers\\.0|weight|upsample)){1,5}",
            1..20,
        ),
    ) {
        if let Ok(Some(single)) = SingleFile::of(&named(names.iter().map(String::as_str))) {
            let _ = single.joined();
        }
    }
}

#[test]
fn a_checkpoint_of_a_training_framework_is_a_single_file_too() {
    let weights = Weights::open(&golden("formats/lightning.ckpt")).unwrap();
    let single = opened(&weights);
    let [unet, vae, text] = parts(&single).map(|(_, weights)| weights);
    let values = |weights: &Weights, name: &str| {
        weights.tensor(name).unwrap().iter::<f32>().collect::<Vec<_>>()
    };
    assert_eq!(unet.names().collect::<Vec<_>>(), ["conv_out.bias"]);
    assert_eq!(values(unet, "conv_out.bias"), [1.0, 2.0]);
    let query = "encoder.mid_block.attentions.0.to_q.weight";
    assert_eq!(vae.info(query).unwrap().shape, [2, 2]);
    assert_eq!(values(vae, query), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(values(text, "text_model.final_layer_norm.bias"), [3.0]);
}
