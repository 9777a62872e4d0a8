//! What a denoiser with arbitrary weights must fulfil.

use burn::module::Module;
use burn::tensor::Tensor;
use musev::models::controlnet::ControlResiduals;
use musev::models::referencenet::ReferenceFeatures;
use musev::models::unet_3d::{
    UNet3DConditionModel, UNet3DConditionModelConfig, UNet3DConditions, UNet3DInput, UNet3DVariant,
};
use musev::nn::attention::ImagePrompt;

use crate::common;
use crate::scramble::Scramble;

fn unet(temporal_weight: f32) -> UNet3DConditionModel {
    unet_of(UNet3DVariant::MUSEV, temporal_weight)
}

fn unet_of(variant: UNet3DVariant, temporal_weight: f32) -> UNet3DConditionModel {
    let config = UNet3DConditionModelConfig {
        block_out_channels: vec![32, if variant.need_refer_emb { 32 } else { 64 }],
        layers_per_block: 1,
        norm_num_groups: 8,
        cross_attention_dim: 16,
        attention_head_dim: 4,
        down_block_types: vec!["CrossAttnDownBlock2D".into(), "DownBlock2D".into()],
        up_block_types: vec!["UpBlock2D".into(), "CrossAttnUpBlock2D".into()],
        variant,
        ..Default::default()
    };
    config.validate("test").unwrap();
    config.init(&common::device()).map(&mut Scramble { temporal_weight, state: 1 })
}

/// Latents `[b, 4, t, h, w]` and text, without condition frames.
fn input(shape: [usize; 5]) -> UNet3DInput {
    let mut values = Scramble { temporal_weight: 0.0, state: 99 };
    UNet3DInput {
        sample: values.tensor(shape),
        timesteps: vec![500.0],
        encoder_hidden_states: values.tensor([shape[0], 5, 16]),
        vision_condition_index: Vec::new(),
        skip_temporal_layers: false,
        unseen_condition: false,
        conditions: UNet3DConditions::default(),
    }
}

