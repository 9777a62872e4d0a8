//! The losses.

use burn::tensor::{Device, Tensor, TensorData};

use super::config::{AutoencoderConfig, DenoiserConfig};
use super::draw::Draw;
use crate::models::unet_3d::{UNet3DConditionModel, UNet3DConditions, UNet3DInput};
use crate::models::vae::AutoencoderKL;
use crate::pipeline::Noise;
use crate::random::Generator;
use crate::schedulers::{ForwardProcess, PredictionType, SchedulerConfig};

/// How far pictures are from what the autoencoder makes of them (Kingma & Welling 2013,
/// arXiv:1312.6114, with the error's norms weighted).
///
/// # Shapes
/// - `images`: `[n, 3, h, w]` in [-1, 1]
/// - output: `[1]`
pub(super) fn autoencoder_loss(
    vae: &AutoencoderKL,
    images: Tensor<4>,
    config: &AutoencoderConfig,
    noise: &mut Generator,
) -> Tensor<1> {
    let latents = vae.encode(images.clone());
    let deviation = (latents.logvar.clone() * 0.5).exp();
    let drawn = normal(latents.mean.dims(), noise, &images.device());
    let decoded = vae.decode(latents.mean.clone() + deviation * drawn);
    let error = decoded - images;
    let divergence =
        latents.mean.powi_scalar(2) + latents.logvar.clone().exp() - latents.logvar - 1.0;
    let squared = error.clone().powi_scalar(2);
    // [n, 1], an error that nobody sees is as good as none
    let of_picture = squared.clone().flatten::<2>(1, 3).mean_dim(1) + 1e-5;
    squared.mean() * config.squared_weight
        + error.abs().mean() * config.absolute_weight
        + of_picture.log().mean() * config.log_weight
        + divergence.mean() * (0.5 * config.kl_weight)
}

/// What the denoiser is given in one update.
pub(super) struct DenoiserBatch {
    /// `[b, c, 1 + t, h, w]`, the condition frame first; without one, `[b, c, 1, h, w]`.
    pub(super) clean: Tensor<5>,
    /// `[b, n, c]`
    pub(super) text: Tensor<3>,
    /// Whether the first frame is a condition frame; otherwise the frames are pictures.
    pub(super) conditioned: bool,
}

/// How noise is added, and what the denoiser predicts of it.
pub(super) struct NoiseSchedule {
    process: ForwardProcess,
}

impl NoiseSchedule {
    /// That of the sampler's configuration, so that training and sampling agree.
    pub(super) fn new(scheduler: &SchedulerConfig) -> Self {
        Self { process: scheduler.forward_process() }
    }

    /// The squared error of the clip that follows from a prediction, for a squared error of 1 of
    /// the prediction.
    pub(super) fn of_clip(&self, timestep: usize) -> f64 {
        let alpha = self.process.alpha_cumprod(timestep);
        match self.process.prediction_type() {
            PredictionType::Epsilon => (1.0 - alpha) / alpha,
            PredictionType::VPrediction => 1.0 - alpha,
        }
    }

    /// Squared error of the prediction at a random timestep for each clip (Ho et al. 2020,
    /// arXiv:2006.11239). The condition frame is clean and not predicted.
    ///
    /// # Shapes
    /// - output: `[1]`
    pub(super) fn loss(
        &self,
        unet: &UNet3DConditionModel,
        batch: DenoiserBatch,
        config: &DenoiserConfig,
        draw: &mut Draw,
    ) -> Tensor<1> {
        let count = batch.clean.dims()[0];
        let all = self.process.timesteps();
        let timesteps: Vec<usize> =
            (0..count).map(|_| config.shifted(draw.below(all), all)).collect();
        self.squared_errors(unet, batch, &timesteps, (config, &mut draw.noise())).mean()
    }

    /// Squared errors of the predictions at given timesteps, one for each clip.
    ///
    /// # Shapes
    /// - output: `[b, c, t, h, w]`
    pub(super) fn squared_errors(
        &self,
        unet: &UNet3DConditionModel,
        batch: DenoiserBatch,
        timesteps: &[usize],
        (config, noise): (&DenoiserConfig, &mut Generator),
    ) -> Tensor<5> {
        let DenoiserBatch { clean, text, conditioned } = batch;
        let device = clean.device();
        let [b, _, length, ..] = clean.dims();
        let given = usize::from(conditioned);
        let frames = length - given;
        let target = clean.clone().narrow(2, given, frames);
        let shares = |which: usize| {
            let values: Vec<f32> =
                timesteps.iter().map(|&t| self.process.shares(t)[which] as f32).collect();
            Tensor::<5>::from_data(TensorData::new(values, [b, 1, 1, 1, 1]), &device)
        };
        let (signal, sigma) = (shares(0), shares(1));
        let noise = noise_for(&clean, given, (&config.noise, noise));
        let noisy = target.clone() * signal.clone() + noise.clone() * sigma.clone();
        let wanted = match self.process.prediction_type() {
            PredictionType::Epsilon => noise,
            PredictionType::VPrediction => noise * signal - target * sigma,
        };
        let sample =
            if conditioned { Tensor::cat(vec![clean.narrow(2, 0, 1), noisy], 2) } else { noisy };
        let predicted = unet.forward(UNet3DInput {
            sample,
            timesteps: timesteps.iter().map(|&t| t as f64).collect(),
            encoder_hidden_states: text,
            vision_condition_index: (0..given).collect(),
            skip_temporal_layers: !conditioned,
            unseen_condition: false,
            conditions: UNet3DConditions::default(),
        });
        let error = predicted.narrow(2, given, frames) - wanted;
        error.powi_scalar(2)
    }
}

/// Noise for the frames of `clean` `[b, c, given + t, h, w]` that are to be made, as the pipeline draws
/// it: the `given` ones have a share in it.
///
/// # Shapes
/// - output: `[b, c, t, h, w]`
fn noise_for(
    clean: &Tensor<5>,
    given: usize,
    (kind, generator): (&Noise, &mut Generator),
) -> Tensor<5> {
    let [b, c, length, h, w] = clean.dims();
    let noise = kind.draw([b, c, length - given, h, w], generator, &clean.device());
    if given == 0 {
        return noise;
    }
    kind.with_image(noise, clean.clone().narrow(2, 0, given))
}

fn normal(shape: [usize; 4], noise: &mut Generator, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(noise.normal(&shape), shape), device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::noise_for;
    use crate::pipeline::Noise;
    use crate::random::{Generator, Rng};

    #[test]
    fn given_frames_have_their_share_in_the_noise() {
        let clean = Tensor::<5>::from_data([[[[[2.0f32]], [[8.0]], [[9.0]]]]], &Device::flex());
        let noise = |given, img_weight| {
            let kind = Noise { img_weight: Some(img_weight), ..Noise::default() };
            let generator = &mut Generator::new(Rng::TorchCpu, 1);
            let noise = noise_for(&clean, given, (&kind, generator));
            noise.into_data().iter::<f32>().collect::<Vec<_>>()
        };
        assert_eq!(noise(1, 1.0), [2.0; 2]);
        let (alone, shared) = (noise(1, 0.0), noise(1, 0.36));
        for (alone, shared) in alone.iter().zip(&shared) {
            assert!((shared - (0.8 * alone + 0.6 * 2.0)).abs() < 1e-6, "{alone} {shared}");
        }
        // Pictures without a given one have nothing but noise.
        assert_eq!(noise(0, 1.0).len(), 3);
        assert_eq!(noise(0, 1.0), noise(0, 0.0));
    }
}
