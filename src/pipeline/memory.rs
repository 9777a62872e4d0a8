//! How much memory a video needs, known before a weight is read.

use serde::Serialize;

use crate::error::Result;
use crate::models::clip::vision::CLIPVisionConfig;
use crate::models::referencenet::ReferenceNet2DConfig;
use crate::models::unet_2d::UNet2DEncoderConfig;
use crate::models::vae::AutoencoderKLConfig;
use crate::pipeline::conditioner_files::{IMAGE_ENCODER, REFERENCE_NET};
use crate::pipeline::files::size_of;
use crate::pipeline::{ConditionFrames, ModelFiles, Plan, PromptPictures, Text2Video, Video2Video};

/// The program, the runtime of the device, and what its threads keep for the next operation.
const PROGRAM: u64 = 60_000_000;
/// Bytes of a number on the CPU, where the text encoder always is.
const CPU_NUMBER: u64 = 4;
/// The text encoder, as [`crate::Event::Loaded`] calls it.
const TEXT_ENCODER: &str = "text_encoder";

/// What a video needs, in bytes. Working memory is an estimate from the shapes of the networks'
/// widest layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// The networks.
    pub networks: Vec<NetworkMemory>,
    /// What is made of its pictures once and kept, on the device: features of a reference.
    pub kept: u64,
    /// Activations of the denoiser in its largest pass, on the device.
    pub denoising: u64,
    /// Activations of the autoencoder while a frame is decoded, on the device.
    pub decoding: u64,
    /// Finished frames, on the CPU.
    pub frames: u64,
    /// The program itself, on the CPU.
    pub program: u64,
    /// What is there at once, one phase of the video after the other.
    pub phases: Vec<PhaseMemory>,
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
    /// Whether they stay until the video is done, and are not dropped after their phase.
    pub stays: bool,
}

/// What is there at once in a phase of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseMemory {
    /// What is done: "prompt", "pictures", "reference", "denoising", "decoding".
    pub name: &'static str,
    /// Bytes on the device.
    pub on_device: u64,
    /// Bytes on the CPU.
    pub on_cpu: u64,
}

impl MemoryPlan {
    /// What is on the device when most is there.
    pub fn device_peak(&self) -> u64 {
        self.phases.iter().map(|phase| phase.on_device).max().unwrap_or_default()
    }

    /// The same of the CPU.
    pub fn cpu_peak(&self) -> u64 {
        self.phases.iter().map(|phase| phase.on_cpu).max().unwrap_or_default()
    }

    /// Both together, where the device is the CPU.
    pub fn peak(&self) -> u64 {
        let both = self.phases.iter().map(|phase| phase.on_device + phase.on_cpu);
        both.max().unwrap_or_default()
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
        let (unet, _) = self.denoiser()?;
        let plan = Plan::new(&video.shot, vae.downscale())?;
        let number = number_bytes as u64;
        let networks = self.networks(number)?;
        let longest = plan.windows.iter().map(Vec::len).max().unwrap_or(plan.frames);
        // A shot after the first begins with frames of the one before.
        let given = plan.condition_positions.len().max(video.n_vision_condition);
        let images = (longest + given) * plan.guidance_batch() * plan.window_batch;
        let size = video.shot.size;
        let features = self.features(&plan, video, images)?;
        let denoising = unet.working_elements(images, plan.latent_size) + features.control;
        let frames = plan.total_frames() * video.shots * size.width * size.height * 3;
        let mut plan = MemoryPlan {
            networks,
            kept: features.reference as u64 * number,
            denoising: denoising as u64 * number,
            decoding: vae.decoding_elements([size.height, size.width]) as u64 * number,
            frames: frames as u64,
            program: PROGRAM,
            phases: Vec::new(),
        };
        let looking = unet.working_elements(features.reference_images, features.latent_size);
        plan.phases = plan.phases(self.seeing(video)? as u64 * number, looking as u64 * number);
        Ok(plan)
    }

