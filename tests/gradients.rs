//! Gradients of the CPU's fused loops, which serve f32, against those of the twins in plain tensor
//! operations in f64, and against finite differences.

#![cfg(feature = "train")]

use std::cell::RefCell;

use burn::tensor::{DType, Tensor};
use musev::kernels::{self, *};
use musev::random::Generator;
use musev::{Device, Rng};

/// Largest difference over the largest expected value.
const TOLERANCE: f64 = 5e-6;

/// Step of the finite differences; their error is a multiple of its square.
const STEP: f64 = 1e-4;

/// An operation on flat operands, with a flat result.
type Operation<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;

thread_local! {
    /// Every test has a thread of its own, so it draws the same values each time.
    static NOISE: RefCell<Generator> = RefCell::new(Generator::new(Rng::TorchCpu, 0));
}

fn random(length: usize) -> Tensor<1> {
    let values = NOISE.with_borrow_mut(|noise| noise.normal(&[length]));
    Tensor::from_floats(values.as_slice(), &Device::flex())
}

fn values(x: Tensor<1>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn assert_close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0f64, f64::max);
    assert!(got.iter().all(|x| x.is_finite()), "{what}: not finite");
    assert!(worst <= TOLERANCE * scale.max(1e-3), "{what}: {worst} of {scale}");
}

/// The gradients of Σ upstream·operation(operands), and the operation's result, computed in `dtype`.
fn gradients(
    operands: &[Tensor<1>],
    upstream: &Tensor<1>,
    dtype: DType,
    operation: Operation,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let on_device = |x: &Tensor<1>| Tensor::<1>::from_data(x.to_data(), (&device, dtype));
    let leaves: Vec<_> = operands.iter().map(|x| on_device(x).require_grad()).collect();
    let out = operation(&leaves);
    let gradients = (out.clone() * on_device(upstream)).sum().backward();
    let of_leaves = leaves.iter().map(|x| values(x.grad(&gradients).expect("a leaf")));
    (of_leaves.collect(), values(out.inner()))
}

/// Compares the gradients of all operands with those of the twin.
fn compare(what: &str, operands: &[Tensor<1>], fused: Operation, twin: Operation) {
    let plain = fused(operands);
    let upstream = random(plain.dims()[0]);
    let (got, out) = gradients(operands, &upstream, DType::F32, fused);
    assert_eq!(out, values(plain), "{what}: training computes what inference does");
    let (want, _) = gradients(operands, &upstream, DType::F64, twin);
    for (index, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_close(&format!("{what}, operand {index}"), got, want);
    }
}

/// Compares the gradients of all operands with those of the twin, and with finite differences.
fn compare_tiny(what: &str, operands: &[Tensor<1>], fused: Operation, twin: Operation) {
    compare(what, operands, fused, twin);
    let operands: Vec<_> = operands.iter().map(|x| x.clone().cast(DType::F64)).collect();
    let upstream = random(twin(&operands).dims()[0]).cast(DType::F64);
    let narrow: Vec<_> = operands.iter().map(|x| x.clone().cast(DType::F32)).collect();
    let (got, _) = gradients(&narrow, &upstream, DType::F32, fused);
    let loss = |operands: &[Tensor<1>]| values((twin(operands) * upstream.clone()).sum())[0];
    for (index, got) in got.iter().enumerate() {
        let at = values(operands[index].clone());
        let moved = |i: usize, step: f64| {
            let mut at = at.clone();
            at[i] += step;
            let mut operands = operands.clone();
            let target = (&Device::flex(), DType::F64);
            operands[index] = Tensor::from_data(at.as_slice(), target);
            loss(&operands)
        };
        let slope = |i: usize| (moved(i, STEP) - moved(i, -STEP)) / (2.0 * STEP);
        let want: Vec<_> = (0..at.len()).map(slope).collect();
        assert_close(&format!("{what}, operand {index}, differences"), got, &want);
    }
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let length = x.shape().num_elements();
    x.reshape([length])
}

