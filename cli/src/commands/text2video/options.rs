//! The options of `musev text2video`, in the groups in which `--help` shows them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::ArgPredicate;
use musev::{
    DeviceChoice, Format, GuidanceMethod, LoraChoice, NoiseType, Precision, Rng, SchedulerKind,
    WindowSchedule,
};

use super::embeddings::Embeddings;

/// Options of `musev text2video`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Examples:\n  \
    musev text2video --image cat.jpg --prompt \"a cat, blinking\" -o cat.mp4\n  \
    musev text2video --image sea.jpg --frames 40 --steps 20 --seed 7 -o sea.webp\n  \
    musev text2video -t configs/tasks/example.yaml --target-datas cat --output-dir results"
)]
pub(crate) struct Text2videoArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) sampling: Sampling,
    #[command(flatten)]
    pub(crate) first_frame: FirstFrame,
    #[command(flatten)]
    pub(crate) motion: Motion,
    #[command(flatten)]
    pub(crate) windows: Windows,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
    #[command(flatten)]
    pub(crate) compatibility: Compatibility,
}

/// What to show.
#[derive(Args, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// Begin the video with this picture (PNG, JPEG, WebP, GIF or BMP); may be repeated.
    #[arg(short, long, value_name = "FILE", conflicts_with = "tasks")]
    pub(crate) image: Vec<PathBuf>,
    /// Show this; `(red hair:1.3)` weighs the words in parentheses.
    #[arg(
        short,
        long,
        value_name = "TEXT",
        conflicts_with = "tasks",
        required_unless_present_any = ["image", "tasks"],
        allow_hyphen_values = true
    )]
    pub(crate) prompt: Option<String>,
    /// Avoid this in the first frame, and in the video too unless --video-negative-prompt is given:
    /// a key of the table (V1 to V5, Empty), or several words of text [default: V2; mini: none]
    #[arg(long, value_name = "KEY|TEXT", allow_hyphen_values = true)]
    pub(crate) negative_prompt: Option<String>,
    /// Avoid this in the video: a key or several words, as above.
    #[arg(long, value_name = "KEY|TEXT", allow_hyphen_values = true)]
    pub(crate) video_negative_prompt: Option<String>,
    /// Look keys of negative prompts up in this YAML table instead of the built-in one; `None`
    /// takes every negative prompt as plain text.
    #[arg(long, value_name = "FILE")]
    pub(crate) negprompt_cfg_path: Option<PathBuf>,
    /// Put "static video, " in front of the video's negative prompt.
    #[arg(long)]
    pub(crate) add_static_video_prompt: bool,
    /// Make the videos of this task file, in the original's YAML.
    #[arg(short, long, value_name = "FILE", alias = "test-data-path")]
    pub(crate) tasks: Option<PathBuf>,
    /// Make only the tasks of these names, separated by commas.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "all",
        requires = "tasks",
        conflicts_with_all = ["image", "prompt"]
    )]
    pub(crate) target_datas: String,
    /// Leave the given picture out: a first frame is made from the prompt.
    #[arg(long)]
    pub(crate) no_condition_image: bool,
}

/// Where the videos go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write the video to this file, .mp4, .gif, .webp (lossless) or .png (a folder of frames); an
    /// older one is replaced.
    #[arg(short, long, value_name = "FILE", conflicts_with = "output_dir")]
    pub(crate) output: Option<PathBuf>,
    /// Write into this folder, under names that tell the settings.
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub(crate) output_dir: PathBuf,
    /// Choose the format in --output-dir: mp4, gif, webp or png (also called images).
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "mp4",
        value_parser = format,
        conflicts_with = "output"
    )]
    pub(crate) save_filetype: Format,
    /// Write the frames as PNG files too, in a folder named like the video.
    #[arg(long)]
    pub(crate) save_images: bool,
    /// Write the task's name and the frame's number onto every frame.
    #[arg(long)]
    pub(crate) write_info: bool,
    /// Make videos again that --output-dir has already.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Tell how much memory each video needs, and make none.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Show this many frames a second [default: 4; mini: 12]
    #[arg(long, value_name = "N", value_parser = rate, allow_negative_numbers = true)]
    pub(crate) fps: Option<f64>,
    /// Make every video this many times, each with a seed of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(10_000), allow_negative_numbers = true)]
    pub(crate) n_repeat: u32,
}

