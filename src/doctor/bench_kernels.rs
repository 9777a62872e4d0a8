//! How long each operation of [`crate::kernels`] takes on a device, against its twin and against
//! burn's own operation, at the sizes of the UNet and the VAE.

use std::time::{Duration, Instant};

use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{DType, Device, Shape, Tensor, module};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::kernels::{
    self, Conv2dGeometry, GroupNormOptions, GuidedStep, Projection, Side, reference,
};
use crate::random::{Generator, Rng};

/// The time of one operation at one size.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTiming {
    /// Name of the operation.
    pub operation: &'static str,
    /// Its operands, as `input -> output` in the operation's own terms.
    pub shape: String,
    /// Element type.
    pub dtype: String,
    /// Arithmetic of one run; `None` where memory is what counts.
    pub gflop: Option<f64>,
    /// musev's operation: the shader, or on the CPU the fused loop. Milliseconds.
    pub musev_ms: f64,
    /// The twin in plain tensor operations, where the device can run it: it may ask for more memory
    /// than there is. Milliseconds.
    pub twin_ms: Option<f64>,
    /// burn's own operation, where it has one that the twin does not already use, and the device can
    /// run it. Milliseconds.
    pub burn_ms: Option<f64>,
}

/// Tensors of an operation, flat; the implementations know their shapes.
type Operands = Vec<Tensor<1>>;
type Implementation = Box<dyn Fn(&Operands) -> Tensor<1>>;

struct Operation {
    name: &'static str,
    shape: String,
    gflop: Option<f64>,
    operands: Vec<Shape>,
    musev: Implementation,
    twin: Implementation,
    burn: Option<Implementation>,
}

/// Measures the operations called `wanted`, all if none is named, on `device` in `dtype`, and tells
/// each row as it is known.
///
/// # Errors
/// When no operation has such a name, or the device fails.
pub async fn bench_kernels(
    device: &Device,
    dtype: DType,
    wanted: &[String],
    tell: &mut dyn FnMut(&KernelTiming),
) -> Result<()> {
    let mut operations = operations();
    if let Some(unknown) = wanted.iter().find(|&name| operations.iter().all(|o| o.name != name)) {
        let mut names: Vec<_> = operations.iter().map(|operation| operation.name).collect();
        names.dedup();
        let reason = format!("`{unknown}` is unknown; there are {}", names.join(", "));
        return Err(Error::request("OPERATION", reason));
    }
    operations.retain(|operation| wanted.is_empty() || wanted.iter().any(|w| operation.name == w));
    let mut generator = Generator::new(Rng::TorchCpu, 0);
    for operation in operations {
        let operands: Operands = operation
            .operands
            .iter()
            .map(|shape| {
                let values = generator.normal(&[shape.num_elements()]);
                Tensor::<1>::from_floats(values.as_slice(), device).cast(dtype)
            })
            .collect();
        tell(&KernelTiming {
            operation: operation.name,
            shape: operation.shape,
            dtype: format!("{dtype:?}").to_lowercase(),
            gflop: operation.gflop,
            musev_ms: milliseconds(&operation.musev, &operands).await?,
            twin_ms: milliseconds(&operation.twin, &operands).await.ok(),
            burn_ms: match &operation.burn {
                Some(burn) => milliseconds(burn, &operands).await.ok(),
                None => None,
            },
        });
    }
    Ok(())
}

/// The fastest of several runs, after one that compiles and tunes.
async fn milliseconds(run: &Implementation, operands: &Operands) -> Result<f64> {
    const RUNS: usize = 5;
    const ENOUGH: Duration = Duration::from_secs(2);
    settle(run(operands)).await?;
    let begin = Instant::now();
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        settle(run(operands)).await?;
        best = best.min(start.elapsed());
        if begin.elapsed() > ENOUGH {
            break;
        }
    }
    Ok(best.as_secs_f64() * 1e3)
}

/// Waits until `result` is computed: by looking at a value of it, for the data of a tensor may be
/// handed out before it is there.
async fn settle(result: Tensor<1>) -> Result<()> {
    let read = result.narrow(0, 0, 1).into_data_async().await;
    let value = read.map(|data| data.iter::<f32>().next());
    value.map(drop).map_err(|error| Error::Device {
        requested: "bench kernels".to_owned(),
        reason: error.to_string(),
    })
}