#[test]
fn conv2d_of_every_geometry() {
    let end = Conv2dGeometry { stride: 2, pad_begin: 0, pad_end: 1 };
    for (n, channels, out, [h, w], kernel, geometry) in [
        (1, 1, 1, [1, 1], 1, Conv2dGeometry::new(1, 0)),
        (2, 2, 3, [3, 4], 3, Conv2dGeometry::new(1, 1)),
        (2, 2, 2, [4, 5], 3, Conv2dGeometry::new(2, 1)),
        (1, 2, 2, [4, 6], 3, end),
        (2, 3, 2, [2, 3], 1, Conv2dGeometry::new(1, 0)),
        (1, 2, 1, [5, 4], 2, Conv2dGeometry { stride: 3, pad_begin: 1, pad_end: 0 }),
        (1, 1, 2, [2, 3], 1, Conv2dGeometry::new(1, 1)),
        (3, 70, 33, [4, 4], 3, Conv2dGeometry::new(1, 1)),
        (5, 64, 90, [8, 8], 3, Conv2dGeometry::new(1, 1)),
        (1, 3, 4, [9, 50], 3, Conv2dGeometry::new(1, 1)),
        (20, 6, 8, [9, 11], 3, Conv2dGeometry::new(2, 1)),
        (2, 40, 8, [16, 32], 3, end),
        (3, 33, 17, [6, 6], 1, Conv2dGeometry::new(1, 0)),
        (2, 2, 3, [8, 8], 5, Conv2dGeometry::new(1, 2)),
        (1, 2, 3, [8, 8], 3, Conv2dGeometry { stride: 1, pad_begin: 2, pad_end: 0 }),
        (3, 4, 5, [1, 1], 3, Conv2dGeometry::new(1, 1)),
    ] {
        let shape = [out, channels, kernel, kernel];
        let run = |x: &[Tensor<1>], op: fn(Tensor<4>, _, _, _) -> Tensor<4>| {
            let weight = x[1].clone().reshape(shape);
            flat(op(x[0].clone().reshape([n, channels, h, w]), weight, x[2].clone(), geometry))
        };
        let operands =
            [random(n * channels * h * w), random(out * channels * kernel * kernel), random(out)];
        let what = format!("{n} {channels}→{out} {h}x{w} {kernel} {geometry:?}");
        let check = if n * channels * h * w < 100 { compare_tiny } else { compare };
        check(&what, &operands, &|x| run(x, kernels::conv2d), &|x| run(x, reference::conv2d));
        // No loop serves f64: there, as on graphics cards, it is a product while it is trained.
        let plain = run(&operands, reference::conv2d);
        let upstream = random(plain.dims()[0]);
        let of = |op| gradients(&operands, &upstream, DType::F64, &|x| run(x, op));
        let ((got, out), (want, wanted)) = (of(kernels::conv2d), of(reference::conv2d));
        assert_close(&format!("{what}, as a product"), &out, &wanted);
        for (got, want) in got.iter().zip(&want) {
            assert_close(&format!("{what}, as a product, gradients"), got, want);
        }
    }
}

#[test]
fn temporal_conv_keeps_clips_apart() {
    for (clips, frames, channels, out, h, w) in
        [(1, 1, 1, 1, 1, 1), (2, 3, 2, 3, 1, 2), (2, 5, 33, 40, 3, 5), (3, 2, 130, 70, 4, 4)]
    {
        let shape = [clips * frames, channels, h, w];
        let run = |x: &[Tensor<1>], op: fn(Tensor<4>, Tensor<5>, Tensor<1>, usize) -> Tensor<4>| {
            let weight = x[1].clone().reshape([out, channels, 3, 1, 1]);
            flat(op(x[0].clone().reshape(shape), weight, x[2].clone(), frames))
        };
        let operands = [random(shape.iter().product()), random(out * channels * 3), random(out)];
        let what = format!("{clips} {frames} {channels}→{out} {h}x{w}");
        let check = if channels < 3 { compare_tiny } else { compare };
        check(&what, &operands, &|x| run(x, kernels::temporal_conv), &|x| {
            run(x, reference::temporal_conv)
        });
    }
}

