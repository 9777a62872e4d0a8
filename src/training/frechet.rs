//! The Fréchet distance of two sets of vectors, each taken for a normal distribution.

use burn::tensor::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};

/// Sweeps of a singular value decomposition; far fewer do.
const SWEEPS: usize = 30;

/// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) of two sets of vectors (Heusel et al. 2017,
/// arXiv:1706.08500).
pub(super) fn frechet(first: &[Vec<f32>], second: &[Vec<f32>]) -> f64 {
    let (mean_1, covariance_1) = moments(first);
    let (mean_2, covariance_2) = moments(second);
    let sum = |x: Tensor<2>| f64::from(x.sum().into_scalar::<f32>());
    let trace = |x: Tensor<2>| {
        let size = x.dims()[0];
        sum(x * Tensor::eye(size, &Device::flex()))
    };
    let root = square_root(covariance_1.clone());
    let mixed = root.clone().matmul(covariance_2.clone()).matmul(root);
    let (_, values, _) = svd::<2, 1>(mixed, SWEEPS);
    let mixed = f64::from(values.clamp_min(0.0).sqrt().sum().into_scalar::<f32>());
    sum((mean_1 - mean_2).powi_scalar(2)) + trace(covariance_1) + trace(covariance_2) - 2.0 * mixed
}

/// Mean `[1, d]` and covariance `[d, d]`.
fn moments(rows: &[Vec<f32>]) -> (Tensor<2>, Tensor<2>) {
    let (n, d) = (rows.len(), rows[0].len());
    let data = TensorData::new(rows.concat(), [n, d]);
    let x = Tensor::<2>::from_data(data, &Device::flex());
    let mean = x.clone().mean_dim(0);
    let centred = x - mean.clone();
    let covariance = centred.clone().transpose().matmul(centred) / (n - 1) as f64;
    (mean, covariance)
}

/// The square root of a symmetric matrix without negative eigenvalues.
fn square_root(x: Tensor<2>) -> Tensor<2> {
    let (u, values, _) = svd::<2, 1>(x, SWEEPS);
    let scaled = u.clone() * values.clamp_min(0.0).sqrt().unsqueeze_dim(0);
    scaled.matmul(u.transpose())
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
}