/// Which networks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct Model {
    /// Take the model mini, which is inside musev and taken where no option of this group names
    /// another, or the whole model in this folder: its text_encoder, tokenizer, vae, unet and
    /// scheduler, or these in base and the motion's unet in motion/musev.
    #[arg(
        short,
        long,
        value_name = "mini|FOLDER",
        conflicts_with_all = [
            "model_dir", "sd_model_name", "sd_model_cfg_path", "unet_model_name",
            "unet_model_cfg_path", "vae_model_path", "tokenizer",
        ]
    )]
    pub(crate) model: Option<PathBuf>,
    /// Look for the models of the tables below this folder; without it below MUSEV_MODELS, or
    /// below ./checkpoints.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model_dir: Option<PathBuf>,
    /// Take text encoder, scheduler and the spatial weights from this model of the table; several
    /// with commas; all takes those that are there, and None takes --sd-model-cfg-path itself, a
    /// folder or a single file (.safetensors, .ckpt) [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) sd_model_name: Option<String>,
    /// Look base models up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH")]
    pub(crate) sd_model_cfg_path: Option<PathBuf>,
    /// Take the motion from this model of the table; None takes --unet-model-cfg-path itself
    /// [default: musev]
    #[arg(long, value_name = "NAME")]
    pub(crate) unet_model_name: Option<String>,
    /// Look motion models up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH")]
    pub(crate) unet_model_cfg_path: Option<PathBuf>,
    /// Take the VAE from this folder or single file, or the one of this name [default:
    /// sd-vae-ft-mse; of a single file: the one inside]
    #[arg(long, value_name = "PATH|NAME")]
    pub(crate) vae_model_path: Option<String>,
    /// Take the tokenizer from this folder [default: the base model's; of a single file: the folder
    /// tokenizer beside it, or a base model's of the table]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Lay this LoRA over text encoder and UNet, with this weight, on these blocks: ALL, FACE,
    /// DEFACE, MIDD, OUTALL, or 17 numbers with commas; may be repeated.
    #[arg(long, value_name = "FILE[:WEIGHT[:BLOCKS]]")]
    pub(crate) lora: Vec<LoraChoice>,
    #[command(flatten)]
    pub(crate) embeddings: Embeddings,
    /// Lay the LCM LoRA of this name over the model, lcm-lora-sdv1-5, and sample with lcm: good in
    /// 4 to 8 steps; None takes --lcm-model-cfg-path itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) lcm_model_name: Option<String>,
    /// Look LCM LoRAs up in this YAML table instead of the built-in one.
    #[arg(long, value_name = "PATH", requires = "lcm_model_name")]
    pub(crate) lcm_model_cfg_path: Option<PathBuf>,
    /// Leave tensors that match this pattern at their initial values instead of failing; `*` stands
    /// for anything; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) allow_missing: Vec<String>,
}

/// How noise becomes a picture.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Sampling {
    /// Denoise the video in this many steps [default: 10; mini: 12]
    #[arg(
        long,
        value_name = "N",
        visible_alias = "video-num-inference-steps",
        value_parser = count(1000),
        allow_negative_numbers = true
    )]
    pub(crate) steps: Option<u32>,
    /// Take the steps with this sampler: euler, euler_ancestral, ddim, ddpm, dpmsolver_multistep
    /// (DPM++ 2M) or lcm (for models distilled to few steps).
    #[arg(
        long,
        value_name = "NAME",
        default_value_t = SchedulerKind::Euler,
        default_value_ifs = [
            ("lcm_model_cfg_path", ArgPredicate::IsPresent, "lcm"),
            ("lcm_model_name", ArgPredicate::Equals("None".into()), "euler"),
            ("lcm_model_name", ArgPredicate::IsPresent, "lcm"),
        ]
    )]
    pub(crate) scheduler: SchedulerKind,
    /// Add this share of fresh noise in every step of ddim, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = share, allow_negative_numbers = true)]
    pub(crate) eta: f64,
    /// Begin from the noise of this seed; without it a random one is taken and told.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Draw the noise as this PyTorch generator does: torch-cuda or torch-cpu.
    #[arg(long, value_name = "NAME", default_value_t = Rng::TorchCuda)]
    pub(crate) rng: Rng,
    /// Follow the prompts this strongly in the first step; up to 1 the negative one is unused
    /// [default: 3.5; mini: 2]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) video_guidance_scale: Option<f64>,
    /// Follow the prompts this strongly in the last step; without it as in the first.
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) video_guidance_scale_end: Option<f64>,
    /// Go from the first scale to the last so: linear, two_stage, three_stage or fix_two_stage.
    #[arg(long, value_name = "METHOD", default_value_t = GuidanceMethod::Linear)]
    pub(crate) video_guidance_scale_method: GuidanceMethod,
    /// Mix the noise of the frames so: video_fusion (they share a part) or random (they do not).
    #[arg(long, value_name = "TYPE", default_value_t = NoiseType::VideoFusion)]
    pub(crate) noise_type: NoiseType,
    /// Give every frame this share of noise of its own, 0 to 1: more moves more.
    #[arg(long, value_name = "X", default_value_t = 0.5, value_parser = share, allow_negative_numbers = true)]
    pub(crate) w_ind_noise: f64,
    /// Mix this share of the picture into the noise, 0 to 1: more keeps the picture, and moves less
    /// [default: 0.001; mini: 0.1]
    #[arg(long, value_name = "X", value_parser = share, allow_negative_numbers = true)]
    pub(crate) img_weight: Option<f64>,
    /// Keep the picture out of the noise.
    #[arg(long)]
    pub(crate) no_img_based_video_noise: bool,
}

