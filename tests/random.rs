//! Seeded noise against PyTorch's, and the noise of clips made of it.

mod common;

use std::path::Path;

use burn::tensor::Tensor;
use musev::pipeline::noise::{Noise, NoiseType};
use musev::random::{Generator, Rng};
use musev::schedulers::Step;
use safetensors::SafeTensors;

/// What the issue allows; PyTorch's vectorised functions are approximations.
const TOLERANCE: f32 = 2e-6;
const SEEDS: [u64; 5] = [0, 1, 42, (1 << 32) + 5, (1 << 63) + 12345];

fn golden() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/normal_noise.safetensors");
    std::fs::read(path).unwrap()
}

fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap();
    bytes.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn sizes(file: &SafeTensors) -> Vec<usize> {
    let bytes = file.tensor("sizes").unwrap();
    bytes
        .data()
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize)
        .collect()
}

fn assert_close(got: &[f32], want: &[f32], what: &str, tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let difference = (got - want).abs();
        assert!(difference <= tolerance, "{what}: value {i} is {got}, expected {want}");
    }
}

/// One generator, draws of 1, 5, 15, 16, 17, 31, 1003, 3, 256, 16, 1, 2 and 1040 values in turn.
#[test]
fn a_sequence_of_draws_is_pytorchs() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for rng in Rng::ALL {
        for seed in SEEDS {
            let want = floats(&file, &format!("{rng}.{seed}"));
            let mut generator = Generator::new(rng, seed);
            let mut from = 0;
            for size in sizes(&file) {
                let what = format!("{rng}, seed {seed}, draw of {size} after {from}");
                let got = generator.normal(&[size]);
                assert_close(&got, &want[from..from + size], &what, TOLERANCE);
                from += size;
            }
            assert_eq!(from, want.len());
        }
    }
}

/// Printed by `torch.manual_seed(0); torch.randn(3, 4, device="cuda")`, as published in
/// `rng_philox.py` of AUTOMATIC1111's web UI.
#[test]
fn torch_cuda_gives_the_published_values() {
    let want = [
        -0.924_662_6,
        -0.425_344_15,
        -2.643_845_8,
        0.145_183_88,
        -0.120_866_47,
        -0.579_725_6,
        -0.622_851_2,
        -0.328_387_1,
        -1.074_542_3,
        -0.363_144_07,
        -1.671_050_7,
        2.265_505,
    ];
    let got = Generator::new(Rng::TorchCuda, 0).normal(&[3, 4]);
    // A GPU's own fast sine is off by up to 5e-7.
    assert_close(&got, &want, "torch-cuda, seed 0", 1e-6);
}

#[test]
fn only_the_number_of_values_matters() {
    for rng in Rng::ALL {
        let flat = Generator::new(rng, 7).normal(&[120]);
        assert_eq!(Generator::new(rng, 7).normal(&[2, 3, 4, 5]), flat);
    }
}

#[test]
fn an_empty_draw_changes_nothing() {
    for rng in Rng::ALL {
        let mut generator = Generator::new(rng, 7);
        assert!(generator.normal(&[4, 0]).is_empty());
        assert_eq!(generator.normal(&[20]), Generator::new(rng, 7).normal(&[20]));
    }
}

#[test]
fn long_draws_are_normal() {
    for rng in Rng::ALL {
        let values = Generator::new(rng, 3).normal(&[1 << 20]);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>()
            / values.len() as f64;
        assert!(values.iter().all(|v| v.is_finite()));
        assert!(mean.abs() < 5e-3 && (variance - 1.0).abs() < 1e-2, "{rng}: {mean}, {variance}");
    }
}

#[test]
fn names_are_read_back_and_others_refused() {
    for rng in Rng::ALL {
        assert_eq!(rng.to_string().parse::<Rng>().unwrap(), rng);
        assert_eq!(serde_json::to_value(rng).unwrap(), rng.to_string());
    }
    let error = "cuda".parse::<Rng>().unwrap_err().to_string();
    assert!(error.contains("torch-cpu or torch-cuda"), "{error}");
}

fn values(noise: Tensor<5>) -> Vec<f32> {
    noise.into_data().iter::<f32>().collect()
}

