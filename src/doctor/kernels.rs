//! Every operation of [`crate::kernels`] against its twin in plain tensor operations, on the same
//! device. The twin computes in float32 from the same, rounded, inputs.

use burn::tensor::{DType, Tensor};

use super::{Checks, noise};
use crate::kernels::{
    self, Conv2dGeometry, GroupNormOptions, GuidedStep, Projection, Side, reference,
};

/// Error of a long sum in float32.
const TOLERANCE: f64 = 5e-5;

pub(super) async fn run(checks: &mut Checks<'_>) {
    for (dtype, factor) in checks.dtypes() {
        let mut kernels = Kernels { checks, dtype, tolerance: TOLERANCE * factor };
        kernels.norms().await;
        kernels.attentions().await;
        kernels.projections().await;
        kernels.temporal_attentions().await;
        kernels.convolutions().await;
        kernels.steps().await;
    }
}

struct Kernels<'a, 'b> {
    checks: &'a mut Checks<'b>,
    dtype: DType,
    tolerance: f64,
}

/// A tensor as the operation gets it, and the same values in float32 for the twin.
type Pair<const D: usize> = (Tensor<D>, Tensor<D>);

impl Kernels<'_, '_> {
    fn pair<const D: usize>(&self, shape: [usize; D], seed: u32) -> Pair<D> {
        let rounded = noise(shape, seed, self.checks.device).cast(self.dtype);
        (rounded.clone(), rounded.cast(DType::F32))
    }

    async fn compare<const D: usize>(&mut self, name: &str, got: Tensor<D>, want: Tensor<D>) {
        self.checks.compare(("kernel", name), self.tolerance, got, want).await;
    }

    async fn norms(&mut self) {
        let (x, x32) = self.pair([6, 64, 15, 13], 1);
        let (weight, weight32) = self.pair([64], 2);
        let (bias, bias32) = self.pair([64], 3);
        for (name, frames, silu) in [("group_norm", 1, false), ("group_norm_silu_frames", 3, true)]
        {
            let options = GroupNormOptions { num_groups: 32, eps: 1e-5, frames, silu };
            let got = kernels::group_norm(x.clone(), weight.clone(), bias.clone(), options);
            let (w, b) = (weight32.clone(), bias32.clone());
            let want = reference::group_norm(x32.clone(), w, b, options);
            self.compare(name, got, want).await;
        }
    }

    async fn attentions(&mut self) {
        for (name, [queries, keys], width) in
            [("attention_text", [70, 77], 40), ("attention_self", [150, 150], 96)]
        {
            let (q, q32) = self.pair([2, queries, 4 * width], 9);
            let (k, k32) = self.pair([2, keys, 4 * width], 10);
            let (v, v32) = self.pair([2, keys, 4 * width], 11);
            let want = reference::attention(q32, k32, v32, 4);
            self.compare(name, kernels::streaming_attention(q, k, v, 4), want).await;
        }
    }

    async fn projections(&mut self) {
        use Side::{Pixels, Tokens};
        let (tokens, tokens32) = self.pair([3, 45, 70], 21);
        let (pixels, pixels32) = self.pair([3, 70, 45], 22);
        let (weight, weight32) = self.pair([70, 130], 23);
        let (bias, bias32) = self.pair([130], 24);
        for (name, from, to, has_bias) in [
            ("project_tokens", Tokens, Tokens, true),
            ("project_to_pixels", Tokens, Pixels, false),
            ("project_to_tokens", Pixels, Tokens, true),
            ("project_pixels", Pixels, Pixels, false),
        ] {
            let (x, x32) = if from == Tokens { (&tokens, &tokens32) } else { (&pixels, &pixels32) };
            let of = |weight: &Tensor<2>, bias: &Tensor<1>| Projection {
                weight: weight.clone(),
                bias: has_bias.then(|| bias.clone()),
            };
            let got = kernels::tiled_project(x.clone(), of(&weight, &bias), from, to);
            let want = reference::project(x32.clone(), of(&weight32, &bias32), from, to);
            self.compare(name, got, want).await;
        }
    }

    async fn temporal_attentions(&mut self) {
        for (name, frames, width) in
            [("temporal_attention_12", 12, 40), ("temporal_attention_40", 40, 80)]
        {
            let shape = [1, frames, 21, 4 * width];
            let ((q, q32), (k, k32), (v, v32)) =
                (self.pair(shape, 9), self.pair(shape, 10), self.pair(shape, 11));
            let want = reference::temporal_attention(q32, k32, v32, 4);
            self.compare(name, kernels::temporal_attention(q, k, v, 4), want).await;
        }
    }

    async fn convolutions(&mut self) {
        let geometries = [
            ("conv_3x3", 3, Conv2dGeometry::new(1, 1)),
            ("conv_3x3_stride_2", 3, Conv2dGeometry::new(2, 1)),
            ("conv_3x3_below", 3, Conv2dGeometry { stride: 2, pad_begin: 0, pad_end: 1 }),
            ("conv_1x1", 1, Conv2dGeometry::new(1, 0)),
        ];
        let (x, x32) = self.pair([3, 33, 14, 18], 12);
        let (bias, bias32) = self.pair([65], 13);
        for (name, side, geometry) in geometries {
            let (weight, weight32) = self.pair([65, 33, side, side], 14);
            let got = kernels::conv2d(x.clone(), weight, bias.clone(), geometry);
            let want = reference::conv2d(x32.clone(), weight32, bias32.clone(), geometry);
            self.compare(name, got, want).await;
        }
        // Enough pixels for Winograd's method, and too few.
        for (name, pixels) in [("temporal_conv", [6, 7]), ("temporal_conv_few_pixels", [2, 1])] {
            let [h, w] = pixels;
            let (x, x32) = self.pair([2 * 5, 33, h, w], 15);
            let (weight, weight32) = self.pair([65, 33, 3, 1, 1], 16);
            let got = kernels::temporal_conv(x, weight, bias.clone(), 5);
            let want = reference::temporal_conv(x32, weight32, bias32.clone(), 5);
            self.compare(name, got, want).await;
        }
    }

    /// The denoising loop's own passes always run in float32.
    async fn steps(&mut self) {
        if self.dtype != DType::F32 {
            return;
        }
        let device = self.checks.device;
        let sum = noise([2, 4, 13, 8, 9], 17, device);
        let counter = noise([13], 18, device) + 2.0;
        let prediction = noise([2, 4, 5, 8, 9], 19, device);
        let window = [8, 9, 10, 11, 2];
        let got =
            kernels::window_scatter(sum.clone(), counter.clone(), prediction.clone(), &window);
        let want = reference::window_scatter(sum.clone(), counter.clone(), prediction, &window);
        self.compare("window_scatter_sum", got.0, want.0).await;
        self.compare("window_scatter_counter", got.1, want.1).await;
        let step = GuidedStep {
            guidance_scale: Some(3.5),
            sample_coefficient: 1.0,
            output_coefficient: -0.3,
        };
        let latents = noise([1, 4, 13, 8, 9], 20, device);
        let got = kernels::guided_step(latents.clone(), sum.clone(), counter.clone(), step);
        let want = reference::guided_step(latents, sum, counter, step);
        self.compare("guided_step", got, want).await;
    }
}
