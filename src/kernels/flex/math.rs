//! Elementary functions on f32, written so that loops over them become vector instructions: no
//! branches, no calls, and integer arithmetic that cannot panic.

use std::f32::consts::{LOG2_E, SQRT_2};

/// eˣ within 2 units in the last place; never below the smallest normal value, never infinite.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer, which the low bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.336_54, 88.722_83);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor's series; |r| <= ln 2 / 2.
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // 2ⁿ in two factors, since n may be 128.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// x · sigmoid(x).
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// x · Φ(x), the exact GELU.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    x * normal_distribution(x)
}

/// Φ(x), with a fractional error below 1e-6 in the left tail too; erfc as a Chebyshev fit (Press et al.,
/// Numerical Recipes, section 6.2).
#[inline(always)]
pub(super) fn normal_distribution(x: f32) -> f32 {
    let t = 1.0 / (1.0 + x.abs() * (0.5 / SQRT_2));
    let p = 0.170_872_77;
    let p = p * t - 0.822_152_23;
    let p = p * t + 1.488_515_9;
    let p = p * t - 1.135_204;
    let p = p * t + 0.278_868_07;
    let p = p * t - 0.186_288_06;
    let p = p * t + 0.096_784_18;
    let p = p * t + 0.374_091_96;
    let p = p * t + 1.000_023_7;
    let p = p * t - 1.265_512_2;
    // erfc(|x|/√2) / 2
    let tail = 0.5 * t * exp(p - 0.5 * x * x);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Σ f(x), in sixteen partial sums.
#[inline(always)]
pub(super) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut partial = [0.0; 16];
    for chunk in chunks {
        for (sum, x) in partial.iter_mut().zip(chunk) {
            *sum += f(*x);
        }
    }
    in_pairs(partial, |a, b| a + b) + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// The largest value.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut partial = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (max, x) in partial.iter_mut().zip(chunk) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    rest.iter().fold(in_pairs(partial, f32::max), |a, &b| a.max(b))
}

/// Folds partial results in pairs: one by one, each step would wait for the one before.
#[inline(always)]
pub(super) fn in_pairs(mut partial: [f32; 16], f: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        let (low, high) = partial.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low = f(*low, *high));
    }
    partial[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_the_last_places() {
        let worst = (-870_000..=887_000).map(|i| {
            let x = i as f32 * 1e-4;
            let want = f64::from(x).exp();
            (f64::from(exp(x)) - want).abs() / want
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 2.5e-7, "{worst}");
        assert!(exp(-1000.0) < 1.2e-38 && exp(-f32::INFINITY) < 1.2e-38);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn gelu_and_silu_follow_their_formulas() {
        for i in -120_000..=120_000 {
            let x = i as f32 * 1e-4;
            let wide = f64::from(x);
            let silu_want = wide / (1.0 + (-wide).exp());
            let error = (f64::from(silu(x)) - silu_want).abs();
            assert!(error < 4e-7 * silu_want.abs().max(1.0), "silu({x}): {error}");
        }
        // Φ(1), Φ(-2), Φ(0.5) from tables.
        for (x, phi) in [(1.0, 0.841_344_746), (-2.0, 0.022_750_132), (0.5, 0.691_462_461)] {
            assert!((f64::from(gelu(x)) - f64::from(x) * phi).abs() < 4e-7, "gelu({x})");
        }
        for (x, phi) in [(-1.0, 0.158_655_254), (-3.0, 1.349_898_03e-3), (-5.0, 2.866_515_72e-7)] {
            let error = (f64::from(gelu(x)) / (f64::from(x) * phi) - 1.0).abs();
            assert!(error < 1e-6, "gelu({x}): {error}");
        }
        assert_eq!(gelu(0.0), 0.0);
        assert!(gelu(-40.0).abs() < 1e-37);
    }

    #[test]
    fn sums_and_maxima_cover_odd_lengths() {
        let values: Vec<f32> = (0..37).map(|i| (i * 7 % 37) as f32).collect();
        assert_eq!(sum(&values, |x| x), 666.0);
        assert_eq!(max(&values), 36.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
