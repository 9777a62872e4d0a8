//! LoRAs in every spelling, laid over weights while these are read.

use std::fs;

use burn::tensor::{DType, Tensor, TensorData};
use musev::Device;
use musev::checkpoint::{BlockWeights, Lora, LoraNaming, Weights};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::{f32s, golden, safetensors, write};

fn open(name: &str) -> Weights {
    Weights::open(&golden(&format!("formats/{name}.safetensors"))).unwrap()
}

fn no_text() -> Weights {
    Weights::from_bytes("text", safetensors(&[])).unwrap()
}

/// Float32 tensors that count upwards.
fn counting(tensors: &[(&str, &[usize])]) -> Weights {
    let tensors: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(at, &(name, shape))| {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| ((i + at) % 7) as f32 - 3.0).collect();
            (name, "F32", shape, f32s(&values))
        })
        .collect();
    Weights::from_bytes("lora.safetensors", safetensors(&tensors)).unwrap()
}

const FULL: f64 = 1.0;

/// `unet` with `lora`, everywhere at the same strength.
fn merged(lora: &Weights, unet: &Weights, strength: f64) -> Result<Weights, String> {
    let all = BlockWeights::default();
    let lora = Lora::of(lora).map_err(|error| error.to_string())?;
    let merged = lora.merge((strength, &all), unet.clone(), no_text(), &[]);
    merged.map(|(unet, _)| unet).map_err(|error| error.to_string())
}

fn values(weights: &Weights, name: &str) -> Vec<f32> {
    weights.tensor(name).unwrap().iter::<f32>().collect()
}

fn assert_close(got: &[f32], wanted: &[f32], name: &str) {
    assert_eq!(got.len(), wanted.len(), "{name}");
    for (got, wanted) in got.iter().zip(wanted) {
        assert!((got - wanted).abs() <= 1e-5 * (1.0 + wanted.abs()), "{name}: {got} {wanted}");
    }
}

#[test]
fn every_spelling_gives_what_diffusers_gives() {
    let (unet, wanted) = (open("unet"), open("merged"));
    for (spelling, naming) in [
        ("kohya", LoraNaming::Kohya),
        ("diffusers", LoraNaming::Diffusers),
        ("peft", LoraNaming::Peft),
        ("peft_alpha", LoraNaming::Peft),
    ] {
        let lora = open(&format!("lora_{spelling}"));
        assert_eq!(Lora::of(&lora).unwrap().summary().naming, naming);
        let merged = merged(&lora, &unet, FULL).unwrap();
        let wanted = wanted.with_prefix_removed(&format!("{spelling}."));
        assert_eq!(wanted.names().count(), 7);
        for name in unet.names() {
            match wanted.info(name) {
                Some(info) => {
                    assert_eq!(merged.info(name), Some(info));
                    assert_close(&values(&merged, name), &values(&wanted, name), name);
                }
                None => merged.tensor(name).unwrap().assert_eq(&unet.tensor(name).unwrap(), true),
            }
        }
    }
}

#[test]
fn a_text_encoder_becomes_what_diffusers_makes_of_it() {
    let file = open("text_encoder");
    let (base, wanted) = (file.with_prefix_removed("base."), file.with_prefix_removed("merged."));
    let lora = Lora::of(&open("lora_text")).unwrap();
    let all = BlockWeights::default();
    let (_, merged) = lora.merge((FULL, &all), no_text(), base.clone(), &[]).unwrap();
    assert_eq!(merged.names().count(), 3);
    for name in wanted.names() {
        assert_ne!(values(&merged, name), values(&base, name), "{name}");
        assert_close(&values(&merged, name), &values(&wanted, name), name);
    }
}

#[test]
fn without_weight_the_tensors_are_exactly_the_files() {
    let unet = open("unet");
    let merged = merged(&open("lora_kohya"), &unet, 0.0).unwrap();
    for name in unet.names() {
        assert_eq!(merged.info(name), unet.info(name));
        merged.tensor(name).unwrap().assert_eq(&unet.tensor(name).unwrap(), true);
    }
}

#[test]
fn several_add_up_and_strengths_multiply() {
    let unet = open("unet");
    let (one, two) = (open("lora_kohya"), open("lora_peft"));
    let both = merged(&two, &merged(&one, &unet, 0.5).unwrap(), -2.0).unwrap();
    let (full_one, full_two) =
        (merged(&one, &unet, FULL).unwrap(), merged(&two, &unet, FULL).unwrap());
    let name = "down_blocks.0.resnets.0.conv1.weight";
    let base = values(&unet, name);
    let wanted: Vec<f32> = (0..base.len())
        .map(|i| {
            let (one, two) = (values(&full_one, name)[i], values(&full_two, name)[i]);
            base[i] + 0.5 * (one - base[i]) - 2.0 * (two - base[i])
        })
        .collect();
    for (got, wanted) in values(&both, name).iter().zip(&wanted) {
        assert!((got - wanted).abs() < 1e-3, "{got} {wanted}");
    }
}

