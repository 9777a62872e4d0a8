//! Sinusoidal positions and the two-layer network behind them.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};

/// Sinusoids of `positions`, cosines first, then sines, with frequencies `10000^(-i / half)`
/// (diffusers' `Timesteps` with `flip_sin_to_cos` and `freq_shift` 0).
///
/// # Shapes
/// - output: `[positions.len(), channels]`
fn sinusoids(positions: &[f64], channels: usize) -> TensorData {
    let half = channels / 2;
    let frequency = |i: usize| (-(10_000f64.ln()) * i as f64 / half as f64).exp();
    let values = positions
        .iter()
        .flat_map(|position| {
            let angles = (0..half).map(move |i| position * frequency(i));
            angles.clone().map(f64::cos).chain(angles.map(f64::sin))
        })
        .map(|value| value as f32)
        .collect();
    TensorData::new::<f32, _>(values, [positions.len(), 2 * half])
}

/// Configuration of a [`TimestepEmbedding`].
#[derive(Config, Debug)]
pub struct TimestepEmbeddingConfig {
    /// Length of the sinusoids; even.
    pub channels: usize,
    /// Length of the embedding.
    pub embed_dim: usize,
}

/// Embeds timesteps or frame numbers: sinusoids, linear, SiLU, linear.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbeddingConfig {
    /// A [`TimestepEmbedding`] with random weights.
    pub fn init(&self, device: &Device) -> TimestepEmbedding {
        TimestepEmbedding {
            linear_1: LinearConfig::new(self.channels, self.embed_dim).init(device),
            linear_2: LinearConfig::new(self.embed_dim, self.embed_dim).init(device),
        }
    }
}

impl TimestepEmbedding {
    /// Embeds each of `positions`.
    ///
    /// # Shapes
    /// - output: `[positions.len(), embed_dim]`
    pub fn forward(&self, positions: &[f64]) -> Tensor<2> {
        let weight = self.linear_1.weight.val();
        let data = sinusoids(positions, weight.dims()[0]);
        let sinusoids = Tensor::from_data(data, (&weight.device(), weight.dtype()));
        self.linear_2.forward(silu(self.linear_1.forward(sinusoids)))
    }
}

#[cfg(test)]
mod tests {
    use super::sinusoids;

    #[test]
    fn cosines_come_first_and_frequencies_fall() {
        let values = sinusoids(&[0.0, 2.0], 4).try_to_vec::<f32>().unwrap();
        let want = [1.0, 1.0, 0.0, 0.0, 2f32.cos(), 0.02f32.cos(), 2f32.sin(), 0.02f32.sin()];
        for (got, want) in values.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{values:?}");
        }
    }
}
