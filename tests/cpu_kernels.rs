//! The CPU's fused loops, which serve f32, against the same operations in plain tensor operations,
//! which f64 takes.

use std::cell::RefCell;

use burn::tensor::{DType, Tensor, TensorData};
use musev::kernels::*;
use musev::random::Generator;
use musev::{Device, Rng};

/// Largest difference over the largest expected value.
const TOLERANCE: f64 = 2e-6;

thread_local! {
    /// Every test has a thread of its own, so it draws the same values each time: with others now
    /// and then a sum cancels, or two scores tie, beyond what f32 can tell.
    static NOISE: RefCell<Generator> = RefCell::new(Generator::new(Rng::TorchCpu, 0));
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let values = NOISE.with_borrow_mut(|noise| noise.normal(&shape));
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The same values in f64.
fn plain<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    x.clone().cast(DType::F64)
}

fn assert_close<const D: usize>(what: &str, got: Tensor<D>, want: Tensor<D>) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let values = |x: Tensor<D>| x.into_data().iter::<f64>().collect::<Vec<_>>();
    let (got, want) = (values(got), values(want));
    let scale = want.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0f64, f64::max);
    assert!(got.iter().all(|x| x.is_finite()), "{what}: not finite");
    assert!(worst <= TOLERANCE * scale.max(1e-3), "{what}: {worst} of {scale}");
}

#[test]
fn group_norm_with_and_without_silu() {
    for (n, c, size, num_groups, frames) in [
        (2, 32, [7, 5], 32, 1),
        (6, 64, [4, 4], 32, 3),
        (4, 30, [1, 1], 3, 4),
        (1, 8, [64, 48], 2, 1),
    ] {
        let x = random([n, c, size[0], size[1]]) * 3.0 + 5.0;
        let (weight, bias) = (random([c]), random([c]));
        for silu in [false, true] {
            let options = GroupNormOptions { num_groups, eps: 1e-5, frames, silu };
            let want = group_norm(plain(&x), plain(&weight), plain(&bias), options);
            let what = format!("{n} {c} {size:?} {num_groups} {frames} {silu}");
            let shared = x.clone();
            let got = group_norm(x.clone(), weight.clone(), bias.clone(), options);
            assert_close(&what, got, want.clone());
            // In the input's own memory, and out of a view.
            assert_eq!(shared.to_data(), x.to_data());
            let own = Tensor::from_data(x.to_data(), &Device::flex());
            assert_close(
                &what,
                group_norm(own, weight.clone(), bias.clone(), options),
                want.clone(),
            );
            let view = x.clone().permute([0, 1, 3, 2]).permute([0, 1, 3, 2]);
            let view = Tensor::cat(vec![view.clone(), view], 0).narrow(0, n, n);
            assert_close(&what, group_norm(view, weight.clone(), bias.clone(), options), want);
        }
    }
}

#[test]
fn layer_norm_of_any_rows() {
    for (rows, c) in [(1, 1), (3, 37), (70, 320), (5, 1280)] {
        let x = random([2, rows, c]) * 2.0 - 1.0;
        let (weight, bias) = (random([c]), random([c]));
        for eps in [1e-5, 1e-6] {
            let want = layer_norm(plain(&x), plain(&weight), plain(&bias), eps);
            assert_close(
                &format!("{rows} {c}"),
                layer_norm(x.clone(), weight.clone(), bias.clone(), eps),
                want,
            );
        }
    }
}

#[test]
fn norms_of_constant_input_give_the_bias() {
    let device = Device::flex();
    for value in [0.0, 0.1, -7.3, 1e6] {
        let (weight, bias) = (random([96]), random([96]));
        let x = Tensor::<3>::full([2, 3, 96], value, &device);
        let want = bias.clone().reshape([1, 1, 96]).expand([2, 3, 96]);
        assert_close("layer", layer_norm(x, weight.clone(), bias.clone(), 0.0), want);
        let x = Tensor::<4>::full([2, 96, 3, 5], value, &device);
        let want = bias.clone().reshape([1, 96, 1, 1]).expand([2, 96, 3, 5]);
        let options = GroupNormOptions { num_groups: 32, eps: 0.0, frames: 2, silu: false };
        assert_close("group", group_norm(x, weight, bias, options), want);
    }
}

#[test]
fn geglu_is_exact() {
    for (rows, c) in [(1, 1), (33, 20), (7, 1280)] {
        let x = random([2, rows, 2 * c]) * 4.0;
        assert_close("geglu", geglu(x.clone()), geglu(plain(&x)));
        let view = Tensor::cat(vec![x.clone(), x.clone()], 2).narrow(2, c, 2 * c);
        assert_close("geglu of a view", geglu(view.clone()), geglu(plain(&view)));
    }
}

#[test]
fn attention_over_odd_lengths() {
    for (b, n, m, heads, d) in [
        (1, 1, 1, 1, 4),
        (2, 37, 77, 8, 40),
        (3, 64, 128, 2, 80),
        (1, 130, 51, 3, 7),
        (1, 9, 300, 1, 512),
    ] {
        let (q, k, v) =
            (random([b, n, heads * d]), random([b, m, heads * d]), random([b, m, heads * d]));
        let want = attention(plain(&q), plain(&k), plain(&v), heads);
        assert_close(&format!("{b} {n} {m} {heads} {d}"), attention(q, k, v, heads), want);
    }
    // Scores far beyond what exp can hold.
    let (q, k, v) = (random([1, 20, 16]) * 60.0, random([1, 20, 16]) * 60.0, random([1, 20, 16]));
    let want = attention(plain(&q), plain(&k), plain(&v), 2);
    assert_close("large scores", attention(q, k, v, 2), want);
}

