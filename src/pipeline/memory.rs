//! How much memory a video needs.

use serde::Serialize;

use crate::pipeline::conditioner_files::{IMAGE_ENCODER, REFERENCE_NET};

/// The text encoder, as [`crate::Event::Loaded`] calls it.
pub(super) const TEXT_ENCODER: &str = "text_encoder";

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

impl MemoryPlan {
    /// The phases, with what the image encoder and the ReferenceNet work in.
    pub(super) fn phases(&self, seeing: u64, looking: u64) -> Vec<PhaseMemory> {
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
