//! Everything about a shot that can be known, and checked, before a tensor exists.

use crate::error::{Error, Result};
use crate::pipeline::control::check_count;
use crate::pipeline::{Mode, Request, Sampling};

/// Sizes above this are taken for a mistake: their latents alone would fill any machine.
pub(crate) const MAX_SIDE: usize = 8192;
/// Frames above this are taken for a mistake; longer videos are chained shots.
const MAX_FRAMES: usize = 100_000;
/// Motion is guided at this timestep and above. What moves is decided there; guided on below, it leaves
/// ghosts.
const LEAST_MOTION_TIMESTEP: f64 = 600.0;
/// How much the VAE of Stable Diffusion 1.5 shrinks; sides that fit it fit those that shrink less.
pub(super) const VAE_SCALE_FACTOR: usize = 8;

/// The checked plan of one shot.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Height and width of the latents.
    pub latent_size: [usize; 2],
    /// Frames to generate.
    pub frames: usize,
    /// Positions of the condition frames among all frames, ascending.
    pub condition_positions: Vec<usize>,
    /// The generated frames that each pass of the denoiser sees, counted from 0.
    pub windows: Vec<Vec<usize>>,
    /// How many windows go through the denoiser at once.
    pub window_batch: usize,
    /// Guidance scale of every step; empty when guidance is off.
    pub guidance: Vec<f64>,
    /// Scale of image guidance in every step; empty without condition frames to be guided by.
    pub image_guidance: Vec<f64>,
    /// Scale of motion guidance while noise is strong; 1 without it.
    pub motion_guidance_scale: f64,
    /// Steps of the schedule.
    pub steps: usize,
    /// How many of them, from the first on, are not taken.
    pub skipped_steps: usize,
    /// Whether temporal layers take part.
    pub mode: Mode,
}

impl Plan {
    /// Checks `request` for a VAE that shrinks by `vae_scale_factor`.
    ///
    /// # Errors
    /// An [`Error::Request`] naming the option for every value that cannot work.
    pub fn new(request: &Request, vae_scale_factor: usize) -> Result<Self> {
        let latent_size = [
            latent_side("height", request.size.height, vae_scale_factor)?,
            latent_side("width", request.size.width, vae_scale_factor)?,
        ];
        let frames = request.frames;
        if frames == 0 || frames > MAX_FRAMES {
            let reason = format!("{frames} is not between 1 and {MAX_FRAMES} frames");
            return Err(Error::request("frames", reason));
        }
        let steps = request.sampling.steps;
        if steps == 0 || steps > 1000 {
            return Err(Error::request("steps", format!("{steps} is not between 1 and 1000")));
        }
        if let Some(source) = &request.source
            && source.len() != frames
        {
            let reason = format!("{} source frames for {frames} frames", source.len());
            return Err(Error::request("frames", reason));
        }
        let skipped_steps = skipped_steps(request)?;
        let windows = request.window.windows(frames)?;
        let condition_positions = condition_positions(request, windows.len())?;
        request.guidance.validate()?;
        let guided = |when: bool, scales: Vec<f64>| if when { scales } else { Vec::new() };
        let taken = steps - skipped_steps;
        // The start value alone decides whether there is guidance.
        let guidance = guided(request.guidance.is_on(), request.guidance.scales(taken));
        let image_guidance =
            guided(!condition_positions.is_empty(), request.guidance.image_scales(taken));
        request.sampling.noise.validate()?;
        check_conditions(request, frames + condition_positions.len())?;
        Ok(Self {
            latent_size,
            frames,
            condition_positions,
            windows,
            window_batch: request.window.batch_size.max(1),
            guidance,
            image_guidance,
            motion_guidance_scale: request.guidance.motion_scale,
            steps,
            skipped_steps,
            mode: request.mode,
        })
    }

    /// All frames of the clip: condition frames and generated ones.
    pub fn total_frames(&self) -> usize {
        self.frames + self.condition_positions.len()
    }

    /// The frames of the clip that a pass over the generated frames of `window` sees, in the order
    /// in which it sees them: condition frames stand at their positions.
    pub fn clip_frames(&self, window: &[usize]) -> Vec<usize> {
        let positions = &self.condition_positions;
        let generated: Vec<usize> =
            (0..self.total_frames()).filter(|frame| !positions.contains(frame)).collect();
        let mut generated = window.iter().map(|&frame| generated[frame]);
        (0..positions.len() + window.len())
            .filter_map(|at| if positions.contains(&at) { Some(at) } else { generated.next() })
            .collect()
    }

    /// Scale of motion guidance at `timestep`, 0 to 1000: 1 where there is none.
    pub fn motion_guidance_scale_at(&self, timestep: f64) -> f64 {
        if timestep < LEAST_MOTION_TIMESTEP { 1.0 } else { self.motion_guidance_scale }
    }