/// `max|a - b| / max|b|`.
fn difference(a: Tensor<5>, b: Tensor<5>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let read = |x: Tensor<5>| x.into_data().iter::<f32>().collect::<Vec<_>>();
    let (a, b) = (read(a), read(b));
    assert!(a.iter().chain(&b).all(|v| v.is_finite()));
    let scale = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    a.iter().zip(&b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

const EQUAL: f32 = 1e-5;

/// The same for a clip alone and beside another. Where shaders run, the number of pictures decides
/// how they are convolved, and these networks make a hundred times as much of a rounding: as much as
/// of a sample that is a millionth larger. Every condition counts more than 1e-3.
fn equal_beside_others() -> f32 {
    if musev::kernels::runs_shaders(&common::device()) { 5e-4 } else { EQUAL }
}

#[test]
fn a_batch_of_two_equals_two_runs() {
    let unet = unet(0.7);
    let both = UNet3DInput { vision_condition_index: vec![0], ..input([2, 4, 3, 4, 6]) };
    let out = unet.forward(both.clone());
    for i in 0..2 {
        let one = UNet3DInput {
            sample: both.sample.clone().narrow(0, i, 1),
            encoder_hidden_states: both.encoder_hidden_states.clone().narrow(0, i, 1),
            ..both.clone()
        };
        assert!(difference(unet.forward(one), out.clone().narrow(0, i, 1)) < EQUAL);
    }
}

#[test]
fn a_window_of_one_frame_ignores_condition_frames() {
    let unet = unet(0.7);
    let plain = input([1, 4, 1, 4, 4]);
    let conditioned = UNet3DInput { vision_condition_index: vec![0], ..plain.clone() };
    assert!(difference(unet.forward(conditioned), unet.forward(plain)) == 0.0);
}

#[test]
fn a_condition_out_of_sight_changes_nothing() {
    let unet = unet(0.7);
    let conditioned = UNet3DInput {
        vision_condition_index: vec![0],
        skip_temporal_layers: true,
        ..input([1, 4, 2, 4, 4])
    };
    let sample = conditioned.sample.clone();
    let other = Tensor::cat(vec![sample.clone().narrow(2, 0, 1) * -1.0, sample.narrow(2, 1, 1)], 2);
    let last = |unseen_condition, sample: Tensor<5>| {
        let input = UNet3DInput { sample, unseen_condition, ..conditioned.clone() };
        unet.forward(input).narrow(2, 1, 1)
    };
    let [seen, unseen] = [false, true].map(|how| last(how, conditioned.sample.clone()));
    assert!(difference(last(true, other.clone()), unseen.clone()) == 0.0);
    assert!(difference(last(false, other), seen.clone()) > 1e-3);
    assert!(difference(unseen, seen) > 1e-3);
}

#[test]
fn sizes_need_not_be_multiples_of_the_downscaling() {
    let unet = unet(0.7);
    for [h, w] in [[5, 7], [4, 1], [3, 8]] {
        let input = UNet3DInput { vision_condition_index: vec![0], ..input([1, 4, 2, h, w]) };
        let out = unet.forward(input.clone());
        assert_eq!(out.dims(), input.sample.dims());
        assert!(difference(out.clone(), out) == 0.0);
    }
}

#[test]
fn all_frames_see_all_condition_frames() {
    let unet = unet(0.7);
    let run = |frames: &[usize], sample: Tensor<5>| {
        unet.forward(UNet3DInput {
            sample,
            vision_condition_index: frames.to_vec(),
            skip_temporal_layers: true,
            ..input([1, 4, 4, 4, 4])
        })
    };
    let sample = input([1, 4, 4, 4, 4]).sample;
    let out = run(&[0, 2], sample.clone());
    assert!(difference(run(&[2, 0], sample.clone()), out.clone()) < EQUAL, "order is free");

    // Another picture in frame 2 reaches frame 3 only if frame 2 is a condition frame.
    let other = sample
        .clone()
        .slice_assign([0..1, 0..4, 2..3, 0..4, 0..4], sample.clone().narrow(2, 1, 1) * -1.0);
    let last = |x: Tensor<5>| x.narrow(2, 3, 1);
    assert!(difference(last(run(&[0, 2], other.clone())), last(out)) > 1e-3);
    let alone = run(&[0], sample);
    assert!(difference(last(run(&[0], other)), last(alone)) < EQUAL);
}

#[test]
fn skipping_temporal_layers_makes_them_the_identity() {
    let switched_off = unet(0.0);
    let video = input([1, 4, 3, 4, 4]);
    let pictures = UNet3DInput { skip_temporal_layers: true, ..video.clone() };
    let out = switched_off.forward(pictures.clone());
    assert!(difference(switched_off.forward(video.clone()), out.clone()) < EQUAL);

    let unet = unet(0.7);
    assert!(difference(unet.forward(pictures.clone()), out.clone()) < EQUAL);
    assert!(difference(unet.forward(video), out.clone()) > 1e-2);
    for i in 0..3 {
        let one =
            UNet3DInput { sample: pictures.sample.clone().narrow(2, i, 1), ..pictures.clone() };
        assert!(difference(unet.forward(one), out.clone().narrow(2, i, 1)) < EQUAL);
    }
}

const WITH_FACE: UNet3DVariant =
    UNet3DVariant { need_t2i_ip_adapter_face: true, ..UNet3DVariant::MUSEV_REFERENCENET };

/// Every condition there is, for latents `[b, 4, 3, 4, 6]`.
fn conditions(b: usize) -> UNet3DConditions {
    let mut values = Scramble { temporal_weight: 0.0, state: 7 };
    let sizes = [[4, 6], [4, 6], [2, 3], [2, 3]];
    let [h, w] = sizes[3];
    UNet3DConditions {
        motion_speed: 4.0,
        image_prompt: Some(ImagePrompt { tokens: values.tensor([b, 4, 16]), scale: 0.7 }),
        face_prompt: Some(ImagePrompt { tokens: values.tensor([b, 2, 16]), scale: 0.4 }),
        reference: Some(ReferenceFeatures {
            // Two pictures, larger than the video.
            down: sizes.map(|[h, w]| values.tensor([b, 32, 2, 2 * h, 2 * w])).to_vec(),
            mid: values.tensor([b, 32, 2, 2 * h, 2 * w]),
        }),
        control: Some(ControlResiduals {
            down: sizes.map(|[h, w]| values.tensor([b * 3, 32, h, w])).to_vec(),
            mid: values.tensor([b * 3, 32, h, w]),
        }),
        pose: Some(values.tensor([b, 32, 3, 4, 6])),
    }
}

/// The part of `conditions` that is for clip `i`.
fn of_clip(conditions: &UNet3DConditions, i: usize) -> UNet3DConditions {
    let prompt = |prompt: &ImagePrompt| ImagePrompt {
        tokens: prompt.tokens.clone().narrow(0, i, 1),
        ..*prompt
    };
    UNet3DConditions {
        motion_speed: conditions.motion_speed,
        image_prompt: conditions.image_prompt.as_ref().map(prompt),
        face_prompt: conditions.face_prompt.as_ref().map(prompt),
        reference: conditions.reference.as_ref().map(|reference| ReferenceFeatures {
            down: reference.down.iter().map(|x| x.clone().narrow(0, i, 1)).collect(),
            mid: reference.mid.clone().narrow(0, i, 1),
        }),
        control: conditions.control.as_ref().map(|control| ControlResiduals {
            down: control.down.iter().map(|x| x.clone().narrow(0, 3 * i, 3)).collect(),
            mid: control.mid.clone().narrow(0, 3 * i, 3),
        }),
        pose: conditions.pose.clone().map(|x| x.narrow(0, i, 1)),
    }
}

#[test]
fn conditions_of_clips_do_not_mix() {
    let unet = unet_of(WITH_FACE, 0.7);
    let both = UNet3DInput {
        vision_condition_index: vec![1],
        conditions: conditions(2),
        ..input([2, 4, 3, 4, 6])
    };
    let out = unet.forward(both.clone());
    for i in 0..2 {
        let one = UNet3DInput {
            sample: both.sample.clone().narrow(0, i, 1),
            encoder_hidden_states: both.encoder_hidden_states.clone().narrow(0, i, 1),
            conditions: of_clip(&both.conditions, i),
            ..both.clone()
        };
        let apart = difference(unet.forward(one), out.clone().narrow(0, i, 1));
        assert!(apart < equal_beside_others(), "clip {i}: {apart}");
    }
}

#[test]
fn clips_may_share_conditions() {
    let unet = unet_of(WITH_FACE, 0.7);
    let one = input([1, 4, 3, 4, 6]);
    let shared = UNet3DConditions { control: None, pose: None, ..conditions(1) };
    let both = UNet3DInput {
        sample: Tensor::cat(vec![one.sample.clone(), one.sample.clone() * 0.5], 0),
        conditions: shared.clone(),
        ..one.clone()
    };
    let out = unet.forward(both.clone());
    for i in 0..2 {
        let sample = both.sample.clone().narrow(0, i, 1);
        let alone = UNet3DInput { sample, conditions: shared.clone(), ..one.clone() };
        let apart = difference(unet.forward(alone), out.clone().narrow(0, i, 1));
        assert!(apart < equal_beside_others(), "clip {i}: {apart}");
    }
}

#[test]
fn every_condition_counts() {
    let unet = unet_of(WITH_FACE, 0.7);
    let run = |vision_condition_index: Vec<usize>, conditions: UNet3DConditions| {
        let input = input([1, 4, 3, 4, 6]);
        unet.forward(UNet3DInput { vision_condition_index, conditions, ..input })
    };
    let all = conditions(1);
    let out = run(vec![0], all.clone());
    assert!(difference(run(vec![0], all.clone()), out.clone()) == 0.0);
    let counts = |what: &str, conditions: UNet3DConditions| {
        assert!(difference(run(vec![0], conditions), out.clone()) > 1e-3, "{what}");
    };
    counts("motion speed", UNet3DConditions { motion_speed: 1.0, ..all.clone() });
    counts("image prompt", UNet3DConditions { image_prompt: None, ..all.clone() });
    counts("face prompt", UNet3DConditions { face_prompt: None, ..all.clone() });
    counts("reference", UNet3DConditions { reference: None, ..all.clone() });
    counts("control", UNet3DConditions { control: None, ..all.clone() });
    counts("pose", UNet3DConditions { pose: None, ..all.clone() });
    assert!(difference(run(vec![1], all.clone()), out.clone()) > 1e-3, "condition frame");

    let silent = all.image_prompt.clone().map(|prompt| ImagePrompt { scale: 0.0, ..prompt });
    let without = run(vec![0], UNet3DConditions { image_prompt: None, ..all.clone() });
    let scaled_away = run(vec![0], UNet3DConditions { image_prompt: silent, ..all });
    assert!(difference(scaled_away, without) == 0.0, "a face needs no picture");
}

#[test]
fn a_variant_leaves_aside_what_it_has_no_weights_for() {
    let unet = unet(0.7);
    let plain = input([1, 4, 3, 4, 6]);
    let all = UNet3DConditions { control: None, pose: None, ..conditions(1) };
    let conditioned = UNet3DInput { conditions: all, ..plain.clone() };
    assert!(difference(unet.forward(conditioned), unet.forward(plain)) == 0.0);
}