/// A first frame that has to be made.
#[derive(Args, Debug)]
#[command(next_help_heading = "First frame, where it is made or redrawn")]
pub(crate) struct FirstFrame {
    /// Denoise it in this many steps [default: 30; mini: 20]
    #[arg(long, value_name = "N", value_parser = count(1000), allow_negative_numbers = true)]
    pub(crate) num_inference_steps: Option<u32>,
    /// Follow the prompt this strongly [default: 7.5; mini: 3]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) guidance_scale: Option<f64>,
    /// Redraw the given picture before it is animated.
    #[arg(long)]
    pub(crate) redraw_condition_image: bool,
}

/// How long and how large.
#[derive(Args, Debug)]
#[command(next_help_heading = "Size and length")]
pub(crate) struct Motion {
    /// Make a video of this many frames as one shot, the given picture counted in.
    #[arg(
        long,
        value_name = "N",
        value_parser = count(100_000),
        conflicts_with_all = ["seconds", "time_size", "n_batch"],
        allow_negative_numbers = true
    )]
    pub(crate) frames: Option<u32>,
    /// Make a video of this many seconds at --fps as one shot.
    #[arg(
        long,
        value_name = "X",
        value_parser = positive,
        conflicts_with_all = ["time_size", "n_batch"],
        allow_negative_numbers = true
    )]
    pub(crate) seconds: Option<f64>,
    /// Make this many frames a shot, the given picture not counted.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = count(100_000), allow_negative_numbers = true)]
    pub(crate) time_size: u32,
    /// Chain this many shots, each beginning with the end of the one before.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(10_000), allow_negative_numbers = true)]
    pub(crate) n_batch: u32,
    /// Carry this many frames from shot to shot; 0 makes every shot without a picture.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) n_vision_condition: u32,
    /// Begin every shot with the given picture instead.
    #[arg(long)]
    pub(crate) fix_condition_images: bool,
    /// Make the video this wide, in pixels [default: the picture's width, or 512; mini: 128]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) width: Option<u32>,
    /// Make the video this high, in pixels [default: the picture's height, or 512; mini: 128]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) height: Option<u32>,
    /// Multiply both sides by this; then each is cut to a multiple of 64.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive, allow_negative_numbers = true)]
    pub(crate) img_length_ratio: f64,
    /// Match the colours of every frame to those of the first.
    #[arg(long)]
    pub(crate) need_hist_match: bool,
}

/// How a long shot is cut into overlapping windows.
#[derive(Args, Debug)]
#[command(next_help_heading = "Windows of a long shot")]
pub(crate) struct Windows {
    /// Denoise this many frames together.
    #[arg(long, value_name = "N", default_value_t = 12, allow_negative_numbers = true)]
    pub(crate) context_frames: u32,
    /// Let neighbouring windows share this many frames.
    #[arg(long, value_name = "N", default_value_t = 4, allow_negative_numbers = true)]
    pub(crate) context_overlap: u32,
    /// Cut so: uniform_v2, or uniform (a closed loop).
    #[arg(long, value_name = "NAME", default_value_t = WindowSchedule::UniformV2)]
    pub(crate) context_schedule: WindowSchedule,
    /// Let uniform pass over the shot up to this many times, with growing gaps between frames.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) context_stride: u32,
    /// Put this many windows through the network at once: faster and hungrier.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) context_batch_size: u32,
}

/// What computes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceOptions {
    /// Compute on this device: auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER; auto
    /// is the best GPU, otherwise the CPU (see musev devices).
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Compute in this precision: auto, f32 or f16.
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub(crate) dtype: Precision,
}

/// Known to the original, without effect on videos of this model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Compatibility: accepted, without effect on these videos")]
pub(crate) struct Compatibility {
    /// Speed of the motion; only models with a ReferenceNet know it, but it is in the file name.
    #[arg(long, value_name = "X", default_value_t = 8.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) motion_speed: f64,
    /// Strength of redrawing; it has no effect in the original, but it is in the file name.
    #[arg(long, value_name = "X", default_value_t = 0.8, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) strength: f64,
    /// Width of the text states; the checkpoint tells it.
    #[arg(long, value_name = "N", default_value_t = 768)]
    pub(crate) cross_attention_dim: u32,
    /// Columns of a grid of videos; there is one video a file.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) n_cols: u32,
    /// Frames shared by shots in video2video.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) video_overlap: u32,
    /// Factor of a frame interpolation that the original never does.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) interpolation_factor: u32,
    /// Record noise between shots of video2video.
    #[arg(long)]
    pub(crate) record_mid_video_noises: bool,
    /// Record latents between shots of video2video.
    #[arg(long)]
    pub(crate) record_mid_video_latents: bool,
}

/// Whole numbers from 1 to `most`.
fn count(most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}

fn number(text: &str, fits: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&value| fits(value)).ok_or_else(|| format!("expected {expected}"))
}

fn finite(text: &str) -> Result<f64, String> {
    number(text, f64::is_finite, "a number")
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value.is_finite() && value > 0.0, "a number above 0")
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, |value| (0.01..=1000.0).contains(&value), "a number from 0.01 to 1000")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number between 0 and 1")
}

fn format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| "expected mp4, gif, webp, png or images".to_owned())
}
