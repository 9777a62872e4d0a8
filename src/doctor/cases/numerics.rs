//! Cases of samplers, noise, windows and guidance.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Case, Comparison};
use crate::error::Result;
use crate::pipeline::control::ControlInterval;
use crate::pipeline::denoise::State;
use crate::pipeline::guidance::{Guidance, GuidanceMethod};
use crate::pipeline::noise::{Noise, NoiseType, video_fusion};
use crate::pipeline::window::{Window, WindowSchedule};
use crate::random::Generator;
use crate::schedulers::{SchedulerConfig, SchedulerKind};

/// A whole loop on recorded model outputs and draws, through the same fused step as the pipeline's.
pub(super) async fn scheduler(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Run {
        scheduler: String,
        steps: usize,
        noise_type: Option<NoiseType>,
        w_ind_noise: Option<f64>,
        eta: Option<f64>,
    }
    let run: Run = case.config("")?;
    let kind = SchedulerKind::of_class(&run.scheduler)
        .ok_or_else(|| case.error(format!("config.scheduler: {} is unknown", run.scheduler)))?;
    let config: SchedulerConfig = case.config("")?;
    let scheduler = config.init(kind, run.steps, run.eta.unwrap_or_default())?;
    let noise = Noise {
        noise_type: run.noise_type.unwrap_or(NoiseType::Random),
        w_ind_noise: run.w_ind_noise.unwrap_or_default(),
        img_weight: None,
        ..Noise::default()
    };
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let floats = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
    let mut drawn = Vec::new();
    for index in 0.. {
        let name = format!("draws.{index}");
        if !inputs.contains(&name) {
            break;
        }
        drawn.extend(inputs.values(&name)?);
    }
    let mut generator = Generator::recorded(drawn);

    let mut state = State { latents: inputs.float("initial", device)?, kept: None };
    let model_outputs: Tensor<6> = inputs.float("model_outputs", device)?;
    let counter = Tensor::<1>::ones([state.latents.dims()[2]], device);
    let (mut scaled_inputs, mut samples) = (Vec::new(), Vec::new());
    for index in 0..scheduler.timesteps().len() {
        scaled_inputs.push(state.latents.clone() * scheduler.input_scale(index));
        let output: Tensor<5> = model_outputs.clone().narrow(0, index, 1).squeeze_dim(0);
        let predicted = (output, counter.clone());
        state = state.advanced(scheduler.as_ref(), index, predicted, None);
        let step = scheduler.step(index);
        if step.noise != 0.0 {
            state.latents = noise.add(state.latents, &step, None, &mut generator);
        }
        samples.push(state.latents.clone());
    }
    let clean = inputs.float("clean", device)?;
    let noised = scheduler.add_noise(clean, inputs.float("noise", device)?, 0);
    let mut found = vec![
        outputs.compare_values("timesteps", &floats(scheduler.timesteps()))?,
        outputs.compare_values("init_noise_sigma", &floats(&[scheduler.init_noise_sigma()]))?,
        outputs.compare("scaled_inputs", Tensor::stack::<6>(scaled_inputs, 0)).await?,
        outputs.compare("samples", Tensor::stack::<6>(samples, 0)).await?,
        outputs.compare("add_noise_at_first", noised).await?,
    ];
    if outputs.contains("sigmas") {
        found.push(outputs.compare_values("sigmas", &floats(scheduler.sigmas()))?);
    }
    Ok(found)
}

/// Fusion of recorded draws, with and without the condition frames' mean.
pub(super) async fn video_fusion_noise(case: &Case, device: &Device) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Weights {
        w_ind_noise: f64,
        img_weight: f64,
    }
    let Weights { w_ind_noise, img_weight } = case.config("")?;
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let settings = Noise { w_ind_noise, img_weight: Some(img_weight), ..Noise::default() };
    let input = |name| inputs.float::<5>(name, device);

    let noise = video_fusion(input("common")?, input("individual")?, w_ind_noise);
    let image_based = settings.with_image(noise.clone(), input("condition_latents")?);
    let given = video_fusion(input("given_common")?, input("individual2")?, w_ind_noise);
    Ok(vec![
        outputs.compare("noise", noise).await?,
        outputs.compare("image_based_noise", image_based).await?,
        outputs.compare("noise_given_common", given).await?,
    ])
}

/// Rows of window settings and the windows they give.
pub(super) fn context_windows(case: &Case) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Row {
        schedule: WindowSchedule,
        total: usize,
        context_frames: usize,
        stride: usize,
        overlap: usize,
        windows: Vec<Vec<usize>>,
    }
    compare_rows(case, |row: Row| {
        let Row { schedule, total, context_frames: frames, stride, overlap, windows } = row;
        let settings = Window { schedule, frames, overlap, stride, ..Window::default() };
        let name = format!("{schedule} total {total} frames {frames} stride {stride}");
        Ok(Comparison::exact(name, &settings.windows(total)?, &windows))
    })
}

/// Rows of guidance settings and the scales they give.
pub(super) fn guidance_schedule(case: &Case) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Row {
        start: f64,
        stop: Option<f64>,
        num: usize,
        method: GuidanceMethod,
        values: Vec<f64>,
    }
    compare_rows(case, |Row { start, stop, num, method, values }: Row| {
        let settings = Guidance { scale: start, end: stop, method, ..Guidance::default() };
        let name = format!("{method} {start} to {stop:?} in {num}");
        settings.validate()?;
        Ok(Comparison::exact(name, &settings.scales(num), &values))
    })
}

/// Rows of intervals of steps and the factors of ControlNets that they give.
pub(super) fn controlnet_keep(case: &Case) -> Result<Vec<Comparison>> {
    #[derive(Deserialize)]
    struct Row {
        n: usize,
        start: f64,
        end: f64,
        keep: Vec<f64>,
    }
    compare_rows(case, |Row { n, start, end, keep }: Row| {
        let name = format!("{start} to {end} in {n}");
        Ok(Comparison::exact(name, &ControlInterval { start, end }.factors(n), &keep))
    })
}

fn compare_rows<T: DeserializeOwned>(
    case: &Case,
    compare: impl Fn(T) -> Result<Comparison>,
) -> Result<Vec<Comparison>> {
    let parse = |row: &Value| {
        serde_json::from_value(row.clone()).map_err(|e| case.error(format!("a row: {e}")))
    };
    case.rows()?.iter().map(|row| compare(parse(row)?)).collect()
}
