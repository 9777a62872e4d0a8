//! Muon: momentum whose direction counts and not its size.

use burn::optim::Optimizer;
use burn::optim::momentum::{Momentum, MomentumConfig, MomentumState};
use burn::tensor::{Device, Tensor};

/// Newton-Schulz steps of one update.
const STEPS: usize = 5;
/// Coefficients of a step; they pull singular values into 0.7..1.2 rather than quite to 1.
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
/// Root mean square of an update of AdamW, in learning rates; Muon's are made as large (Liu et al.
/// 2025, arXiv:2502.16982).
const UPDATE: f64 = 0.2;

/// Momentum made orthogonal, for weights that are matrices (Jordan et al. 2024, "Muon: an optimizer
/// for hidden layers in neural networks"). Kernels of convolutions are matrices from all their
/// inputs to the outputs.
#[derive(Clone)]
pub(super) struct Muon {
    momentum: Momentum,
    weight_decay: f64,
}

impl Muon {
    pub(super) fn new(weight_decay: f64) -> Self {
        let momentum =
            MomentumConfig::new().with_momentum(0.95).with_dampening(0.0).with_nesterov(true);
        Self { momentum: Momentum::new(&momentum), weight_decay }
    }
}

impl Optimizer for Muon {
    type State<const D: usize> = MomentumState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = weight.dims();
        let rows = shape[0];
        let columns = shape[1..].iter().product::<usize>();
        let (direction, state) = self.momentum.transform(gradient, state);
        let direction = orthogonal(direction.reshape([rows, columns])).reshape(shape);
        let size = UPDATE * (rows.max(columns) as f64).sqrt();
        let weight = weight * (1.0 - learning_rate * self.weight_decay);
        (weight - direction * (learning_rate * size), Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.to_device(device)
    }
}

/// The orthogonal matrix nearest to `matrix`, roughly.
fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    if rows > columns {
        return orthogonal(matrix.transpose()).transpose();
    }
    let norm = matrix.clone().powi_scalar(2).sum().sqrt() + 1e-7;
    let (a, b, c) = COEFFICIENTS;
    (0..STEPS).fold(matrix / norm.unsqueeze(), |x, _| {
        let square = x.clone().matmul(x.clone().transpose());
        let factor = square.clone() * b + square.clone().matmul(square) * c;
        factor.matmul(x.clone()) + x * a
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::orthogonal;

    #[test]
    fn singular_values_come_near_one() {
        let device = Device::flex();
        device.seed(3);
        for shape in [[8, 40], [40, 8]] {
            let x = orthogonal(Tensor::random(shape, Distribution::Normal(0.0, 3.0), &device));
            let narrow = if shape[0] < shape[1] { x } else { x.transpose() };
            let product = narrow.clone().matmul(narrow.transpose());
            let far = (product - Tensor::eye(8, &device)).abs().max().into_scalar::<f32>();
            assert!(far < 0.6, "{shape:?}: {far}");
        }
    }
}