#[test]
fn project_between_every_pair_of_layouts() {
    type Op = fn(Tensor<3>, Projection, Side, Side) -> Tensor<3>;
    let sides = [Side::Tokens, Side::Pixels];
    for (n, positions, depth, channels) in [(1, 1, 1, 1), (2, 3, 2, 5), (3, 35, 20, 33)] {
        for (from, to) in sides.iter().flat_map(|&from| sides.map(|to| (from, to))) {
            for (transposed, with_bias) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let run = |x: &[Tensor<1>], op: Op| {
                    let weight = match transposed {
                        true => x[1].clone().reshape([channels, depth]).transpose(),
                        false => x[1].clone().reshape([depth, channels]),
                    };
                    let bias = with_bias.then(|| x[2].clone());
                    let shape = match from {
                        Side::Tokens => [n, positions, depth],
                        Side::Pixels => [n, depth, positions],
                    };
                    let x = x[0].clone().reshape(shape);
                    flat(op(x, Projection { weight, bias }, from, to))
                };
                let mut operands = vec![random(n * positions * depth), random(depth * channels)];
                if with_bias {
                    operands.push(random(channels));
                }
                let what = format!("{n} {positions} {from:?} {to:?} {transposed} {with_bias}");
                let check = if depth < 3 { compare_tiny } else { compare };
                check(&what, &operands, &|x| run(x, kernels::project), &|x| {
                    run(x, reference::project)
                });
            }
        }
    }
}

#[test]
fn group_norm_with_and_without_silu() {
    for (n, c, [h, w], num_groups, frames) in [
        (2, 4, [1, 3], 2, 1),
        (4, 4, [2, 1], 2, 2),
        (2, 32, [7, 5], 32, 1),
        (6, 64, [4, 4], 32, 3),
        (4, 30, [1, 1], 3, 4),
        (1, 8, [64, 48], 2, 1),
    ] {
        for silu in [false, true] {
            let options = GroupNormOptions { num_groups, eps: 1e-5, frames, silu };
            let run = |x: &[Tensor<1>], op: fn(Tensor<4>, _, _, _) -> Tensor<4>| {
                let input = x[0].clone().reshape([n, c, h, w]);
                flat(op(input, x[1].clone(), x[2].clone(), options))
            };
            let operands = [random(n * c * h * w) * 3.0 + 5.0, random(c), random(c)];
            let what = format!("{n} {c} {h}x{w} {num_groups} {frames} {silu}");
            let check = if c == 4 { compare_tiny } else { compare };
            check(&what, &operands, &|x| run(x, kernels::group_norm), &|x| {
                run(x, reference::group_norm)
            });
        }
    }
}

#[test]
fn layer_norm_of_any_rows() {
    for (rows, c) in [(3, 5), (3, 37), (70, 320), (5, 1280)] {
        let run = |x: &[Tensor<1>], op: fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>| {
            let input = x[0].clone().reshape([2, rows, c]);
            flat(op(input, x[1].clone(), x[2].clone(), 1e-5))
        };
        let operands = [random(2 * rows * c) * 2.0 - 1.0, random(c), random(c)];
        let check = if c < 10 { compare_tiny } else { compare };
        check(&format!("{rows} {c}"), &operands, &|x| run(x, kernels::layer_norm), &|x| {
            run(x, reference::layer_norm)
        });
    }
}

#[test]
fn geglu_of_any_rows() {
    for (rows, c) in [(1, 1), (3, 5), (33, 20), (7, 1280)] {
        let run = |x: &[Tensor<1>], op: fn(Tensor<3>) -> Tensor<3>| {
            flat(op(x[0].clone().reshape([2, rows, 2 * c])))
        };
        let operands = [random(4 * rows * c) * 2.0];
        let check = if c < 10 { compare_tiny } else { compare };
        check(&format!("{rows} {c}"), &operands, &|x| run(x, kernels::geglu), &|x| {
            run(x, reference::geglu)
        });
    }
}

