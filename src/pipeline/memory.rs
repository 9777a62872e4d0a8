//! How much memory a video needs, known before a weight is read.

use serde::Serialize;

use crate::error::Result;
use crate::models::vae::AutoencoderKLConfig;
use crate::pipeline::files::size_of;
use crate::pipeline::{ModelFiles, Plan, Text2Video};

/// The program, the runtime of the device, and what its threads keep for the next operation.
const PROGRAM: u64 = 60_000_000;
/// Bytes of a number on the CPU, where the text encoder always is.
const CPU_NUMBER: u64 = 4;

/// What a video needs, in bytes. Working memory is an estimate from the shapes of the networks'
/// widest layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// The networks, in the order in which they are loaded; all stay until the video is done.
    pub networks: Vec<NetworkMemory>,
    /// Activations of the denoiser in its largest pass, on the device.
    pub denoising: u64,
    /// Activations of the autoencoder while a frame is decoded, on the device.
    pub decoding: u64,
    /// Finished frames, on the CPU.
    pub frames: u64,
    /// The program itself, on the CPU.
    pub program: u64,
}

/// What the weights of a network need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkMemory {
    /// Its name, as in [`crate::Event::Loaded`].
    pub name: &'static str,
    /// All its tensors.
    pub bytes: u64,
    /// The largest of them.
    pub largest: u64,
    /// Whether they are on the device, and not on the CPU.
    pub on_device: bool,
}

impl MemoryPlan {
    /// What is on the device when most is there.
    pub fn device_peak(&self) -> u64 {
        self.weights(true) + self.denoising.max(self.decoding)
    }

    /// The same of the CPU.
    pub fn cpu_peak(&self) -> u64 {
        self.weights(false) + self.frames + self.program
    }

    /// Both together, where the device is the CPU.
    pub fn peak(&self) -> u64 {
        self.device_peak() + self.cpu_peak()
    }

    fn weights(&self, on_device: bool) -> u64 {
        let there = self.networks.iter().filter(|network| network.on_device == on_device);
        there.map(|network| network.bytes).sum()
    }
}

impl ModelFiles {
    /// What `video` needs on a device that computes in numbers of `number_bytes` bytes.
    ///
    /// # Errors
    /// When a configuration is damaged or the video cannot be made.
    pub fn memory_plan(&self, video: &Text2Video, number_bytes: usize) -> Result<MemoryPlan> {
        let vae: AutoencoderKLConfig = self.vae.parse()?;
        vae.validate(&self.vae.origin)?;
        let (unet, unet_weights) = self.denoiser()?;
        let plan = Plan::new(&video.shot, vae.downscale())?;
        let number = number_bytes as u64;
        let networks = [
            self.text_encoder.size("text_encoder"),
            self.vae.size("vae"),
            size_of("unet", &unet_weights),
        ];
        let networks = networks.into_iter().chain(self.conditioners.sizes()).map(|network| {
            let on_device = network.name != "text_encoder";
            let number = if on_device { number } else { CPU_NUMBER };
            let (bytes, largest) = (network.elements * number, network.largest * number);
            NetworkMemory { name: network.name, bytes, largest, on_device }
        });
        let longest = plan.windows.iter().map(Vec::len).max().unwrap_or(plan.frames);
        // A shot after the first begins with frames of the one before.
        let given = plan.condition_positions.len().max(video.n_vision_condition);
        let images = (longest + given) * plan.guidance_batch() * plan.window_batch;
        let size = video.shot.size;
        let frames = plan.total_frames() * video.shots * size.width * size.height * 3;
        Ok(MemoryPlan {
            networks: networks.collect(),
            denoising: unet.working_elements(images, plan.latent_size) as u64 * number,
            decoding: vae.decoding_elements([size.height, size.width]) as u64 * number,
            frames: frames as u64,
            program: PROGRAM,
        })
    }
}
