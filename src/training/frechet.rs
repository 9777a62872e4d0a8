//! The Fréchet distance of two sets of vectors, each taken for a normal distribution.

use burn::tensor::linalg::svd;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Sweeps of the singular value decomposition for each value; far fewer do.
const SWEEPS: usize = 100;

/// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) of two sets of vectors (Heusel et al. 2017,
/// arXiv:1706.08500).
///
/// With Σ = XᵀX the last trace is the sum of the singular values of X₁X₂ᵀ. So no root of a covariance
/// is taken, which of fewer vectors than they have values would be of rounding errors.
pub(super) fn frechet(first: &[Vec<f32>], second: &[Vec<f32>]) -> f64 {
    let (mean_1, spread_1) = moments(first);
    let (mean_2, spread_2) = moments(second);
    let squares = |x: Tensor<2>| -> f64 { x.powi_scalar(2).sum().into_scalar() };
    let (_, mixed, _) = svd::<2, 1>(spread_1.clone().matmul(spread_2.clone().transpose()), SWEEPS);
    let mixed: f64 = mixed.sum().into_scalar();
    squares(mean_1 - mean_2) + squares(spread_1) + squares(spread_2) - 2.0 * mixed
}

/// The mean `[1, d]` of `n` vectors, and what is left of each without it, scaled so that its square is
/// the covariance, `[n, d]`.
fn moments(rows: &[Vec<f32>]) -> (Tensor<2>, Tensor<2>) {
    let (n, d) = (rows.len(), rows[0].len());
    let data = TensorData::new(rows.concat(), [n, d]).convert::<f64>();
    let x = Tensor::<2>::from_data(data, (&Device::flex(), DType::F64));
    let mean = x.clone().mean_dim(0);
    let spread = (x - mean.clone()) / ((n - 1) as f64).sqrt();
    (mean, spread)
}

#[cfg(test)]
mod tests {
    use super::frechet;

    fn rows(offset: f32, scale: f32) -> Vec<Vec<f32>> {
        let at = |i: usize| ((i * 37 % 101) as f32 / 50.0 - 1.0) * scale + offset;
        (0..60).map(|i| vec![at(i), at(i * 7 + 3), at(i * 13 + 5)]).collect()
    }

    #[test]
    fn the_distance_of_a_set_to_itself_is_0_and_grows_with_the_mean() {
        assert!(frechet(&rows(0.0, 1.0), &rows(0.0, 1.0)).abs() < 1e-3);
        assert!((frechet(&rows(0.0, 1.0), &rows(2.0, 1.0)) - 12.0).abs() < 1e-2);
        assert!(frechet(&rows(0.0, 1.0), &rows(0.0, 2.0)) > 0.1);
    }

    #[test]
    fn fewer_vectors_than_values_are_measured_as_well() {
        // Along one axis each: the distance of the means is 3, of the spreads √2 and 2√2.
        let along = |axis: usize, mean: f32, spread: f32| {
            let vector = |sign: f32| {
                let mut vector = vec![0.0; 40];
                vector[axis] = sign * spread;
                vector[39] = mean;
                vector
            };
            [vector(1.0), vector(-1.0)]
        };
        let distance = |axis| frechet(&along(0, 1.0, 1.0), &along(axis, 4.0, 2.0));
        assert!((distance(0) - (9.0 + 2.0)).abs() < 1e-9, "{}", distance(0));
        assert!((distance(1) - (9.0 + 2.0 + 8.0)).abs() < 1e-9, "{}", distance(1));
    }
}