#[test]
fn attention_over_odd_lengths() {
    for (b, n, m, heads, d) in [
        (1, 1, 1, 1, 4),
        (2, 3, 5, 2, 2),
        // With the keys of condition frames appended.
        (3, 64, 128, 2, 20),
        (2, 37, 77, 8, 40),
        (1, 130, 51, 3, 7),
        (1, 9, 300, 1, 130),
    ] {
        let c = heads * d;
        let run = |x: &[Tensor<1>], op: fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
            let [q, k, v] = [(0, n), (1, m), (2, m)];
            let part = |(index, length): (usize, usize)| x[index].clone().reshape([b, length, c]);
            flat(op(part(q), part(k), part(v), heads))
        };
        let operands = [random(b * n * c), random(b * m * c), random(b * m * c)];
        let check = if n * m < 20 { compare_tiny } else { compare };
        check(
            &format!("{b} {n} {m} {heads} {d}"),
            &operands,
            &|x| run(x, kernels::attention),
            &|x| run(x, reference::attention),
        );
    }
}

#[test]
fn temporal_attention_of_any_length() {
    for (b, t, n, heads, d) in
        [(1, 1, 3, 1, 4), (2, 3, 2, 2, 2), (2, 5, 33, 8, 40), (1, 13, 7, 2, 160), (1, 60, 2, 3, 7)]
    {
        let shape = [b, t, n, heads * d];
        let run = |x: &[Tensor<1>], op: fn(Tensor<4>, Tensor<4>, Tensor<4>, usize) -> Tensor<4>| {
            let part = |index: usize| x[index].clone().reshape(shape);
            flat(op(part(0), part(1), part(2), heads))
        };
        let operands = [(); 3].map(|()| random(shape.iter().product()));
        let check = if t * n < 10 { compare_tiny } else { compare };
        check(
            &format!("{b} {t} {n} {heads} {d}"),
            &operands,
            &|x| run(x, kernels::temporal_attention),
            &|x| run(x, reference::temporal_attention),
        );
    }
}

/// One tensor as queries, keys and values, of an input that is itself computed.
#[test]
fn gradients_of_shared_operands_add_up() {
    let run = |x: &[Tensor<1>], op: fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
        let x = (x[0].clone() * 2.0 + x[1].clone()).reshape([1, 4, 6]);
        flat(op(x.clone(), x.clone(), x, 3))
    };
    let operands = [random(24), random(24)];
    compare_tiny("shared", &operands, &|x| run(x, kernels::attention), &|x| {
        run(x, reference::attention)
    });
}

#[test]
fn only_tracked_operands_have_gradients() {
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        let drawn = |length| Tensor::<1>::from_data(random(length).into_data(), &device);
        let (x, weight) = (drawn(96).reshape([2, 3, 4, 4]), drawn(135).reshape([5, 3, 3, 3]));
        let bias = drawn(5);
        let geometry = Conv2dGeometry::new(1, 1);
        let untracked = kernels::conv2d(x.clone(), weight.clone(), bias.clone(), geometry);
        let bias = bias.require_grad();
        // An input that a checkpointing strategy computes again.
        let scale = Tensor::<4>::ones([1, 1, 1, 1], &device).require_grad();
        let scaled = x.clone() * scale.clone();
        let out = kernels::conv2d(scaled, weight.clone(), bias.clone(), geometry);
        assert_eq!(out.clone().inner().into_data(), untracked.into_data());
        let gradients = out.sum().backward();
        assert!(x.grad(&gradients).is_none() && weight.grad(&gradients).is_none());
        let got = values(bias.grad(&gradients).expect("tracked"));
        assert_close("bias", &got, &[32.0; 5]);
        assert!(scale.grad(&gradients).is_some());
    }
}