#[test]
fn blocks_are_weighed_by_their_place() {
    let unet = open("unet");
    let lora = Lora::of(&open("lora_kohya")).unwrap();
    let face: BlockWeights = "FACE".parse().unwrap();
    let (merged, _) = lora.merge((FULL, &face), unet.clone(), no_text(), &[]).unwrap();
    let is_changed = |name: &str| values(&merged, name) != values(&unet, name);
    assert!(!is_changed("down_blocks.0.attentions.0.proj_in.weight"));
    assert!(!is_changed("mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight"));
    // What lies in no block is weighed 1.
    assert!(is_changed("down_blocks.0.resnets.0.conv1.weight"));
}

#[test]
fn changes_are_added_in_float32_whatever_the_file_has() {
    let half = safetensors(&[("conv_in.weight", "F16", &[1, 1], vec![0x00, 0x3c])]);
    let unet = Weights::from_bytes("half", half).unwrap();
    let lora = safetensors(&[
        ("lora_unet_conv_in.lora_down.weight", "F32", &[1, 1], f32s(&[1.0 / 4096.0])),
        ("lora_unet_conv_in.lora_up.weight", "F32", &[1, 1], f32s(&[1.0])),
    ]);
    let lora = Weights::from_bytes("lora", lora).unwrap();
    let merged = merged(&lora, &unet, FULL).unwrap();
    assert_eq!(merged.info("conv_in.weight").unwrap().dtype, DType::F32);
    assert_eq!(values(&merged, "conv_in.weight"), [1.0 + 1.0 / 4096.0]);
}

/// `up · down` with a kernel in the middle, as PyTorch would run the three convolutions on a
/// picture of one pixel per tap.
fn by_hand(up: &TensorData, mid: &TensorData, down: &TensorData) -> Vec<f32> {
    let [up, mid, down] = [up, mid, down].map(|data| data.iter::<f32>().collect::<Vec<_>>());
    let (out, rank, inputs, taps) = (3, 2, 4, 9);
    let mut sum = vec![0.0; out * inputs * taps];
    for o in 0..out {
        for i in 0..inputs {
            for tap in 0..taps {
                for p in 0..rank {
                    for q in 0..rank {
                        sum[(o * inputs + i) * taps + tap] += up[o * rank + p]
                            * mid[(p * rank + q) * taps + tap]
                            * down[q * inputs + i];
                    }
                }
            }
        }
    }
    sum
}

#[test]
fn a_kernel_in_the_middle_is_multiplied_in() {
    let lora = counting(&[
        ("lora_unet_conv_in.lora_down.weight", &[2, 4, 1, 1]),
        ("lora_unet_conv_in.lora_mid.weight", &[2, 2, 3, 3]),
        ("lora_unet_conv_in.lora_up.weight", &[3, 2, 1, 1]),
    ]);
    let unet = counting(&[("conv_in.weight", &[3, 4, 3, 3])]);
    let merged = merged(&lora, &unet, FULL).unwrap();
    let part = |name: &str| lora.tensor(&format!("lora_unet_conv_in.lora_{name}.weight")).unwrap();
    let change = by_hand(&part("up"), &part("mid"), &part("down"));
    let wanted: Vec<f32> =
        values(&unet, "conv_in.weight").iter().zip(change).map(|(base, add)| base + add).collect();
    assert_close(&values(&merged, "conv_in.weight"), &wanted, "conv_in");
}

#[test]
fn the_text_encoder_is_changed_under_old_and_new_names() {
    let q = "text_model.encoder.layers.0.self_attn.q_proj";
    let text = counting(&[
        (&format!("{q}.weight"), &[2, 2]),
        ("text_model.weight", &[2, 2]), // No dot follows in these two.
        ("text_modelé.weight", &[2, 2]),
    ]);
    for (down, up) in [
        (
            format!("lora_te_{}.lora_down.weight", q.replace('.', "_")),
            format!("lora_te_{}.lora_up.weight", q.replace('.', "_")),
        ),
        (
            format!("text_encoder.{}.lora.down.weight", q.replace("q_proj", "to_q")),
            format!("text_encoder.{}.lora.up.weight", q.replace("q_proj", "to_q")),
        ),
        (
            format!("text_encoder.{q}.lora_linear_layer.down.weight"),
            format!("text_encoder.{q}.lora_linear_layer.up.weight"),
        ),
        (format!("text_encoder.{q}.lora_A.weight"), format!("text_encoder.{q}.lora_B.weight")),
        (
            "base_model.model.encoder.layers.0.self_attn.q_proj.lora_A.default.weight".to_owned(),
            "base_model.model.encoder.layers.0.self_attn.q_proj.lora_B.default.weight".to_owned(),
        ),
    ] {
        let lora = Lora::of(&counting(&[(&down, &[1, 2]), (&up, &[2, 1])])).unwrap();
        let summary = lora.summary();
        assert_eq!(summary.text_encoder["text attention"], 1, "{down}");
        let half = "0.5,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1".parse().unwrap();
        let (_, merged) = lora.merge((FULL, &half), no_text(), text.clone(), &[]).unwrap();
        // down is [-3, -2] and up [-2, -1].
        let name = format!("{q}.weight");
        let wanted = [-3.0 + 3.0, -2.0 + 2.0, -1.0 + 1.5, 0.0 + 1.0];
        assert_close(&values(&merged, &name), &wanted, &down);
    }
}