#[test]
fn temporal_attention_of_any_length() {
    for (b, t, n, heads, d) in
        [(1, 1, 3, 1, 4), (2, 5, 33, 8, 40), (1, 13, 7, 2, 160), (1, 128, 2, 3, 7)]
    {
        let x = || random([b, t, n, heads * d]);
        let (q, k, v) = (x(), x(), x());
        let want = temporal_attention(plain(&q), plain(&k), plain(&v), heads);
        assert_close(&format!("{b} {t} {n} {heads} {d}"), temporal_attention(q, k, v, heads), want);
    }
}

#[test]
fn conv2d_of_every_geometry() {
    for (n, channels, out, [h, w], kernel, geometry) in [
        (1, 1, 1, [1, 1], 1, Conv2dGeometry::new(1, 0)),
        (2, 3, 5, [7, 5], 3, Conv2dGeometry::new(1, 1)),
        (3, 70, 33, [4, 4], 3, Conv2dGeometry::new(1, 1)),
        (5, 64, 90, [8, 8], 3, Conv2dGeometry::new(1, 1)),
        (2, 9, 20, [16, 48], 3, Conv2dGeometry::new(1, 1)),
        (1, 3, 4, [9, 200], 3, Conv2dGeometry::new(1, 1)),
        (2, 6, 8, [9, 11], 3, Conv2dGeometry::new(2, 1)),
        (2, 40, 8, [16, 32], 3, Conv2dGeometry { stride: 2, pad_begin: 0, pad_end: 1 }),
        (2, 33, 17, [6, 6], 1, Conv2dGeometry::new(1, 0)),
        (1, 2, 3, [8, 8], 5, Conv2dGeometry::new(1, 2)),
        (1, 2, 3, [13, 9], 2, Conv2dGeometry { stride: 3, pad_begin: 1, pad_end: 0 }),
        (3, 4, 5, [1, 1], 3, Conv2dGeometry::new(1, 1)),
    ] {
        let x = random([n, channels, h, w]);
        let (weight, bias) = (random([out, channels, kernel, kernel]), random([out]));
        let want = conv2d(plain(&x), plain(&weight), plain(&bias), geometry);
        let what = format!("{n} {channels}→{out} {h}x{w} {kernel} {geometry:?}");
        assert_close(&what, conv2d(x.clone(), weight.clone(), bias.clone(), geometry), want);
        let view = x.clone().permute([0, 1, 3, 2]);
        let want = conv2d(plain(&view), plain(&weight), plain(&bias), geometry);
        assert_close(&format!("{what} of a view"), conv2d(view, weight, bias, geometry), want);
    }
}

#[test]
fn temporal_conv_keeps_clips_apart() {
    for (clips, frames, channels, out, h, w) in
        [(1, 1, 1, 1, 1, 1), (2, 5, 33, 40, 3, 5), (3, 2, 130, 70, 4, 4), (1, 13, 8, 9, 16, 8)]
    {
        let x = random([clips * frames, channels, h, w]);
        let (weight, bias) = (random([out, channels, 3, 1, 1]), random([out]));
        let want = temporal_conv(plain(&x), plain(&weight), plain(&bias), frames);
        let what = format!("{clips} {frames} {channels}→{out} {h}x{w}");
        assert_close(&what, temporal_conv(x, weight, bias, frames), want);
    }
}

#[test]
fn project_between_every_pair_of_layouts() {
    for (n, positions, from_channels, to_channels) in
        [(1, 1, 1, 1), (2, 35, 20, 33), (5, 64, 400, 320)]
    {
        for from in [Side::Tokens, Side::Pixels] {
            let x = match from {
                Side::Tokens => random([n, positions, from_channels]),
                Side::Pixels => random([n, from_channels, positions]),
            };
            for to in [Side::Tokens, Side::Pixels] {
                for transposed in [false, true] {
                    let weight = match transposed {
                        true => random([to_channels, from_channels]).transpose(),
                        false => random([from_channels, to_channels]),
                    };
                    for bias in [None, Some(random([to_channels]))] {
                        let map = Projection { weight: weight.clone(), bias: bias.clone() };
                        let twin =
                            Projection { weight: plain(&weight), bias: bias.as_ref().map(plain) };
                        let what = format!("{n} {positions} {from:?} {to:?} {transposed}");
                        let want = project(plain(&x), twin, from, to);
                        assert_close(&what, project(x.clone(), map, from, to), want);
                    }
                }
            }
        }
    }
}

#[test]
fn other_types_take_the_plain_operations() {
    let x = random([1, 4, 3, 3]).cast(DType::F16);
    let (weight, bias) = (random([4]).cast(DType::F16), random([4]).cast(DType::F16));
    let options = GroupNormOptions { num_groups: 2, eps: 1e-5, frames: 1, silu: true };
    let out = group_norm(x, weight, bias, options);
    assert_eq!(out.dtype(), DType::F16);
    assert!(out.cast(DType::F32).into_data().iter::<f32>().all(f32::is_finite));
    let tokens = random([1, 6, 8]).cast(DType::F16);
    assert_eq!(attention(tokens.clone(), tokens.clone(), tokens.clone(), 2).dtype(), DType::F16);
    assert_eq!(geglu(tokens).dtype(), DType::F16);
}
