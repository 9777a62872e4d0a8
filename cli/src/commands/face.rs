//! `musev face`: the faces in a picture, and the numbers that stand for the surest.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use musev::{Face, FaceEmbedder};
use serde_json::json;

use crate::commands::options::no_face;
use crate::report;

/// Options of `musev face`.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "Example:\n  musev face portrait.jpg --models ~/.insightface -o face.safetensors"
)]
pub(crate) struct FaceArgs {
    /// Look for faces in this picture (PNG, JPEG, WebP, GIF or BMP).
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,
    /// Take det_10g.onnx and w600k_r50.onnx of InsightFace's pack buffalo_l from this folder, or
    /// from buffalo_l or models/buffalo_l in it.
    #[arg(long, value_name = "FOLDER", visible_alias = "face-analysis-path")]
    models: PathBuf,
    /// Write the 512 numbers that stand for the surest face to this file, as safetensors.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Tells the faces, the surest first, and writes the embedding of that one.
pub(crate) fn run(args: &FaceArgs, json: bool) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.output {
        musev::check_file(path)?;
    }
    let frame = musev::read_frame(&args.picture)?;
    let embedder = FaceEmbedder::open(&args.models)?;
    let faces = embedder.faces(&frame)?;
    if let Some(path) = &args.output {
        let surest = faces.first().ok_or_else(|| no_face(&args.picture))?;
        musev::write_face_embedding(path, &embedder.embed_face(&frame, surest)?)?;
    }
    if json {
        let face = |face: &Face| json!({ "score": face.score, "bounds": face.bounds, "points": face.points });
        let faces: Vec<_> = faces.iter().map(face).collect();
        let path = args.output.as_ref().map(|path| path.display().to_string());
        report::json_line(&json!({ "faces": faces, "path": path }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if faces.is_empty() {
        report::say(format_args!("{}: no face", args.picture.display()));
    }
    for Face { score, bounds: [left, top, right, bottom], .. } in &faces {
        report::say(format_args!("{score:.2} sure: {left:.0},{top:.0} to {right:.0},{bottom:.0}"));
    }
    if let Some(path) = &args.output {
        report::say(format_args!("{}: the surest of them", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}
