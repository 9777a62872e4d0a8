//! What a video will need, known from configurations and shapes before a weight is read.

use crate::error::Result;
use crate::models::clip::vision::CLIPVisionConfig;
use crate::models::controlnet::ControlNetModelConfig;
use crate::models::referencenet::ReferenceNet2DConfig;
use crate::models::vae::AutoencoderKLConfig;
use crate::nn::conditioning_embedding::ConditioningEmbeddingConfig;
use crate::pipeline::conditioner_files::{
    FACE_PROJECTION, IMAGE_ENCODER, IMAGE_PROJECTION, REFERENCE_NET, pose_guider_config,
};
use crate::pipeline::files::{NetworkSize, size_of};
use crate::pipeline::memory::TEXT_ENCODER;
use crate::pipeline::{
    ConditionFrames, MemoryPlan, ModelFiles, NetworkMemory, Plan, PromptPictures, Request,
    Text2Video, Video2Video,
};

/// The program, the runtime of the device, and what its threads keep for the next operation.
const PROGRAM: u64 = 70_000_000;
/// Bytes of a number on the CPU, where the text encoder always is.
const CPU_NUMBER: u64 = 4;

impl ModelFiles {
    /// What `video` needs on a device that computes in numbers of `number_bytes` bytes.
    ///
    /// # Errors
    /// When a configuration is damaged or the video cannot be made.
    pub fn memory_plan(&self, video: &Text2Video, number_bytes: usize) -> Result<MemoryPlan> {
        self.planned(video, video.n_vision_condition > 0, number_bytes)
    }

    /// [`Self::memory_plan`]; `begins_seen` says whether the video looks like what it begins with.
    fn planned(
        &self,
        video: &Text2Video,
        begins_seen: bool,
        number_bytes: usize,
    ) -> Result<MemoryPlan> {
        let looks = Looks::of(video, begins_seen);
        let vae: AutoencoderKLConfig = self.vae.parse()?;
        vae.validate(&self.vae.origin)?;
        let (unet, _) = self.denoiser()?;
        let plan = Plan::new(&video.shot, vae.downscale())?;
        let number = number_bytes as u64;
        let networks = self.networks(&looks, number)?;
        let longest = plan.windows.iter().map(Vec::len).max().unwrap_or(plan.frames);
        // A shot after the first begins with frames of the one before, and one without a picture
        // with the frame that is made for it.
        let given = plan.condition_positions.len().max(video.n_vision_condition);
        let images = (longest + given) * plan.guidance_batch() * plan.window_batch;
        let size = video.shot.size;
        let features = self.features(&plan, video, &looks)?;
        let following = self.following((images, plan.guidance_batch()), plan.latent_size)?;
        let working = unet.working_elements(images, plan.latent_size).max(following.embedding);
        let denoising = working + following.residuals;
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
        let seeing = self.seeing(video)?;
        plan.phases = plan.phases(seeing as u64 * number, looking as u64 * number);
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
        let mut plan = self.planned(&base, base.shot.vision.is_some(), number_bytes)?;
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

    /// The networks that are used, in the order in which they are.
    fn networks(&self, looks: &Looks, number: u64) -> Result<Vec<NetworkMemory>> {
        let (_, unet) = self.denoiser()?;
        let staying = [self.vae.size("vae"), size_of("unet", &unet)].map(|size| (size, true));
        let all =
            std::iter::once((self.text_encoder.size(TEXT_ENCODER), false)).chain(staying).chain(
                self.conditioners.sizes().into_iter().filter(|(size, _)| looks.use_of(size.name)),
            );
        let memory = |(size, stays): (NetworkSize, bool)| {
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

    fn features(&self, plan: &Plan, video: &Text2Video, looks: &Looks) -> Result<Features> {
        let latent_size = plan.latent_size;
        let given = video.shot.reference.as_ref().map_or(1, ConditionFrames::len);
        let reference_images = given * plan.guidance_batch();
        let reference = match &self.conditioners.reference_net {
            Some(net) if looks.reference => {
                let config: ReferenceNet2DConfig = net.parse()?;
                config.validate(&net.origin)?;
                config.encoder.feature_elements(reference_images, latent_size)
            }
            _ => 0,
        };
        Ok(Features { reference, reference_images, latent_size })
    }

    /// What following frames takes, with `copies` for guidance among the `images`.
    fn following(
        &self,
        (images, copies): (usize, usize),
        latent_size: [usize; 2],
    ) -> Result<Following> {
        let mut found = Following::default();
        let mut embed = |config: ConditioningEmbeddingConfig| {
            let elements = config.working_elements(images / copies, latent_size);
            found.embedding = found.embedding.max(elements);
        };
        // The residuals of all nets but the first are added to those that are there.
        let mut residuals = [0; 2];
        for (i, net) in self.conditioners.control_nets.iter().enumerate() {
            let config: ControlNetModelConfig = net.parse()?;
            config.validate(&net.origin)?;
            embed(config.embedding());
            residuals[i.min(1)] = config.encoder.feature_elements(images, latent_size);
        }
        if let Some(weights) = &self.conditioners.pose_guider {
            embed(pose_guider_config(weights)?.embedding());
        }
        found.residuals = residuals.iter().sum();
        Ok(found)
    }
}

/// What a video looks like something by; networks for anything else are not loaded.
struct Looks {
    reference: bool,
    image_prompt: bool,
    /// The image prompt, and it is not given as what CLIP sees in it.
    pictures: bool,
    faces: bool,
}

impl Looks {
    fn of(video: &Text2Video, begins_seen: bool) -> Self {
        let Request { reference, image_prompt, face_prompt, .. } = &video.shot;
        let finds_faces = begins_seen && video.own_pictures.find_face.is_some();
        Self {
            reference: begins_seen || reference.is_some(),
            image_prompt: begins_seen || image_prompt.is_some(),
            pictures: match image_prompt {
                Some(prompt) => matches!(prompt.pictures, PromptPictures::Pictures(_)),
                None => begins_seen,
            },
            faces: finds_faces || face_prompt.is_some(),
        }
    }

    /// Whether the network `name` is of use.
    fn use_of(&self, name: &str) -> bool {
        match name {
            REFERENCE_NET => self.reference,
            IMAGE_ENCODER => self.pictures,
            IMAGE_PROJECTION => self.image_prompt,
            FACE_PROJECTION => self.faces,
            _ => true,
        }
    }
}

/// Numbers in the features of a reference.
struct Features {
    reference: usize,
    /// Images that the ReferenceNet looks at.
    reference_images: usize,
    latent_size: [usize; 2],
}

/// Numbers that following frames takes in a pass of the denoiser.
#[derive(Default)]
struct Following {
    /// While a network takes in its frames.
    embedding: usize,
    /// What ControlNets say.
    residuals: usize,
}