fn operations() -> Vec<Operation> {
    let mut all = vec![
        group_norm([5, 320, 32, 32], 1),
        group_norm([5, 320, 32, 32], 5),
        group_norm([5, 1280, 8, 8], 1),
        group_norm([1, 128, 256, 256], 1),
        attention(13, [1024, 1024], 8, 40),
        attention(13, [256, 77], 8, 80),
        linear([13 * 1024, 320], 320),
        linear([13 * 64, 1280], 1280),
        temporal_attention([1, 13, 1024, 8, 40]),
        temporal_attention([1, 13, 64, 8, 160]),
        temporal_attention([1, 128, 64, 8, 40]),
        window_scatter(),
        guided_step(),
    ];
    // Of the UNet's, a window of 12 frames and its condition frame.
    let same = Conv2dGeometry::new(1, 1);
    for (x, c_out, kernel, geometry) in [
        ([1, 320, 32, 32], 320, 3, same),
        ([13, 320, 32, 32], 320, 3, same),
        ([13, 640, 16, 16], 640, 3, same),
        ([13, 1280, 8, 8], 1280, 3, same),
        ([13, 1280, 4, 4], 1280, 3, same),
        ([13, 320, 32, 32], 320, 3, Conv2dGeometry::new(2, 1)),
        ([13, 640, 16, 16], 640, 3, Conv2dGeometry::new(2, 1)),
        ([13, 1280, 8, 8], 1280, 3, Conv2dGeometry::new(2, 1)),
        ([1, 512, 64, 64], 512, 3, same),
        ([1, 128, 256, 256], 128, 3, same),
        ([5, 320, 32, 32], 320, 1, Conv2dGeometry::new(1, 0)),
        ([5, 2560, 8, 8], 1280, 1, Conv2dGeometry::new(1, 0)),
    ] {
        all.push(conv2d(x, c_out, kernel, geometry));
    }
    for x in [[13, 320, 32, 32], [13, 640, 16, 16], [13, 1280, 8, 8]] {
        all.push(temporal_conv(x));
    }
    all
}

fn group_norm(shape: [usize; 4], frames: usize) -> Operation {
    let options = GroupNormOptions { num_groups: 32, eps: 1e-5, frames, silu: true };
    type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>, GroupNormOptions) -> Tensor<4>;
    let with = move |norm: Norm| -> Implementation {
        Box::new(move |t| {
            norm(t[0].clone().reshape(shape), t[1].clone(), t[2].clone(), options).flatten(0, 3)
        })
    };
    Operation {
        name: "group_norm_silu",
        shape: format!("{shape:?}, over {frames} frames"),
        gflop: None,
        operands: vec![shape.into(), [shape[1]].into(), [shape[1]].into()],
        musev: with(kernels::group_norm),
        twin: with(reference::group_norm),
        burn: None,
    }
}

/// The shader that serves browsers, against burn's attention, which serves the rest.
fn attention(b: usize, [n, m]: [usize; 2], heads: usize, d: usize) -> Operation {
    type Attention = fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>;
    let shapes = [n, m, m].map(|tokens| [b, tokens, heads * d]);
    let with = move |attention: Attention| -> Implementation {
        Box::new(move |o| {
            let [q, k, v] = [0, 1, 2].map(|i| o[i].clone().reshape(shapes[i]));
            attention(q, k, v, heads).flatten(0, 2)
        })
    };
    Operation {
        name: "attention",
        shape: format!("{b} pictures, {n} queries, {m} keys, {heads} heads of {d}"),
        gflop: Some((4 * b * n * m * heads * d) as f64 / 1e9),
        operands: shapes.map(Shape::from).to_vec(),
        musev: with(kernels::streaming_attention),
        twin: with(reference::attention),
        burn: Some(with(kernels::attention)),
    }
}

/// The shader that serves browsers, against what serves the rest.
fn linear([rows, c_in]: [usize; 2], c_out: usize) -> Operation {
    type Project = fn(Tensor<3>, Projection, Side, Side) -> Tensor<3>;
    let with = move |project: Project| -> Implementation {
        Box::new(move |o| {
            let projection = Projection {
                weight: o[1].clone().reshape([c_in, c_out]),
                bias: Some(o[2].clone()),
            };
            let x = o[0].clone().reshape([1, rows, c_in]);
            project(x, projection, Side::Tokens, Side::Tokens).flatten(0, 2)
        })
    };
    Operation {
        name: "project",
        shape: format!("[{rows}, {c_in}] -> {c_out}"),
        gflop: Some((2 * rows * c_in * c_out) as f64 / 1e9),
        operands: vec![[rows, c_in].into(), [c_in, c_out].into(), [c_out].into()],
        musev: with(kernels::tiled_project),
        twin: with(reference::project),
        burn: Some(with(kernels::project)),
    }
}

fn temporal_attention([b, t, n, heads, d]: [usize; 5]) -> Operation {
    let shape = [b, t, n, heads * d];
    type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, usize) -> Tensor<4>;
    let with = move |attention: Attention| -> Implementation {
        Box::new(move |o| {
            let [q, k, v] = [0, 1, 2].map(|i| o[i].clone().reshape(shape));
            attention(q, k, v, heads).flatten(0, 3)
        })
    };
    let burn: Attention = |q, k, v, heads| {
        let [b, t, n, c] = q.dims();
        let split = |x: Tensor<4>| {
            let x = x.reshape([b, t, n, heads, c / heads]).permute([0, 2, 3, 1, 4]);
            x.reshape([b * n, heads, t, c / heads])
        };
        let options = AttentionModuleOptions::default();
        let out = module::attention(split(q), split(k), split(v), None, None, options);
        let out = out.reshape([b, n, heads, t, c / heads]).permute([0, 3, 1, 2, 4]);
        out.reshape([b, t, n, c])
    };
    Operation {
        name: "temporal_attention",
        shape: format!("{t} frames, {} pixels, {heads} heads of {d}", b * n),
        gflop: Some((4 * b * n * heads * t * t * d) as f64 / 1e9),
        operands: vec![shape.into(); 3],
        musev: with(kernels::temporal_attention),
        twin: with(reference::temporal_attention),
        burn: Some(with(burn)),
    }
}

