//! What can be typed: the commands, the options common to all, and the original's spellings.

use std::ffi::OsString;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "face")]
use crate::commands::face;
#[cfg(feature = "pull")]
use crate::commands::pull;
#[cfg(feature = "train")]
use crate::commands::train;
use crate::commands::{bench, convert, detect, devices, doctor, inspect, text2video, video2video};

/// Animates a picture, or a prompt, into a video of any length.
#[derive(Debug, Parser)]
#[command(
    name = "musev",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 no task matched, 2 error, 130 stopped with Ctrl-C.\n\
                  Every command explains its options: musev text2video --help\n\n\
                  From MuseV: python scripts/inference/text2video.py becomes musev text2video, with \
                  the same options\n(--time_size or --time-size, -test_data_path, ..). \
                  configs/tasks/README.md translates its commands."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Common {
    /// Print one JSON object a line on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tell more on standard error: once what is done, twice details.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log from this level on; without it warnings and errors.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub(crate) log_level: Option<LogLevel>,
}

/// Levels of the log, in Python's spelling and tracing's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    #[value(alias = "critical", alias = "fatal")]
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    Debug,
    #[value(alias = "notset")]
    Trace,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a video from a picture and a prompt, or the videos of a task file.
    ///
    /// With --image the video begins with that picture and moves on from it; without one, a first
    /// frame is made from the prompt. Options of the original MuseV are known by its spelling too:
    /// --time_size is --time-size, and its --use_condition_image is --no-condition-image.
    Text2video(Box<text2video::Text2videoArgs>),
    /// Make a video of another one, or the videos of a task file.
    ///
    /// With --controlnet-name the new video follows what is found in the frames of --video, or the
    /// frames themselves with --video-is-middle. Options of the original MuseV are known by its
    /// spelling too; its --video_has_condition is --no-video-has-condition.
    Video2video(Box<video2video::Video2videoArgs>),
    /// Make the control maps of a video or picture.
    Detect(detect::DetectArgs),
    /// List the devices that can compute.
    Devices(devices::DevicesArgs),
    /// Tell what a checkpoint file or folder is, and what it lacks.
    Inspect(inspect::InspectArgs),
    /// Fetch models, with all that they need, into the cache that Hugging Face's tools share.
    #[cfg(feature = "pull")]
    Pull(pull::PullArgs),
    /// Convert weights: from a model folder to a single file and back, from PyTorch's files to
    /// safetensors, from one type to another.
    Convert(convert::ConvertArgs),
    /// Measure this machine: the shaders, or the whole network.
    Bench(bench::BenchArgs),
    /// Test whether this machine computes correctly.
    Doctor(doctor::DoctorArgs),
    /// Find the faces in a picture, and write the numbers that stand for one, for FaceID.
    #[cfg(feature = "face")]
    Face(face::FaceArgs),
    /// Train a model of your own, or fine-tune the motion of one.
    #[cfg(feature = "train")]
    Train(train::TrainArgs),
}

/// Switches that are on by default in the original, where naming them switches them off.
const OFF_SWITCHES: [(&str, &str); 11] = [
    ("use_condition_image", "no-condition-image"),
    ("need_img_based_video_noise", "no-img-based-video-noise"),
    ("video_has_condition", "no-video-has-condition"),
    ("end_to_end", "no-end-to-end"),
    ("fixed_refer_image", "no-fixed-refer-image"),
    ("fixed_ip_adapter_image", "no-fixed-ip-adapter-image"),
    ("fixed_refer_face_image", "no-fixed-refer-face-image"),
    ("redraw_condition_image_with_referencenet", "no-redraw-with-referencenet"),
    ("redraw_condition_image_with_ipdapter", "no-redraw-with-ip-adapter"),
    ("redraw_condition_image_with_facein", "no-redraw-with-facein"),
    ("redraw_condition_image_with_ip_adapter_face", "no-redraw-with-ip-adapter-face"),
];

/// The words of the command line with the original's spellings replaced by ours:
/// `-test_data_path` and `--time_size` become `--test-data-path` and `--time-size`, and an
/// off-switch such as `--use_condition_image` becomes what it means, `--no-condition-image`.
pub(crate) fn normalise(argv: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options_ended = false;
    argv.into_iter()
        .map(|word| {
            options_ended |= word == "--";
            let ours = if options_ended { None } else { word.to_str().and_then(our_spelling) };
            ours.map_or(word, OsString::from)
        })
        .collect()
}

/// Our spelling of `word`, `None` where it is ours already.
fn our_spelling(word: &str) -> Option<String> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let name = match name {
        "-test_data_path" => "test_data_path",
        _ => name.strip_prefix("--").filter(|name| name.contains('_'))?,
    };
    let ours = OFF_SWITCHES
        .iter()
        .find(|(original, _)| *original == name)
        .map_or_else(|| name.replace('_', "-"), |(_, ours)| (*ours).to_owned());
    Some(match value {
        Some(value) => format!("--{ours}={value}"),
        None => format!("--{ours}"),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn normalised(words: &[&str]) -> Vec<String> {
        normalise(words.iter().map(OsString::from))
            .into_iter()
            .map(|word| word.into_string().expect("the words are text"))
            .collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_originals_spelling_becomes_ours() {
        let words = ["-test_data_path", "a_b.yaml", "--time_size=24", "--n_batch", "2"];
        let ours = ["--test-data-path", "a_b.yaml", "--time-size=24", "--n-batch", "2"];
        assert_eq!(normalised(&words), ours);
    }

    #[test]
    fn off_switches_become_what_they_mean() {
        let words = [
            "--use_condition_image",
            "--need_img_based_video_noise",
            "--redraw_condition_image",
            "--redraw_condition_image_with_ipdapter",
        ];
        let ours = [
            "--no-condition-image",
            "--no-img-based-video-noise",
            "--redraw-condition-image",
            "--no-redraw-with-ip-adapter",
        ];
        assert_eq!(normalised(&words), ours);
    }

    #[test]
    fn values_and_our_own_spelling_stay() {
        let words = ["musev", "--prompt", "a_b", "--prompt=a_b", "-t", "x_y", "--", "--a_b"];
        assert_eq!(normalised(&words), words);
    }

    #[test]
    fn every_option_is_a_full_sentence() {
        fn check(command: &clap::Command) {
            for option in command.get_arguments() {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{} has no help", option.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
