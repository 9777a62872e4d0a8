//! Prompts of several windows, with emphasis on parts of them.

use burn::tensor::{Int, Tensor};

use super::text::CLIPTextModel;

impl CLIPTextModel {
    /// Encodes every window of every prompt alone, concatenates the windows of each prompt,
    /// multiplies each state by its weight and rescales each prompt so that its mean over tokens
    /// and channels stays what it was.
    ///
    /// # Shapes
    /// - `windows`: `[b, k, n]`, k windows of n tokens
    /// - `weights`: `[b, k·n]`
    /// - output: `[b, k·n, c]`
    pub fn encode_weighted(&self, windows: Tensor<3, Int>, weights: Tensor<2>) -> Tensor<3> {
        let [b, k, n] = windows.dims();
        let states = self.forward(windows.reshape([b * k, n])).last_hidden_state;
        let c = states.dims()[2];
        weight_states(states.reshape([b, k * n, c]), weights)
    }
}

fn weight_states(states: Tensor<3>, weights: Tensor<2>) -> Tensor<3> {
    let mean = |x: Tensor<3>| x.mean_dim(2).mean_dim(1);
    let before = mean(states.clone());
    let weighted = states * weights.unsqueeze_dim(2);
    let after = mean(weighted.clone());
    weighted * (before / after)
}