    /// Copies of the batch that the denoiser sees: 2 with guidance, unconditional half first.
    pub fn guidance_batch(&self) -> usize {
        if self.guidance.is_empty() { 1 } else { 2 }
    }

    /// The windows in groups of equal length that go through the denoiser together.
    pub fn window_groups(&self) -> impl Iterator<Item = &[Vec<usize>]> {
        self.windows
            .chunk_by(|a, b| a.len() == b.len())
            .flat_map(|same_length| same_length.chunks(self.window_batch))
    }
}

fn latent_side(option: &'static str, pixels: usize, vae_scale_factor: usize) -> Result<usize> {
    if pixels < 8 * vae_scale_factor.min(8) || pixels > MAX_SIDE {
        let least = 8 * vae_scale_factor.min(8);
        let reason = format!("{pixels} is not between {least} and {MAX_SIDE} pixels");
        return Err(Error::request(option, reason));
    }
    if !pixels.is_multiple_of(vae_scale_factor) {
        let reason = format!("{pixels} is not a multiple of {vae_scale_factor} pixels");
        return Err(Error::request(option, reason));
    }
    Ok(pixels / vae_scale_factor)
}

/// How many steps the strength of a request leaves out.
fn skipped_steps(request: &Request) -> Result<usize> {
    let missing = "there are no frames to be made anew";
    let missing = request.source.is_none().then_some(missing);
    skipped_by("redraw-strength", request.sampling, missing)
}

/// How many steps are left out of `sampling` by the strength that `option` told; `missing` says why
/// nothing can be kept.
pub(super) fn skipped_by(
    option: &'static str,
    sampling: Sampling,
    missing: Option<&str>,
) -> Result<usize> {
    let Sampling { steps, strength, .. } = sampling;
    let wrong = |reason| Err(Error::request(option, reason));
    if !(strength > 0.0 && strength <= 1.0) {
        return wrong(format!("{strength} is not above 0 and up to 1"));
    }
    if let Some(missing) = missing.filter(|_| strength < 1.0) {
        return wrong(format!("{strength}, but {missing}"));
    }
    match sampling.taken_steps() {
        0 => wrong(format!("{strength} of {steps} steps is none; raise one or the other")),
        taken => Ok(steps - taken),
    }
}

/// Checks what the clip goes by besides words and condition frames; it has `total` frames.
fn check_conditions(request: &Request, total: usize) -> Result<()> {
    if !(request.motion_speed.is_finite() && request.motion_speed >= 0.0) {
        let reason = format!("{} is not a number from 0", request.motion_speed);
        return Err(Error::request("motion-speed", reason));
    }
    let scale = |option, scale: f64| {
        if scale.is_finite() && scale >= 0.0 {
            return Ok(());
        }
        Err(Error::request(option, format!("{scale} is not a number from 0")))
    };
    if let Some(prompt) = &request.image_prompt {
        if prompt.pictures.is_empty() {
            return Err(Error::request("ipadapter-image", "an image prompt needs a picture"));
        }
        scale("ip-adapter-scale", prompt.scale)?;
    }
    if let Some(prompt) = &request.face_prompt {
        if prompt.embeddings.is_empty() {
            return Err(Error::request("face-embedding", "a face prompt needs a face"));
        }
        scale("ip-adapter-face-scale", prompt.scale)?;
    }
    for control in &request.controls {
        control.validate(total)?;
    }
    if request.pose.is_empty() {
        return Ok(());
    }
    check_count("pose-guider", request.pose.len(), total)
}

/// The places of the condition frames. Frames generated in several windows can only follow their
/// condition frames: inside every window these stand first (quirk Q-30 of the original, where
/// other positions collide).
fn condition_positions(request: &Request, windows: usize) -> Result<Vec<usize>> {
    let Some(vision) = &request.vision else { return Ok(Vec::new()) };
    let count = vision.frames.len();
    let total = request.frames + count;
    if vision.positions.is_empty() {
        return Ok((0..count).collect());
    }
    let option = "condition_images_index";
    if vision.positions.len() != count {
        let reason = format!("{} positions for {count} images", vision.positions.len());
        return Err(Error::request(option, reason));
    }
    let mut positions = Vec::with_capacity(count);
    for &position in &vision.positions {
        let index = if position < 0 { position + total as i64 } else { position };
        match usize::try_from(index) {
            Ok(index) if index < total && !positions.contains(&index) => positions.push(index),
            _ => {
                let reason = format!("{position} is repeated or outside the {total} frames");
                return Err(Error::request(option, reason));
            }
        }
    }
    if !positions.is_sorted() {
        return Err(Error::request(option, "positions have to ascend, like their images"));
    }
    if windows > 1 && !positions.iter().copied().eq(0..count) {
        let reason = "only the beginning works when the clip needs several windows; \
                      raise context_frames or lower the number of frames";
        return Err(Error::request(option, reason));
    }
    Ok(positions)
}
