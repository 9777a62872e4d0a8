//! Samplers: what the oracle cases (tests/cases.rs) do not reach.

mod common;

use burn::tensor::{Tensor, TensorData, Tolerance};
use musev::schedulers::{
    LateStart, LinearUpdate, PredictionType, Scheduler, SchedulerConfig, SchedulerKind,
    TimestepSpacing,
};
use proptest::prelude::*;
use serde::Deserialize;

fn euler(spacing: TimestepSpacing, steps: usize) -> Box<dyn Scheduler> {
    let config =
        SchedulerConfig { timestep_spacing: Some(spacing), ..SchedulerConfig::stable_diffusion() };
    config.init(SchedulerKind::Euler, steps, 0.0).unwrap()
}

fn kinds() -> impl Strategy<Value = SchedulerKind> {
    prop::sample::select(SchedulerKind::ALL.to_vec())
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
    fn every_sampler_goes_down_in_finite_steps(
        kind in kinds(),
        steps in 1usize..=50,
        zero_snr in any::<bool>(),
    ) {
        let config = SchedulerConfig {
            rescale_betas_zero_snr: zero_snr,
            prediction_type: PredictionType::VPrediction,
            ..SchedulerConfig::stable_diffusion()
        };
        let scheduler = config.init(kind, steps, if kind == SchedulerKind::Ddim { 0.5 } else { 0.0 }).unwrap();
        let count = scheduler.timesteps().len();
        prop_assert!((1..=steps).contains(&count));
        prop_assert!(scheduler.timesteps().windows(2).all(|pair| pair[0] > pair[1]));
        for index in 0..count {
            let step = scheduler.step(index);
            let kept = scheduler.keeps(index).unwrap_or_default();
            for value in [
                scheduler.timesteps()[index], scheduler.input_scale(index), step.linear.sample,
                step.linear.output, step.noise, step.noise_mean, step.kept, kept.sample, kept.output,
            ] {
                prop_assert!(value.is_finite(), "{:?} at {}: {:?}", kind, index, step);
            }
        }
        prop_assert_eq!(scheduler.step(0).kept, 0.0);
        prop_assert!(scheduler.keeps(count - 1).is_none());
    }

    /// What a sampler adds with fresh noise keeps the noise's mean as strong as the next step expects.
    #[test]
    fn a_mean_of_the_noise_stays_in_it(
        kind in prop::sample::select(vec![
            SchedulerKind::EulerAncestral,
            SchedulerKind::Ddim,
            SchedulerKind::Ddpm,
            SchedulerKind::Lcm,
        ]),
        steps in 2usize..=50,
        eta in 0.0..=1.0,
    ) {
        let config = SchedulerConfig {
            prediction_type: PredictionType::Epsilon,
            // So spaced, the steps of DDPM and DDIM end where the next ones begin.
            timestep_spacing: Some(TimestepSpacing::Leading),
            ..SchedulerConfig::stable_diffusion()
        };
        let scheduler = config.init(kind, steps, if kind == SchedulerKind::Ddim { eta } else { 0.0 }).unwrap();
        let device = common::device();
        let one = Tensor::<5>::ones([1; 5], &device);
        let mean = |index| {
            let noised = scheduler.add_noise(one.clone() * 0.0, one.clone(), index);
            f64::from(noised.into_scalar::<f32>())
        };
        for index in 0..scheduler.timesteps().len() - 1 {
            let step = scheduler.step(index);
            // Of nothing but this mean the model predicts it.
            let left = step.linear.sample * mean(index) + step.linear.output;
            let wanted = mean(index + 1);
            prop_assert!(
                (left + step.noise_mean - wanted).abs() < 1e-5 * (1.0 + wanted),
                "{:?} at {}: {} + {} for {}", kind, index, left, step.noise_mean, wanted
            );
        }
    }

    /// Of an exact prediction, by the sample as the model is given it.
    #[test]
    fn a_prediction_tells_the_clean_sample(
        kind in kinds(),
        steps in 1usize..=50,
        skipped in 0usize..50,
        prediction_type in prop::sample::select(vec![
            PredictionType::Epsilon,
            PredictionType::VPrediction,
        ]),
        clean in -1.0..1.0,
        noise in -1.0..1.0,
    ) {
        let config =
            SchedulerConfig { prediction_type, ..SchedulerConfig::stable_diffusion() };
        let scheduler = LateStart::new(config.init(kind, steps, 0.0).unwrap(), skipped);
        let device = common::device();
        let one = Tensor::<5>::ones([1; 5], &device);
        for index in 0..scheduler.timesteps().len() {
            let given = |x: f64, e: f64| {
                let noised = scheduler.add_noise(one.clone() * x, one.clone() * e, index);
                f64::from(noised.into_scalar::<f32>()) * scheduler.input_scale(index)
            };
            let prediction = match prediction_type {
                PredictionType::Epsilon => noise,
                PredictionType::VPrediction => noise * given(1.0, 0.0) - clean * given(0.0, 1.0),
            };
            let original = scheduler.original(index);
            let told = original.sample * given(clean, noise) + original.output * prediction;
            prop_assert!((told - clean).abs() < 1e-4, "{:?} at {}: {} for {}", kind, index, told, clean);
        }
    }

    #[test]
    fn a_scheduler_config_never_panics(text in "\\PC{0,64}") {
        let _ = SchedulerConfig::from_json("file", &text);
    }

    #[test]
    fn names_are_read_back(kind in kinds()) {
        prop_assert_eq!(kind.to_string().parse::<SchedulerKind>().unwrap(), kind);
        prop_assert_eq!(SchedulerKind::of_class(kind.class_name()), Some(kind));
        prop_assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
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

/// A whole loop: `output` is asked for the model's output at every step, of the sample as it is.
/// Returns the sample after every step.
fn sampled(
    scheduler: &dyn Scheduler,
    mut sample: Tensor<5>,
    mut noise: Vec<Tensor<5>>,
    output: impl Fn(usize) -> Tensor<5>,
) -> Vec<Tensor<5>> {
    noise.reverse();
    let mut samples = Vec::new();
    let mut kept: Option<Tensor<5>> = None;
    for index in 0..scheduler.timesteps().len() {
        let output = output(index);
        let combine =
            |update: LinearUpdate| sample.clone() * update.sample + output.clone() * update.output;
        let step = scheduler.step(index);
        let mut next = combine(step.linear);
        if let Some(kept) = kept {
            next = next + kept * step.kept;
        }
        kept = scheduler.keeps(index).map(combine);
        let drawn = if scheduler.draws_noise(index) { noise.pop() } else { None };
        if step.noise != 0.0 {
            next = next + drawn.expect("noise was recorded") * step.noise;
        }
        sample = next.clone();
        samples.push(next);
    }
    assert!(noise.is_empty(), "{} draws were not used", noise.len());
    samples
}

/// Where a model predicts exactly, samplers that add no noise lead from any noise level to the clean
/// sample, whatever the kind of prediction, from noise alone and from the middle of the schedule.
#[test]
fn exact_predictions_lead_to_the_clean_sample() {
    let device = common::device();
    let shape = [1, 2, 3, 2, 2];
    let values = |seed: usize| {
        let data: Vec<f32> = (0..24).map(|i| ((i * seed) as f32).sin()).collect();
        Tensor::<5>::from_data(TensorData::new(data, shape), &device)
    };
    let (clean, noise) = (values(3), values(7));
    for (kind, prediction_type, zero_snr) in [
        (SchedulerKind::Euler, PredictionType::Epsilon, false),
        (SchedulerKind::Euler, PredictionType::VPrediction, false),
        (SchedulerKind::Euler, PredictionType::VPrediction, true),
        (SchedulerKind::Ddim, PredictionType::Epsilon, false),
        (SchedulerKind::Ddim, PredictionType::VPrediction, true),
        (SchedulerKind::DpmsolverMultistep, PredictionType::Epsilon, false),
        (SchedulerKind::DpmsolverMultistep, PredictionType::VPrediction, true),
    ] {
        let config = SchedulerConfig {
            prediction_type,
            rescale_betas_zero_snr: zero_snr,
            set_alpha_to_one: true,
            ..SchedulerConfig::stable_diffusion()
        };
        for skipped in [0, 3] {
            let scheduler = config.init(kind, 7, 0.0).unwrap();
            let scheduler = &LateStart::new(scheduler, skipped);
            assert_eq!(scheduler.timesteps().len(), 7 - skipped);
            let noisy = |index| scheduler.add_noise(clean.clone(), noise.clone(), index);
            // The shares of signal and noise in what the model sees.
            let shares = |index: usize| {
                let one = |x: f32| Tensor::<5>::full([1; 5], x, &device);
                let of = |x, e| scheduler.add_noise(one(x), one(e), index).into_scalar::<f64>();
                [(1.0, 0.0), (0.0, 1.0)].map(|(x, e)| of(x, e) * scheduler.input_scale(index))
            };
            let samples = sampled(scheduler, noisy(0), Vec::new(), |index| match prediction_type {
                PredictionType::Epsilon => noise.clone(),
                PredictionType::VPrediction => {
                    let [signal, share] = shares(index);
                    noise.clone() * signal - clean.clone() * share
                }
            });
            // DPM-Solver++ as the original has it ends at timestep 0, which is not quite clean.
            let want = match kind {
                SchedulerKind::DpmsolverMultistep => noisy(scheduler.timesteps().len() - 1),
                _ => clean.clone(),
            };
            let got = samples.into_iter().last().unwrap();
            got.into_data().assert_approx_eq(&want.to_data(), Tolerance::<f32>::absolute(5e-5));
        }
    }
}

/// Runs that diffusers' own samplers made (tests/goldens/gen/schedulers.py), of settings that the
/// oracle cases do not have.
#[test]
fn samplers_agree_with_diffusers() {
    #[derive(Deserialize)]
    struct Run {
        scheduler: String,
        steps: usize,
        eta: f64,
        config: SchedulerConfig,
        timesteps: Vec<f64>,
        init_noise_sigma: f64,
        initial: Vec<f32>,
        outputs: Vec<f32>,
        noise: Vec<f32>,
        samples: Vec<f32>,
    }
    let runs: Vec<Run> = serde_json::from_str(include_str!("goldens/schedulers.json")).unwrap();
    assert!(!runs.is_empty());
    let device = common::device();
    let tensors = |values: &[f32]| -> Vec<Tensor<5>> {
        let tensor =
            |v: &[f32]| Tensor::from_data(TensorData::new(v.to_vec(), [1, 2, 1, 2, 2]), &device);
        values.chunks_exact(8).map(tensor).collect()
    };
    for run in runs {
        let kind = SchedulerKind::of_class(&run.scheduler).unwrap();
        let scheduler = run.config.init(kind, run.steps, run.eta).unwrap();
        assert_eq!(scheduler.timesteps(), run.timesteps, "{}", run.scheduler);
        assert!((scheduler.init_noise_sigma() / run.init_noise_sigma - 1.0).abs() < 1e-6);
        let first = tensors(&run.initial).remove(0) * run.init_noise_sigma;
        let outputs = tensors(&run.outputs);
        let largest = |x: &Tensor<5>| x.clone().abs().max().into_scalar::<f32>();
        // diffusers subtracts float32 numbers as large as the sample before each step.
        let (mut before, mut cancelled) = (largest(&first), 0.0);
        let samples =
            sampled(scheduler.as_ref(), first, tensors(&run.noise), |index| outputs[index].clone());
        for (index, want) in tensors(&run.samples).into_iter().enumerate() {
            cancelled *= scheduler.step(index).linear.sample.abs() as f32;
            cancelled += f32::EPSILON * before;
            before = largest(&want);
            let error = (2e-5 * before.max(1.0)).max(cancelled);
            let got = samples[index].to_data();
            got.assert_approx_eq(&want.into_data(), Tolerance::<f32>::absolute(error));
        }
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
    let config = SchedulerConfig::from_json("scheduler_config.json", written).unwrap();
    assert_eq!(config, SchedulerConfig::stable_diffusion());
    let leading =
        written.replace("\"steps_offset\"", "\"timestep_spacing\": \"leading\", \"steps_offset\"");
    let config = SchedulerConfig::from_json("scheduler_config.json", &leading).unwrap();
    assert_eq!(config.timestep_spacing, Some(TimestepSpacing::Leading));
    // What DPM-Solver++ saves is not quite JSON.
    let infinite = r#"{"lambda_min_clipped": -Infinity}"#;
    for text in ["{}", infinite] {
        let config = SchedulerConfig::from_json("scheduler_config.json", text).unwrap();
        assert_eq!(config, SchedulerConfig::default());
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_key() {
    for (text, key) in [
        (r#"{"rescale_betas_zero_snr": true}"#, "rescale_betas_zero_snr"),
        (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
        (r#"{"trained_betas": [0.1]}"#, "trained_betas"),
        (r#"{"beta_end": 1.5}"#, "beta_end"),
        (r#"{"beta_start": -0.1, "beta_schedule": "scaled_linear"}"#, "beta_start"),
        (r#"{"beta_schedule": "squaredcos_cap_v2"}"#, "scaled_linear"),
        (r#"{"prediction_type": "sample"}"#, "v_prediction"),
        (r#"{"timestep_spacing": "middle"}"#, "trailing"),
        (r#"{"thresholding": true}"#, "thresholding"),
        (r#"{"variance_type": "learned"}"#, "fixed_small"),
        ("{", "EOF"),
    ] {
        let error =
            SchedulerConfig::from_json("a/scheduler_config.json", text).unwrap_err().to_string();
        assert!(error.starts_with("a/scheduler_config.json") && error.contains(key), "{error}");
    }
    for (kind, text, key) in [
        (SchedulerKind::Euler, r#"{"use_karras_sigmas": true}"#, "use_karras_sigmas"),
        (SchedulerKind::Euler, r#"{"interpolation_type": "log_linear"}"#, "interpolation_type"),
        (SchedulerKind::Ddim, r#"{"clip_sample": true}"#, "clip_sample"),
        (SchedulerKind::DpmsolverMultistep, r#"{"solver_order": 3}"#, "solver_order"),
        (SchedulerKind::DpmsolverMultistep, r#"{"algorithm_type": "dpmsolver"}"#, "dpmsolver++"),
        (SchedulerKind::Lcm, r#"{"original_inference_steps": 0}"#, "original_inference_steps"),
    ] {
        let config = SchedulerConfig::from_json("a/scheduler_config.json", text).unwrap();
        let error = config.init(kind, 4, 0.0).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let config = SchedulerConfig::stable_diffusion();
    for (kind, steps) in
        [(SchedulerKind::Euler, 0), (SchedulerKind::Ddim, 1001), (SchedulerKind::Lcm, 51)]
    {
        let error = config.init(kind, steps, 0.0).unwrap_err().to_string();
        assert!(error.starts_with("steps"), "{error}");
    }
    let error = config.init(SchedulerKind::Ddim, 4, 1.5).unwrap_err().to_string();
    assert!(error.starts_with("eta"), "{error}");
    let error = "pndm".parse::<SchedulerKind>().unwrap_err().to_string();
    assert!(error.contains("dpmsolver_multistep"), "{error}");
}