fn conv2d(x: [usize; 4], c_out: usize, kernel: usize, geometry: Conv2dGeometry) -> Operation {
    let weight = [c_out, x[1], kernel, kernel];
    type Conv = fn(Tensor<4>, Tensor<4>, Tensor<1>, Conv2dGeometry) -> Tensor<4>;
    let with = move |conv: Conv| -> Implementation {
        Box::new(move |t| {
            let (x, weight) = (t[0].clone().reshape(x), t[1].clone().reshape(weight));
            conv(x, weight, t[2].clone(), geometry).flatten(0, 3)
        })
    };
    let pixels = x[0] * x[2] * x[3] / (geometry.stride * geometry.stride);
    Operation {
        name: "conv2d",
        shape: format!("{x:?} -> {c_out}, {kernel}x{kernel}, stride {}", geometry.stride),
        gflop: Some((2 * pixels * weight.iter().product::<usize>()) as f64 / 1e9),
        operands: vec![x.into(), weight.into(), [c_out].into()],
        musev: with(kernels::conv2d),
        twin: with(reference::conv2d),
        burn: None,
    }
}

fn temporal_conv(x: [usize; 4]) -> Operation {
    let [frames, c, h, w] = x;
    let weight = [c, c, 3, 1, 1];
    type Conv = fn(Tensor<4>, Tensor<5>, Tensor<1>, usize) -> Tensor<4>;
    let with = move |conv: Conv| -> Implementation {
        Box::new(move |t| {
            let (x, weight) = (t[0].clone().reshape(x), t[1].clone().reshape(weight));
            conv(x, weight, t[2].clone(), frames).flatten(0, 3)
        })
    };
    let burn: Conv = |x, weight, bias, frames| {
        let [n, c, h, w] = x.dims();
        let clip = x.reshape([n / frames, frames, c, h, w]).swap_dims(1, 2);
        let options = ConvOptions::new([1; 3], [1, 0, 0], [1; 3], 1);
        module::conv3d(clip, weight, Some(bias), options).swap_dims(1, 2).reshape([n, c, h, w])
    };
    Operation {
        name: "temporal_conv",
        shape: format!("{x:?} -> {c}, {frames} frames"),
        gflop: Some((2 * frames * h * w * c * c * 3) as f64 / 1e9),
        operands: vec![x.into(), weight.into(), [c].into()],
        musev: with(kernels::temporal_conv),
        twin: with(reference::temporal_conv),
        burn: Some(with(burn)),
    }
}

fn window_scatter() -> Operation {
    let (sum, prediction) = ([2, 4, 40, 64, 64], [2, 4, 12, 64, 64]);
    type Scatter = fn(Tensor<5>, Tensor<1>, Tensor<5>, &[usize]) -> (Tensor<5>, Tensor<1>);
    let with = move |scatter: Scatter| -> Implementation {
        Box::new(move |t| {
            let window: Vec<usize> = (20..32).collect();
            let (s, p) = (t[0].clone().reshape(sum), t[2].clone().reshape(prediction));
            scatter(s, t[1].clone(), p, &window).0.flatten(0, 4)
        })
    };
    Operation {
        name: "window_scatter",
        shape: format!("{prediction:?} into {sum:?}"),
        gflop: None,
        operands: vec![sum.into(), [40].into(), prediction.into()],
        musev: with(kernels::window_scatter),
        twin: with(reference::window_scatter),
        burn: None,
    }
}

fn guided_step() -> Operation {
    let (latents, sum) = ([1, 4, 40, 64, 64], [2, 4, 40, 64, 64]);
    type Step = fn(Tensor<5>, Tensor<5>, Tensor<1>, GuidedStep) -> Tensor<5>;
    let with = move |run: Step| -> Implementation {
        Box::new(move |t| {
            let step = GuidedStep {
                guidance_scale: Some(7.5),
                sample_coefficient: 1.0,
                output_coefficient: -0.3,
            };
            let (x, s) = (t[0].clone().reshape(latents), t[1].clone().reshape(sum));
            run(x, s, t[2].clone(), step).flatten(0, 4)
        })
    };
    Operation {
        name: "guided_step",
        shape: format!("{latents:?} from {sum:?}"),
        gflop: None,
        operands: vec![latents.into(), sum.into(), [40].into()],
        musev: with(kernels::guided_step),
        twin: with(reference::guided_step),
        burn: None,
    }
}