    /// The same of a video made of another one, which is held all the time.
    ///
    /// # Errors
    /// As [`Self::memory_plan`].
    pub fn video2video_memory_plan(
        &self,
        video: &Video2Video,
        number_bytes: usize,
    ) -> Result<MemoryPlan> {
        let base = Text2Video { shots: video.chunk_count(), ..video.base.clone() };
        let mut plan = self.memory_plan(&base, number_bytes)?;
        let source = video.source.frames.iter().map(|frame| frame.data.len() as u64).sum::<u64>();
        // Beside the made frames are those that are shown with them, and the maps of one chunk.
        let chunk = plan.frames / base.shots.max(1) as u64;
        let shown = video.shown_beside() as u64 * plan.frames;
        let held = source + shown + chunk * (1 + video.source.networks() as u64);
        plan.frames += held;
        for phase in &mut plan.phases {
            phase.on_cpu += held;
        }
        Ok(plan)
    }

    /// The networks, in the order in which they are used.
    fn networks(&self, number: u64) -> Result<Vec<NetworkMemory>> {
        let (_, unet) = self.denoiser()?;
        let staying = [self.vae.size("vae"), size_of("unet", &unet)].map(|size| (size, true));
        let all = std::iter::once((self.text_encoder.size(TEXT_ENCODER), false))
            .chain(staying)
            .chain(self.conditioners.sizes());
        let memory = |(size, stays): (super::files::NetworkSize, bool)| {
            let on_device = size.name != TEXT_ENCODER;
            let number = if on_device { number } else { CPU_NUMBER };
            let (bytes, largest) = (size.elements * number, size.largest * number);
            NetworkMemory { name: size.name, bytes, largest, on_device, stays }
        };
        Ok(all.map(memory).collect())
    }

    /// Numbers of activations while the image encoder looks at its pictures.
    fn seeing(&self, video: &Text2Video) -> Result<usize> {
        let Some(encoder) = &self.conditioners.image_encoder else { return Ok(0) };
        let config: CLIPVisionConfig = encoder.parse()?;
        config.validate(&encoder.origin)?;
        let given = video.shot.image_prompt.as_ref().map(|prompt| &prompt.pictures);
        Ok(config.working_elements(given.map_or(1, PromptPictures::len)))
    }

    fn features(&self, plan: &Plan, video: &Text2Video, images: usize) -> Result<Features> {
        let latent_size = plan.latent_size;
        let given = video.shot.reference.as_ref().map_or(1, ConditionFrames::len);
        let reference_images = given * plan.guidance_batch();
        let reference = match &self.conditioners.reference_net {
            Some(net) => {
                let config: ReferenceNet2DConfig = net.parse()?;
                config.validate(&net.origin)?;
                config.encoder.feature_elements(reference_images, latent_size)
            }
            None => 0,
        };
        let mut control = 0;
        for net in &self.conditioners.control_nets {
            let config: UNet2DEncoderConfig = net.parse()?;
            control += config.feature_elements(images, latent_size);
        }
        Ok(Features { reference, control, reference_images, latent_size })
    }
}

/// Numbers in the features that conditions bring.
struct Features {
    reference: usize,
    control: usize,
    /// Images that the ReferenceNet looks at.
    reference_images: usize,
    latent_size: [usize; 2],
}

impl MemoryPlan {
    /// The phases, with what the image encoder and the ReferenceNet work in.
    fn phases(&self, seeing: u64, looking: u64) -> Vec<PhaseMemory> {
        let sum = |chosen: &dyn Fn(&NetworkMemory) -> bool| -> u64 {
            self.networks
                .iter()
                .filter(|network| chosen(network))
                .map(|network| network.bytes)
                .sum()
        };
        let staying = sum(&|network| network.stays);
        let called = |names: &[&str]| sum(&|network| names.contains(&network.name));
        let seen = called(&[IMAGE_ENCODER]);
        let looked = called(&[REFERENCE_NET]);
        let phase = |name, on_device, on_cpu| PhaseMemory { name, on_device, on_cpu };
        let text = phase("prompt", staying, called(&[TEXT_ENCODER]) + self.program);
        let pictures = phase("pictures", staying + seen + seeing, self.program);
        let reference = phase("reference", staying + looked + looking + self.kept, self.program);
        let made = self.frames + self.program;
        let denoising = phase("denoising", staying + self.kept + self.denoising, made);
        let decoding = phase("decoding", staying + self.kept + self.decoding, made);
        let mut all = vec![text];
        all.extend((seen > 0).then_some(pictures));
        all.extend((looked > 0).then_some(reference));
        all.extend([denoising, decoding]);
        all
    }
}
