//! The original's names of output files, which tell how a video was made.

use std::path::PathBuf;

use md5::{Digest, Md5};

/// What the name of an output file tells.
#[derive(Clone, Debug)]
pub struct OutputName<'a> {
    /// Names of the base model and of its ReferenceNet, if it has one.
    pub model: (&'a str, Option<&'a str>),
    /// Name of the task.
    pub case: &'a str,
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Frames of one shot.
    pub time_size: usize,
    /// Number of shots.
    pub n_batch: usize,
    /// Seed.
    pub seed: u64,
    /// The prompt as the text encoder gets it.
    pub prompt: &'a str,
    /// Share of the condition picture in the initial noise.
    pub img_weight: f64,
    /// Motion speed.
    pub motion_speed: f64,
    /// Strength of the redraw.
    pub strength: f64,
    /// Guidance of the video.
    pub video_guidance_scale: f64,
    /// Its pictures.
    pub pictures: OutputPictures<'a>,
    /// Share of the noise that is drawn for each frame.
    pub w_ind_noise: f64,
    /// Negative prompt of the video as the user named it.
    pub negative_prompt: &'a str,
}

/// What the name of an output file tells of pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputPictures<'a> {
    /// The condition pictures.
    pub condition: &'a [PathBuf],
    /// Whether they are drawn anew.
    pub redrawn: bool,
    /// Those of the ReferenceNet. The original names them as those of the image prompt too (quirk
    /// Q-10).
    pub reference: &'a [PathBuf],
    /// Those of the face adapter.
    pub face: &'a [PathBuf],
}

impl OutputName<'_> {
    /// The file name without extension, characters that some file systems refuse removed.
    pub fn stem(&self) -> String {
        let OutputPictures { condition, redrawn, reference, face } = self.pictures;
        let (model, reference_net) = self.model;
        let reference = picture_names(reference);
        let stem = format!(
            "m={}_rm={}_case={}_w={}_h={}_t={}_nb={}_s={}_p={}_w={}_ms={}_s={}_g={}_c-i={}_r-c={}\
             _w={}_{}_r={}_ip={}_f={}",
            model,
            reference_net.unwrap_or("no"),
            self.case,
            self.size.0,
            self.size.1,
            self.time_size,
            self.n_batch,
            self.seed,
            short_hash(self.prompt),
            python(self.img_weight),
            python(self.motion_speed),
            python(self.strength),
            python(self.video_guidance_scale),
            first(&picture_names(condition), 5),
            if redrawn { "True" } else { "False" },
            python(self.w_ind_noise),
            first(self.negative_prompt, 10),
            first(&reference, 3),
            first(&reference, 3),
            first(&picture_names(face), 3),
        );
        plain(&stem)
    }
}

/// What the name of a video made of another one tells.
#[derive(Clone, Debug)]
pub struct TransformedName<'a> {
    /// `v2v` where the frames of the other guide it, `vm2v` where only control maps do.
    pub kind: &'a str,
    /// As in [`OutputName::model`].
    pub model: (&'a str, Option<&'a str>),
    /// Name of the task.
    pub case: &'a str,
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Frames of one chunk.
    pub time_size: usize,
    /// The most chunks.
    pub n_batch: usize,
    /// Steps of the video.
    pub steps: usize,
    /// Shares of the condition picture and of each frame in the initial noise.
    pub noise: (f64, f64),
    /// Seed.
    pub seed: u64,
    /// What is followed, with commas; empty for nothing.
    pub controlnet: &'a str,
    /// Strength and guidance of a made or redrawn first frame.
    pub first_frame: (f64, f64),
    /// Strength and guidance of the video.
    pub video: (f64, f64),
    /// The prompt as the text encoder gets it, and the video's negative prompt as it was named.
    pub prompts: (&'a str, &'a str),
    /// Its pictures; those of the condition are not in the name.
    pub pictures: OutputPictures<'a>,
}

impl TransformedName<'_> {
    /// The file name without extension, characters that some file systems refuse removed.
    pub fn stem(&self) -> String {
        let (model, reference_net) = self.model;
        let (prompt, negative) = self.prompts;
        let reference = picture_names(self.pictures.reference);
        let stem = format!(
            "{}_m={}_rm={}_c={}_w={}_h={}_t={}_n={}_vn={}_w={}_w={}_s={}_n={}_s={}_g={}_vs={}_vg={}\
             _p={}_{}_r={}_ip={}_f={}",
            self.kind,
            model,
            reference_net.unwrap_or("no"),
            self.case,
            self.size.0,
            self.size.1,
            self.time_size,
            self.n_batch,
            self.steps,
            python(self.noise.0),
            python(self.noise.1),
            self.seed,
            if self.controlnet.is_empty() { "None" } else { self.controlnet },
            python(self.first_frame.0),
            python(self.first_frame.1),
            python(self.video.0),
            python(self.video.1),
            short_hash(prompt),
            first(negative, 10),
            first(&reference, 3),
            first(&reference, 3),
            first(&picture_names(self.pictures.face), 3),
        );
        plain(&stem)
    }
}

/// `name` without characters that some file systems refuse.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !r#"\/:*?"<>|"#.contains(*c) && !c.is_control()).collect()
}

/// The first five digits of the MD5 of `text`.
fn short_hash(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    let digits: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    digits[..5].to_owned()
}

/// File names up to their first dot, joined; "no" without pictures.
fn picture_names(pictures: &[PathBuf]) -> String {
    if pictures.is_empty() {
        return "no".to_owned();
    }
    let name = |path: &PathBuf| {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        file.unwrap_or_default().split('.').next().unwrap_or_default().to_owned()
    };
    pictures.iter().map(name).collect::<Vec<_>>().join("_")
}

fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// A number as Python prints it: `8.0`, `0.001`, `1e-05`.
fn python(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-4..1e16).contains(&size) || !number.is_finite() {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}