#[test]
fn video_fusion_draws_the_shared_frame_first() {
    let device = common::device();
    let shape = [1, 2, 5, 3, 3];
    for rng in Rng::ALL {
        let mut generator = Generator::new(rng, 11);
        let (common, own) = (generator.normal(&[1, 2, 1, 3, 3]), generator.normal(&shape));
        for (w_ind_noise, a, b) in [(0.5, 0.5f32.sqrt(), 0.5f32.sqrt()), (0.0, 1.0, 0.0)] {
            let noise = Noise { w_ind_noise, ..Noise::default() };
            let got = values(noise.draw(shape, &mut Generator::new(rng, 11), &device));
            let want: Vec<f32> = (own.iter().enumerate())
                .map(|(i, own)| a * common[i / 45 * 9 + i % 9] + b * own)
                .collect();
            assert_close(&got, &want, "fusion noise", 1e-6);
        }
    }
}

#[test]
fn adding_no_noise_advances_a_generator_as_drawing_does() {
    let device = common::device();
    let shape = [1, 1, 3, 2, 2];
    let pairs = Rng::ALL.into_iter().flat_map(|rng| NoiseType::ALL.map(|kind| (rng, kind)));
    for (rng, noise_type) in pairs {
        let noise = Noise { noise_type, ..Noise::default() };
        let (mut drawn, mut skipped) = (Generator::new(rng, 5), Generator::new(rng, 5));
        noise.draw(shape, &mut drawn, &device);
        let latents = noise.add(Tensor::ones(shape, &device), &Step::default(), None, &mut skipped);
        assert_eq!(values(latents), [1.0; 12]);
        assert_eq!(drawn.normal(&[9]), skipped.normal(&[9]));
    }
}

#[test]
fn an_image_is_mixed_in_only_where_it_is_wanted() {
    let device = common::device();
    let noise = Tensor::<5>::ones([1, 2, 3, 1, 1], &device);
    let image = Tensor::<5>::ones([1, 2, 2, 1, 1], &device) * 4.0;
    let with = |img_weight| {
        let settings = Noise { img_weight, ..Noise::default() };
        values(settings.with_image(noise.clone(), image.clone()))
    };
    assert_eq!(with(None), [1.0; 6]);
    assert_close(&with(Some(0.25)), &[2.0 + 0.75f32.sqrt(); 6], "mixed noise", 1e-6);
}

#[test]
fn fresh_noise_has_the_image_only_where_that_is_kept() {
    let device = common::device();
    let shape = [1, 2, 3, 1, 1];
    let image = Tensor::<5>::ones([1, 2, 2, 1, 1], &device) * 4.0;
    let step = Step { noise: 0.5, noise_mean: 0.75, ..Step::default() };
    let drawn = Generator::new(Rng::TorchCpu, 5).normal(&shape);
    let added = |keep_img_weight, s_noise, image| {
        let noise = Noise {
            noise_type: NoiseType::Random,
            img_weight: Some(0.36),
            keep_img_weight,
            s_noise,
            ..Noise::default()
        };
        let generator = &mut Generator::new(Rng::TorchCpu, 5);
        values(noise.add(Tensor::ones(shape, &device), &step, image, generator))
    };
    let plain: Vec<f32> = drawn.iter().map(|z| 1.0 + 0.5 * z).collect();
    assert_close(&added(false, 1.0, Some(&image)), &plain, "as the original's", 1e-6);
    assert_close(&added(true, 1.0, None), &plain, "without an image", 1e-6);
    for s_noise in [1.0, 0.9] {
        let fresh = 0.8 * 0.5 * s_noise as f32;
        let with: Vec<f32> = drawn.iter().map(|z| 1.0 + fresh * z + 0.6 * 0.75 * 4.0).collect();
        assert_close(&added(true, s_noise, Some(&image)), &with, "with its share", 1e-6);
    }
}

#[test]
fn shares_beyond_one_and_negative_factors_are_refused_by_name() {
    let good = Noise::default();
    assert!(good.validate().is_ok());
    for (noise, option) in [
        (Noise { w_ind_noise: 1.5, ..good }, "w-ind-noise"),
        (Noise { w_ind_noise: f64::NAN, ..good }, "w-ind-noise"),
        (Noise { img_weight: Some(-0.1), ..good }, "img-weight"),
        (Noise { s_noise: -0.5, ..good }, "s-noise"),
        (Noise { s_noise: f64::INFINITY, ..good }, "s-noise"),
    ] {
        let error = noise.validate().unwrap_err().to_string();
        assert!(error.starts_with(option), "{error}");
    }
    let error = "fusion".parse::<NoiseType>().unwrap_err().to_string();
    assert!(error.contains("video_fusion or random"), "{error}");
    assert_eq!("video-fusion".parse::<NoiseType>().unwrap(), NoiseType::VideoFusion);
}