#[test]
fn layers_named_as_in_single_files_are_found() {
    let unet = counting(&[
        ("down_blocks.0.resnets.0.conv1.weight", &[2, 2]),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight", &[2, 2]),
    ]);
    let lora = counting(&[
        ("lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight", &[1, 2]),
        ("lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight", &[2, 1]),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_down.weight", &[1, 2]),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_up.weight", &[2, 1]),
    ]);
    let merged = merged(&lora, &unet, FULL).unwrap();
    for name in unet.names() {
        assert_ne!(values(&merged, name), values(&unet, name), "{name}");
    }
}

#[test]
fn pefts_folder_tells_the_scale() {
    let unet = open("unet");
    let folder = tempdir().unwrap();
    let lora = fs::read(golden("formats/lora_peft.safetensors")).unwrap();
    write(folder.path(), "adapter_model.safetensors", &lora);
    let name = "down_blocks.0.resnets.0.conv1.weight";
    let with = |config: &str| {
        write(folder.path(), "adapter_config.json", config.as_bytes());
        let all = BlockWeights::default();
        let lora = Lora::open(folder.path()).map_err(|error| error.to_string())?;
        let (merged, _) = lora.merge((FULL, &all), unet.clone(), no_text(), &[]).unwrap();
        Ok::<_, String>(values(&merged, name))
    };
    // Rank 3: an alpha of 6 doubles the change, as in the recorded file.
    let wanted = values(&open("merged").with_prefix_removed("peft_alpha."), name);
    assert_close(&with(r#"{"r": 3, "lora_alpha": 6}"#).unwrap(), &wanted, name);
    let rooted = format!(r#"{{"lora_alpha": {}, "use_rslora": true}}"#, 2.0 * 3f64.sqrt());
    assert_close(&with(&rooted).unwrap(), &wanted, name);
    let by_name = r#"{"lora_alpha": 1, "alpha_pattern": {"resnets.0.conv1": 6}}"#;
    assert_close(&with(by_name).unwrap(), &wanted, name);
    assert!(with(r#"{"lora_alpha": 1, "use_dora": true}"#).unwrap_err().contains("DoRA"));
    assert!(with("{").unwrap_err().contains("adapter_config.json"));
}

#[test]
fn what_does_not_fit_is_listed_at_once() {
    let unet = counting(&[("conv_in.weight", &[4, 4]), ("conv_out.weight", &[4, 4])]);
    let lora = counting(&[
        ("lora_unet_conv_in.lora_down.weight", &[2, 5]),
        ("lora_unet_conv_in.lora_up.weight", &[4, 2]),
        ("lora_unet_conv_out.lora_down.weight", &[2, 4]),
        ("lora_unet_conv_out.lora_up.weight", &[4, 3]),
        ("lora_unet_nowhere.lora_down.weight", &[2, 4]),
        ("lora_unet_nowhere.lora_up.weight", &[4, 2]),
    ]);
    let error = merged(&lora, &unet, FULL).unwrap_err();
    for told in [
        "lora.safetensors",
        "2 of another shape",
        "([4, 5], [4, 4] in the model)",
        "rank 3 up, rank 2 down",
        "1 match nothing in the model: lora_unet_nowhere",
        "trained for another model",
    ] {
        assert!(error.contains(told), "{told:?} not in {error}");
    }
}

#[test]
fn layers_that_match_nothing_may_be_allowed() {
    let unet = counting(&[("conv_in.weight", &[4, 4])]);
    let file = counting(&[
        ("lora_unet_conv_in.lora_down.weight", &[2, 4]),
        ("lora_unet_conv_in.lora_up.weight", &[4, 2]),
        ("lora_unet_nowhere.lora_down.weight", &[2, 4]),
        ("lora_unet_nowhere.lora_up.weight", &[4, 2]),
    ]);
    let error = merged(&file, &unet, FULL).unwrap_err();
    assert!(error.contains("--allow-missing"), "{error}");
    let allowed = ["lora_unet_no*".to_owned()];
    let all = BlockWeights::default();
    let lora = Lora::of(&file).unwrap();
    lora.merge((FULL, &all), unet, no_text(), &allowed).unwrap();
}

#[test]
fn a_lora_of_another_family_is_named() {
    let key = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k";
    let unet = counting(&[(&format!("{key}.weight"), &[4, 768])]);
    let flat = key.replace('.', "_");
    let lora = counting(&[
        (&format!("lora_unet_{flat}.lora_down.weight"), &[2, 2048]),
        (&format!("lora_unet_{flat}.lora_up.weight"), &[4, 2]),
    ]);
    let error = merged(&lora, &unet, FULL).unwrap_err();
    assert!(error.contains("a LoRA for Stable Diffusion XL"), "{error}");
}

#[test]
fn what_is_no_lora_is_told() {
    let none: &[(&str, &[usize])] = &[("conv_in.weight", &[2, 2])];
    type Shapes = [(&'static str, &'static [usize])];
    let cases: [(&Shapes, &str); 7] = [
        (none, "is no LoRA"),
        (&[("lora_unet_a.lora_up.weight", &[2, 2])], "no counterpart"),
        (&[("lora_unet_a.hada_w1_a", &[2, 2])], "is LoHa"),
        (&[("lora_unet_a.lokr_w1", &[2, 2])], "is LoKr"),
        (&[("lora_unet_a.lora_up.weight", &[2, 2]), ("lora_unet_a.dora_scale", &[2])], "is DoRA"),
        (&[("lora_te2_a.lora_up.weight", &[2, 2])], "Stable Diffusion XL"),
        (
            &[
                ("lora_unet_a.lora_up.weight", &[2, 2]),
                ("lora_unet_a.lora_down.weight", &[2, 2]),
                ("stranger", &[1]),
            ],
            "1 of its tensors are of no known LoRA: stranger",
        ),
    ];
    for (tensors, told) in cases {
        let error = Lora::of(&counting(tensors)).unwrap_err().to_string();
        assert!(error.contains(told), "{told:?} not in {error}");
    }
    let odd = safetensors(&[
        ("lora_unet_a.lora_up.weight", "F32", &[1, 1], f32s(&[1.0])),
        ("lora_unet_a.lora_down.weight", "F32", &[1, 1], f32s(&[1.0])),
        ("lora_unet_a.alpha", "F32", &[], f32s(&[f32::INFINITY])),
    ]);
    let error = Lora::of(&Weights::from_bytes("odd", odd).unwrap()).unwrap_err().to_string();
    assert!(error.contains("lora_unet_a.alpha is inf"), "{error}");
}

#[test]
fn inspecting_tells_naming_rank_and_layers() {
    let inspection = musev::inspect(&golden("formats/lora_kohya.safetensors")).unwrap();
    assert_eq!(inspection.kind, musev::Kind::Lora);
    assert!(inspection.missing.is_empty());
    let lora = inspection.parts[0].lora.as_ref().unwrap();
    assert_eq!(lora.naming, LoraNaming::Kohya);
    assert_eq!(lora.ranks.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(lora.unet["cross attention"], 2);
    assert_eq!(lora.unet["convolutions"], 2);
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["kind"], "lora");
    assert_eq!(json["parts"][0]["lora"]["naming"], "kohya");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_are_multiplied_as_matrices_are(
        out in 1usize..9, inputs in 1usize..9, rank in 1usize..5, side in 1usize..4,
    ) {
        let lora = counting(&[
            ("unet.conv_in.lora_A.weight", &[rank, inputs, side, side]),
            ("unet.conv_in.lora_B.weight", &[out, rank, 1, 1]),
        ]);
        let unet = counting(&[("conv_in.weight", &[out, inputs, side, side])]);
        let merged = merged(&lora, &unet, 0.5).unwrap();
        let device = Device::flex();
        let matrix = |weights: &Weights, name: &str, dims: [usize; 2]| {
            let values = values(weights, name);
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape(dims)
        };
        let wide = inputs * side * side;
        let up = matrix(&lora, "unet.conv_in.lora_B.weight", [out, rank]);
        let down = matrix(&lora, "unet.conv_in.lora_A.weight", [rank, wide]);
        let sum = matrix(&unet, "conv_in.weight", [out, wide]) + up.matmul(down) * 0.5;
        let wanted: Vec<f32> = sum.into_data().iter::<f32>().collect();
        assert_close(&values(&merged, "conv_in.weight"), &wanted, "conv_in");
    }
}
