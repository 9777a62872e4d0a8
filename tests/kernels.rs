//! The operations of `musev::kernels` against their twins in plain tensor operations, on the device
//! under test; and every variant of every shader against naga, without any device.

mod common;

use burn::tensor::{DType, Device, Tensor, TensorData};
use musev::kernels::{
    self, Conv2dGeometry, GroupNormOptions, GuidedStep, Projection, Side, reference,
};

use common::device;
use half::f16;

/// Values in -1..1 that look random, the same on every run.
fn noise(len: usize, seed: u32) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..len).map(move |_| {
        // xorshift32 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn tensor<const D: usize>(shape: [usize; D], values: Vec<f32>, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// What an operation is tried in: its type, and the largest error allowed relative to the largest
/// value of the twin, which computes in f32 on the CPU from the same (rounded) inputs.
#[derive(Clone, Copy, Debug)]
struct Precision {
    dtype: DType,
    tolerance: f32,
}

/// f32 with the error of a long sum, and on devices with shaders f16 with the rounding of one
/// store: the accumulation is f32.
fn precisions(f32_tolerance: f32, device: &Device) -> Vec<Precision> {
    let mut all = vec![Precision { dtype: DType::F32, tolerance: f32_tolerance }];
    if kernels::runs_shaders(device) && device.supports_dtype(DType::F16) {
        all.push(Precision { dtype: DType::F16, tolerance: 6e-4 });
    }
    all
}

impl Precision {
    /// `values` as a tensor for the operation, and the same values for the twin.
    fn pair<const D: usize>(
        self,
        shape: [usize; D],
        values: impl Iterator<Item = f32>,
    ) -> (Tensor<D>, Tensor<D>) {
        let rounded: Vec<f32> = match self.dtype {
            DType::F16 => values.map(|v| f16::from_f32(v).to_f32()).collect(),
            _ => values.collect(),
        };
        let twin = tensor(shape, rounded.clone(), &Device::flex());
        (tensor(shape, rounded, &device()).cast(self.dtype), twin)
    }

    /// Noise of a shape.
    fn noise<const D: usize>(self, shape: [usize; D], seed: u32) -> (Tensor<D>, Tensor<D>) {
        self.pair(shape, noise(shape.iter().product(), seed))
    }

    #[track_caller]
    fn assert_close<const D: usize>(self, got: Tensor<D>, want: Tensor<D>, what: &str) {
        assert_eq!(got.dtype(), self.dtype, "{what}");
        assert_eq!(got.dims(), want.dims(), "{what}");
        let got = got.cast(DType::F32).into_data().try_to_vec::<f32>().expect("f32 was asked for");
        let want = want.into_data().try_to_vec::<f32>().expect("f32 was asked for");
        let scale = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let error = got.iter().zip(&want).fold(0.0_f32, |m, (a, b)| {
            let d = (a - b).abs();
            if d.is_nan() { f32::INFINITY } else { m.max(d) }
        });
        let allowed = self.tolerance * scale;
        assert!(error <= allowed, "{what} {self:?}: relative error {}", error / scale);
    }
}

fn group_norm_case<const D: usize>(
    shape: [usize; D],
    num_groups: usize,
    frames: usize,
    silu: bool,
) {
    let device = device();
    for precision in precisions(2e-5, &device) {
        let options = GroupNormOptions { num_groups, eps: 1e-5, frames, silu };
        let (x, x32) = precision.noise(shape, 1);
        let (weight, weight32) = precision.noise([shape[1]], 2);
        let (bias, bias32) = precision.noise([shape[1]], 3);
        let got = kernels::group_norm(x, weight, bias, options);
        let want = reference::group_norm(x32, weight32, bias32, options);
        precision.assert_close(got, want, &format!("group_norm {shape:?} {options:?}"));
    }
}

#[test]
fn a_device_starts_once_for_all_who_ask() {
    let started = std::thread::scope(|scope| {
        [(); 4].map(|()| scope.spawn(common::start)).map(|thread| thread.join().unwrap())
    });
    assert_eq!(started, [(); 4].map(|()| device()));
}

#[test]
fn group_norm_equals_its_twin() {
    group_norm_case([1, 1, 1, 1], 1, 1, false);
    group_norm_case([2, 6, 3, 5], 3, 1, true);
    group_norm_case([2, 6, 3, 5], 3, 2, false);
    group_norm_case([6, 64, 7, 9], 32, 3, true);
    // Several slices of a group, the last one shorter; several chunks of a run.
    group_norm_case([3, 4, 91, 93], 2, 3, true);
    group_norm_case([2, 8, 5], 4, 1, true);
}

/// A sum of squares around zero would lose every digit of the variance in f32.
#[test]
fn group_norm_keeps_its_digits_far_from_zero() {
    let device = device();
    let shape = [1, 2, 150, 200];
    let values: Vec<f32> = noise(shape.iter().product(), 1).map(|v| v + 3000.0).collect();
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    let want = values.iter().map(|&v| ((f64::from(v) - mean) / (variance + 1e-5).sqrt()) as f32);
    let want = tensor(shape, want.collect(), &device);
    let options = GroupNormOptions { num_groups: 1, eps: 1e-5, frames: 1, silu: false };
    let (ones, zeros) = (Tensor::ones([2], &device), Tensor::zeros([2], &device));
    let got = kernels::group_norm(tensor(shape, values, &device), ones, zeros, options);
    // The mean of values near 3000 has an absolute rounding of 1.2e-4 in f32.
    let precision = Precision { dtype: DType::F32, tolerance: 3e-4 };
    precision.assert_close(got, want, "group_norm far from zero");
}

#[test]
fn group_norm_folds_a_grid_over_65535() {
    group_norm_case([70_001, 1, 2], 1, 1, false);
}

fn attention_case(b: usize, [n, m]: [usize; 2], heads: usize, d: usize) {
    let device = device();
    for precision in precisions(1e-5, &device) {
        if precision.dtype == DType::F16 && !d.is_multiple_of(4) {
            // burn's own operations, which round to f16 in between.
            continue;
        }
        let input = |tokens: usize, seed| {
            let values = noise(b * tokens * heads * d, seed).map(|v| 2.0 * v);
            precision.pair([b, tokens, heads * d], values)
        };
        let ((q, q32), (k, k32), (v, v32)) = (input(n, 1), input(m, 2), input(m, 3));
        let want = reference::attention(q32, k32, v32, heads);
        let name = format!("attention {b} {n} {m} {heads} {d}");
        // Of `attention` the CPU has a loop of ours; graphics adapters have burn's.
        let ours = if kernels::runs_shaders(&device) {
            kernels::streaming_attention
        } else {
            kernels::attention
        };
        precision.assert_close(ours(q, k, v, heads), want, &name);
    }
}

#[test]
fn attention_equals_its_twin() {
    attention_case(1, [1, 1], 1, 4);
    attention_case(2, [5, 77], 3, 8);
    attention_case(1, [64, 128], 8, 40);
    attention_case(2, [33, 130], 2, 24);
    attention_case(1, [18, 401], 1, 160);
    attention_case(1, [20, 20], 1, 512);
    // Widths the shader does not take.
    attention_case(1, [3, 4], 2, 5);
    attention_case(1, [3, 4], 1, 516);
}

#[test]
fn attention_folds_a_grid_over_65535() {
    attention_case(66_001, [1, 2], 1, 4);
}

fn project_case(n: usize, positions: usize, [c_in, c_out]: [usize; 2]) {
    let device = device();
    for precision in precisions(1e-5, &device) {
        let (weight, weight32) = precision.pair([c_in, c_out], noise(c_in * c_out, 2));
        let (bias, bias32) = precision.pair([c_out], noise(c_out, 3));
        for from in [Side::Tokens, Side::Pixels] {
            let shape = match from {
                Side::Tokens => [n, positions, c_in],
                Side::Pixels => [n, c_in, positions],
            };
            let (x, x32) = precision.pair(shape, noise(n * positions * c_in, 1));
            for (to, has_bias) in [(Side::Tokens, true), (Side::Pixels, false)] {
                let of = |weight: &Tensor<2>, bias: &Tensor<1>| Projection {
                    weight: weight.clone(),
                    bias: has_bias.then(|| bias.clone()),
                };
                // Of `project` the CPU has a loop of ours; graphics adapters have burn's.
                let ours = if kernels::runs_shaders(&device) {
                    kernels::tiled_project
                } else {
                    kernels::project
                };
                let got = ours(x.clone(), of(&weight, &bias), from, to);
                let want = reference::project(x32.clone(), of(&weight32, &bias32), from, to);
                let name = format!("project {n} {positions} {c_in} {c_out} {from:?} {to:?}");
                precision.assert_close(got, want, &name);
            }
        }
    }
}

#[test]
fn project_equals_its_twin() {
    project_case(1, 1, [1, 1]);
    project_case(2, 65, [17, 130]);
    project_case(3, 21, [64, 64]);
    project_case(1, 200, [320, 96]);
}

fn temporal_attention_case([b, t, n, heads, d]: [usize; 5]) {
    let device = device();
    for precision in precisions(1e-5, &device) {
        if precision.dtype == DType::F16 && !d.is_multiple_of(4) {
            // burn's own operations, which round to f16 in between.
            continue;
        }
        let input = |seed| {
            let values = noise(b * t * n * heads * d, seed).map(|v| 2.0 * v);
            precision.pair([b, t, n, heads * d], values)
        };
        let ((q, q32), (k, k32), (v, v32)) = (input(1), input(2), input(3));
        let got = kernels::temporal_attention(q, k, v, heads);
        let want = reference::temporal_attention(q32, k32, v32, heads);
        precision.assert_close(got, want, &format!("temporal_attention {:?}", [b, t, n, heads, d]));
    }
}

#[test]
fn temporal_attention_equals_its_twin() {
    temporal_attention_case([1, 1, 1, 1, 4]);
    temporal_attention_case([2, 5, 3, 2, 8]);
    temporal_attention_case([1, 13, 7, 8, 40]);
    temporal_attention_case([1, 12, 5, 3, 160]);
    temporal_attention_case([1, 31, 2, 1, 12]);
    temporal_attention_case([2, 128, 2, 1, 20]);
    // A width the shader does not take.
    temporal_attention_case([1, 3, 2, 2, 5]);
}

#[test]
fn temporal_attention_folds_a_grid_over_65535() {
    temporal_attention_case([1, 1, 530_001, 1, 4]);
}

fn conv2d_case(x: [usize; 4], c_out: usize, kernel: usize, geometry: Conv2dGeometry) {
    let device = device();
    for precision in precisions(1e-5, &device) {
        let large = x.iter().product::<usize>() > 1 << 20;
        if precision.dtype == DType::F16 && (large || kernel == 4) {
            // A large one needs its time; other windows are burn's, which accumulates in f16.
            continue;
        }
        let (input, input32) = precision.noise(x, 1);
        let (weight, weight32) = precision.noise([c_out, x[1], kernel, kernel], 2);
        let (bias, bias32) = precision.noise([c_out], 3);
        let got = kernels::conv2d(input, weight, bias, geometry);
        let want = reference::conv2d(input32, weight32, bias32, geometry);
        precision.assert_close(got, want, &format!("conv2d {x:?} {c_out} {kernel} {geometry:?}"));
    }
}

#[test]
fn conv2d_equals_its_twin() {
    let same = Conv2dGeometry::new(1, 1);
    conv2d_case([1, 1, 1, 1], 1, 3, same);
    conv2d_case([1, 3, 5, 7], 2, 3, same);
    conv2d_case([2, 4, 9, 11], 40, 3, same);
    conv2d_case([3, 33, 13, 6], 65, 3, same);
    conv2d_case([1, 64, 4, 4], 130, 3, same);
    conv2d_case([2, 5, 9, 8], 70, 3, Conv2dGeometry::new(2, 1));
    // The VAE's downsampling pads only below and to the right.
    let below = Conv2dGeometry { stride: 2, pad_begin: 0, pad_end: 1 };
    conv2d_case([2, 5, 8, 9], 33, 3, below);
    conv2d_case([2, 37, 5, 6], 67, 1, Conv2dGeometry::new(1, 0));
    conv2d_case([1, 16, 3, 3], 8, 1, Conv2dGeometry::new(1, 0));
    // A window the shader does not take.
    conv2d_case([1, 2, 8, 8], 3, 4, Conv2dGeometry::new(2, 1));
}

/// Sizes that go by Winograd's method: odd ones, and such as need their channels or pixels in parts.
#[test]
fn conv2d_by_winograd_equals_its_twin() {
    let same = Conv2dGeometry::new(1, 1);
    conv2d_case([3, 33, 13, 7], 65, 3, same);
    conv2d_case([13, 64, 4, 4], 130, 3, same);
    conv2d_case([1, 32, 33, 65], 32, 3, same);
    conv2d_case([13, 1100, 4, 4], 1000, 3, same);
    conv2d_case([1, 32, 403, 399], 32, 3, same);
    // Both at once.
    conv2d_case([1, 1056, 64, 63], 1056, 3, same);
}

#[test]
fn conv2d_folds_a_grid_over_65535() {
    conv2d_case([1, 1, 4100, 4096], 1, 3, Conv2dGeometry::new(1, 1));
}

fn temporal_conv_case([b, t, c_in, h, w]: [usize; 5], c_out: usize) {
    let device = device();
    for precision in precisions(1e-5, &device) {
        let (x, x32) = precision.noise([b * t, c_in, h, w], 1);
        let (weight, weight32) = precision.noise([c_out, c_in, 3, 1, 1], 2);
        let (bias, bias32) = precision.noise([c_out], 3);
        let got = kernels::temporal_conv(x, weight, bias, t);
        let want = reference::temporal_conv(x32, weight32, bias32, t);
        precision.assert_close(
            got,
            want,
            &format!("temporal_conv {:?} {c_out}", [b, t, c_in, h, w]),
        );
    }
}

#[test]
fn temporal_conv_equals_its_twin() {
    temporal_conv_case([1, 1, 1, 1, 1], 1);
    temporal_conv_case([2, 3, 5, 3, 7], 6);
    temporal_conv_case([1, 13, 64, 5, 4], 64);
    temporal_conv_case([2, 2, 66, 3, 2], 130);
    temporal_conv_case([2, 5, 33, 8, 12], 34);
}

#[test]
fn temporal_conv_by_winograd_equals_its_twin() {
    temporal_conv_case([2, 12, 33, 8, 12], 34);
    temporal_conv_case([1, 13, 64, 16, 15], 70);
    // In parts.
    temporal_conv_case([1, 13, 32, 200, 203], 33);
}

fn window_scatter_case([b, c, t, h, w]: [usize; 5], window: &[usize]) {
    let device = device();
    for precision in precisions(1e-6, &device) {
        let (sum, sum32) = precision.noise([b, c, t, h, w], 1);
        let (counter, counter32) = precision.pair([t], noise(t, 2).map(|v| v.round() + 1.0));
        let (prediction, prediction32) = precision.noise([b, c, window.len(), h, w], 3);
        let (kept, kept_counter) = (sum.clone(), counter.clone());
        let got = kernels::window_scatter(sum, counter, prediction.clone(), window);
        let twin =
            |(sum, counter)| reference::window_scatter(sum, counter, prediction32.clone(), window);
        let want = twin((sum32.clone(), counter32.clone()));
        let what = format!("window_scatter {:?} {window:?}", [b, c, t, h, w]);
        precision.assert_close(got.0.clone(), want.0.clone(), &what);
        precision.assert_close(got.1.clone(), want.1.clone(), &what);
        // Nobody else holds these: they are changed where they lie.
        let got = kernels::window_scatter(got.0, got.1, prediction, window);
        let want = twin(want);
        precision.assert_close(got.0, want.0, &what);
        precision.assert_close(got.1, want.1, &what);
        // The inputs are still what they were.
        precision.assert_close(kept, sum32, &what);
        precision.assert_close(kept_counter, counter32, &what);
    }
}

#[test]
fn window_scatter_equals_its_twin() {
    window_scatter_case([1, 1, 1, 1, 1], &[0]);
    window_scatter_case([2, 4, 7, 3, 5], &[5, 6, 0, 1]);
    window_scatter_case([2, 3, 40, 5, 3], &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn window_scatter_folds_a_grid_over_65535() {
    window_scatter_case([1, 65_600, 2, 1, 3], &[1]);
}

fn guided_step_case([b, c, t, h, w]: [usize; 5], guidance_scale: Option<f64>) {
    let device = device();
    for precision in precisions(1e-6, &device) {
        let rows = if guidance_scale.is_some() { 2 * b } else { b };
        let (latents, latents32) = precision.noise([b, c, t, h, w], 1);
        let (sum, sum32) = precision.noise([rows, c, t, h, w], 2);
        let (counter, counter32) = precision.pair([t], noise(t, 3).map(|v| v.round() + 2.0));
        let step =
            GuidedStep { guidance_scale, sample_coefficient: 0.75, output_coefficient: -1.25 };
        let got = kernels::guided_step(latents, sum, counter, step);
        let want = reference::guided_step(latents32, sum32, counter32, step);
        let what = format!("guided_step {:?} {step:?}", [b, c, t, h, w]);
        precision.assert_close(got, want, &what);
    }
}

#[test]
fn guided_step_equals_its_twin() {
    guided_step_case([1, 1, 1, 1, 1], None);
    guided_step_case([1, 4, 5, 3, 7], None);
    guided_step_case([2, 4, 5, 3, 7], Some(7.5));
    guided_step_case([1, 4, 13, 8, 8], Some(3.5));
}

#[test]
fn guided_step_folds_a_grid_over_65535() {
    guided_step_case([1, 1, 3, 2900, 2048], None);
}

/// Lazy operations before and after, operands that are views, and an input used again.
#[test]
fn shaders_run_inside_a_fused_graph() {
    let options = GroupNormOptions { num_groups: 8, eps: 1e-5, frames: 2, silu: true };
    type Net = (
        fn(Tensor<4>, Tensor<1>, Tensor<1>, GroupNormOptions) -> Tensor<4>,
        fn(Tensor<4>, Tensor<4>, Tensor<1>, Conv2dGeometry) -> Tensor<4>,
        fn(Tensor<4>, Tensor<5>, Tensor<1>, usize) -> Tensor<4>,
        fn(Tensor<4>, Tensor<4>, Tensor<4>, usize) -> Tensor<4>,
    );
    let run = |net: Net, device: &Device| {
        let input = |len| noise(len, 1).collect::<Vec<_>>();
        let x = tensor([4, 16, 6, 5], input(4 * 16 * 6 * 5), device);
        let weight = tensor([24, 16, 3, 3], input(24 * 16 * 9), device);
        let taps = tensor([24, 24, 3, 1, 1], input(24 * 24 * 3), device);
        let ones = Tensor::<1>::ones([24], device);
        let (group_norm, conv2d, temporal_conv, temporal_attention) = net;
        let y = (x.clone() * 2.0 + 0.5).swap_dims(2, 3);
        let y = conv2d(y, weight.clone() * 0.1, ones.clone() * 0.3, Conv2dGeometry::new(1, 1));
        let y = (group_norm(y.clone() - 1.0, ones.clone(), ones.clone(), options) + y).tanh();
        let y = temporal_conv(y.clone(), taps.clone(), ones.clone(), 2) * 0.1 + y;
        let tokens = y.reshape([2, 2, 24, 30]).swap_dims(2, 3);
        let out = temporal_attention(tokens.clone().exp(), tokens.clone(), tokens.clone() - 2.0, 3);
        (out + tokens).abs().sqrt()
    };
    let net: Net =
        (kernels::group_norm, kernels::conv2d, kernels::temporal_conv, kernels::temporal_attention);
    let twins: Net = (
        reference::group_norm,
        reference::conv2d,
        reference::temporal_conv,
        reference::temporal_attention,
    );
    let (got, want) = (run(net, &device()), run(twins, &Device::flex()));
    let precision = Precision { dtype: DType::F32, tolerance: 2e-4 };
    precision.assert_close(got, want, "fused graph");
}

mod shader_text {
    use musev::kernels::{InputAccess, shader_variants};
    use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
    use naga::{AddressSpace, Module, back};

    /// Parsed and valid; a failure shows the line of the composed text.
    fn compile(what: &str, text: &str) -> (Module, ModuleInfo) {
        let module = naga::front::wgsl::parse_str(text)
            .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(text)));
        let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16)
            .validate(&module)
            .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(text)));
        (module, info)
    }

    fn each(check: impl Fn(&str, &Module, &ModuleInfo)) {
        for access in [InputAccess::Read, InputAccess::ReadWrite] {
            let variants = shader_variants(access);
            assert!(!variants.is_empty());
            for (what, text) in variants {
                let (module, info) = compile(&what, &text);
                check(&what, &module, &info);
            }
        }
    }

    #[test]
    fn every_shader_file_has_a_variant() {
        let variants = shader_variants(InputAccess::Read);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
        for entry in std::fs::read_dir(folder).expect("the shaders are part of the sources") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "wgsl") {
                let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
                let wanted = format!("{name}: ");
                assert!(variants.iter().any(|(what, _)| what.starts_with(&wanted)), "{name}");
            }
        }
    }

    #[test]
    fn every_variant_stays_within_the_limits_of_webgpu() {
        each(|what, module, _| {
            let size = |space: AddressSpace| -> u32 {
                let variables = module.global_variables.iter().filter(|(_, v)| v.space == space);
                variables.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum()
            };
            assert!(size(AddressSpace::WorkGroup) <= 16 * 1024, "{what}: workgroup memory");
            let storage = module
                .global_variables
                .iter()
                .filter(|(_, v)| matches!(v.space, AddressSpace::Storage { .. }))
                .count();
            assert!(storage <= 8, "{what}: {storage} storage buffers");
            let [entry] = module.entry_points.as_slice() else { panic!("{what}: entry points") };
            assert_eq!(entry.name, "main");
            assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{what}: invocations");
        });
    }

    #[test]
    fn every_variant_becomes_spirv() {
        each(|what, module, info| {
            let options = back::spv::Options::default();
            let words = back::spv::write_vec(module, info, &options, None);
            assert!(words.is_ok(), "{what}: {words:?}");
        });
    }

    #[test]
    fn every_variant_becomes_msl() {
        each(|what, module, info| {
            let options = back::msl::Options {
                lang_version: (2, 4),
                fake_missing_bindings: true,
                ..Default::default()
            };
            let text = back::msl::write_string(
                module,
                info,
                &options,
                &back::msl::PipelineOptions::default(),
            );
            assert!(text.is_ok(), "{what}: {:?}", text.err());
        });
    }

    #[test]
    fn every_variant_becomes_hlsl() {
        each(|what, module, info| {
            let options = back::hlsl::Options {
                shader_model: back::hlsl::ShaderModel::V6_2,
                fake_missing_bindings: true,
                ..Default::default()
            };
            let pipeline = back::hlsl::PipelineOptions::default();
            let mut text = String::new();
            let written =
                back::hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
            assert!(written.is_ok(), "{what}: {:?}", written.err());
        });
    }
}
