//! Arbitrary weights.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::common;

/// Every parameter, also those that start as zero, gets a value of its own.
pub(crate) struct Scramble {
    /// Of all temporal layers.
    pub(crate) temporal_weight: f32,
    /// Where the values begin.
    pub(crate) state: u64,
}

impl Scramble {
    /// The next value in [-1, 1].
    fn next(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Values in [-1, 1].
    pub(crate) fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.next()).collect();
        Tensor::from_data(TensorData::new(values, shape), &common::device())
    }
}

impl ModuleMapper for Scramble {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape: [usize; D] = param.lazy_shape().dims();
        let fan_in = shape.iter().skip(1).product::<usize>() as f64;
        let value = match (D, shape[0]) {
            (1, 1) => Tensor::full(shape, self.temporal_weight, &common::device()),
            (1, _) => self.tensor(shape) * 0.2 + 0.5,
            _ => self.tensor(shape) * (2.0 / fan_in.sqrt()),
        };
        Param::initialized(param.id, value)
    }
}
