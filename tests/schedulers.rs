//! Samplers: what the oracle cases (tests/cases.rs) do not reach.

mod common;

use burn::tensor::{Tensor, TensorData, Tolerance};
use musev::schedulers::{
    EulerDiscreteScheduler, EulerDiscreteSchedulerConfig, PredictionType, Scheduler,
    TimestepSpacing,
};
use proptest::prelude::*;

fn euler(spacing: TimestepSpacing, steps: usize) -> EulerDiscreteScheduler {
    let config = EulerDiscreteSchedulerConfig {
        timestep_spacing: spacing,
        ..EulerDiscreteSchedulerConfig::stable_diffusion()
    };
    config.init(steps).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sigmas_fall_to_zero(
        steps in 1usize..=1000,
        spacing in prop::sample::select(vec![
            TimestepSpacing::Linspace,
            TimestepSpacing::Leading,
            TimestepSpacing::Trailing,
        ]),
    ) {
        let scheduler = euler(spacing, steps);
        let timesteps = scheduler.timesteps();
        prop_assert_eq!(timesteps.len(), steps);
        prop_assert_eq!(scheduler.sigmas().len(), steps + 1);
        prop_assert!(timesteps.iter().all(|t| (0.0..=1000.0).contains(t)));
        prop_assert!(timesteps.windows(2).all(|pair| pair[0] > pair[1]));
        prop_assert!(scheduler.sigmas().windows(2).all(|pair| pair[0] >= pair[1]));
        prop_assert_eq!(scheduler.sigmas()[steps], 0.0);
        prop_assert!(scheduler.init_noise_sigma() >= scheduler.sigmas()[0]);
    }

    #[test]
    fn a_scheduler_config_never_panics(text in "\\PC{0,64}") {
        let _ = EulerDiscreteSchedulerConfig::from_json("file", &text);
    }
}

/// numpy's `np.arange(1000, 0, -1000 / n).round() - 1`.
#[test]
fn trailing_timesteps_count_from_the_end() {
    let timesteps = |steps| euler(TimestepSpacing::Trailing, steps).timesteps().to_vec();
    assert_eq!(timesteps(4), [999.0, 749.0, 499.0, 249.0]);
    assert_eq!(timesteps(3), [999.0, 666.0, 332.0]);
    // Halves are rounded to the even neighbour: 937.5 becomes 938.
    assert_eq!(timesteps(16)[..4], [999.0, 937.0, 874.0, 811.0]);
}

/// With v-prediction the model's output for noise e of a clean x is `(e - sigma·x) / √(sigma²+1)`:
/// one exact prediction leads to the next noise level exactly, and to x at the end.
#[test]
fn exact_predictions_of_either_kind_lead_to_the_clean_sample() {
    let device = common::device();
    let shape = [1, 2, 3, 2, 2];
    let values = |seed: usize| {
        let data: Vec<f32> = (0..24).map(|i| ((i * seed) as f32).sin()).collect();
        Tensor::<5>::from_data(TensorData::new(data, shape), &device)
    };
    let (clean, noise) = (values(3), values(7));
    for prediction_type in [PredictionType::Epsilon, PredictionType::VPrediction] {
        let config = EulerDiscreteSchedulerConfig {
            prediction_type,
            ..EulerDiscreteSchedulerConfig::stable_diffusion()
        };
        let scheduler = config.init(7).unwrap();
        let mut sample = scheduler.add_noise(clean.clone(), noise.clone(), 0);
        for index in 0..7 {
            let sigma = scheduler.sigmas()[index];
            let output = match prediction_type {
                PredictionType::Epsilon => noise.clone(),
                PredictionType::VPrediction => {
                    (noise.clone() - clean.clone() * sigma) * scheduler.input_scale(index)
                }
            };
            let update = scheduler.update(index);
            sample = sample * update.sample + output * update.output;
        }
        let tolerance = Tolerance::<f32>::absolute(2e-5);
        sample.into_data().assert_approx_eq(&clean.to_data(), tolerance);
    }
}

#[test]
fn only_what_the_file_writes_replaces_diffusers_defaults() {
    let written = r#"{
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0",
        "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
        "clip_sample": false, "num_train_timesteps": 1000, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null
    }"#;
    let config = EulerDiscreteSchedulerConfig::from_json("scheduler_config.json", written).unwrap();
    assert_eq!(config, EulerDiscreteSchedulerConfig::stable_diffusion());
    let leading =
        written.replace("\"steps_offset\"", "\"timestep_spacing\": \"leading\", \"steps_offset\"");
    let config =
        EulerDiscreteSchedulerConfig::from_json("scheduler_config.json", &leading).unwrap();
    assert_eq!(config.timestep_spacing, TimestepSpacing::Leading);
    let config = EulerDiscreteSchedulerConfig::from_json("scheduler_config.json", "{}").unwrap();
    assert_eq!(config, EulerDiscreteSchedulerConfig::default());
}

#[test]
fn what_cannot_be_done_is_refused_by_key() {
    for (text, key) in [
        (r#"{"use_karras_sigmas": true}"#, "use_karras_sigmas"),
        (r#"{"rescale_betas_zero_snr": true}"#, "rescale_betas_zero_snr"),
        (r#"{"interpolation_type": "log_linear"}"#, "interpolation_type"),
        (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
        (r#"{"trained_betas": [0.1]}"#, "trained_betas"),
        (r#"{"beta_end": 1.5}"#, "beta_end"),
        (r#"{"beta_start": -0.1, "beta_schedule": "scaled_linear"}"#, "beta_start"),
        (r#"{"beta_schedule": "squaredcos_cap_v2"}"#, "scaled_linear"),
        (r#"{"prediction_type": "sample"}"#, "v_prediction"),
        (r#"{"timestep_spacing": "middle"}"#, "trailing"),
        ("{", "EOF"),
    ] {
        let error = EulerDiscreteSchedulerConfig::from_json("a/scheduler_config.json", text)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a/scheduler_config.json") && error.contains(key), "{error}");
    }
    for steps in [0, 1001] {
        let error = EulerDiscreteSchedulerConfig::default().init(steps).unwrap_err().to_string();
        assert!(error.starts_with("steps"), "{error}");
    }
}
