//! Oracle cases: folders of inputs and outputs recorded from the original implementation.
//!
//! A case folder holds `case.json` (kind, configuration, tolerance) and, for most kinds,
//! `weights.safetensors`, `inputs.safetensors` and `outputs.safetensors`. An output passes when
//! `max|got - want| <= tolerance · max|want|`.

mod case;
mod conditioning;
mod media;
mod networks;
mod numerics;
mod pipeline;
mod prompts;
mod shots;

use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;

pub use case::{Case, Comparison, EmbeddedCase, Tensors};

use crate::error::{Error, Result};

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every output is within tolerance.
    Pass,
    /// An output is not, or the case could not be run.
    Fail,
    /// The kind or variant is not supported yet.
    Skip,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Name of the case.
    pub case: String,
    /// Kind of the case.
    pub kind: String,
    /// Verdict.
    pub status: Status,
    /// The worst output's relative error, `None` when nothing was compared.
    pub error: Option<f64>,
    /// The largest error allowed.
    pub tolerance: f64,
    /// The worst output, or why the case failed or was skipped.
    pub detail: String,
}

/// What a runner found.
enum Outcome {
    Compared(Vec<Comparison>),
    Unsupported(String),
}

/// Runs the case in `folder` on `device`.
pub async fn run(folder: &Path, device: &Device) -> CaseReport {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    run_case(name, Case::open(folder), device).await
}

/// Runs `case` on `device`; `name` stands in where it could not be read.
pub(super) async fn run_case(name: String, case: Result<Case>, device: &Device) -> CaseReport {
    let case = match case {
        Ok(case) => case,
        Err(error) => return report(name, "unknown", 0.0, Err(error)),
    };
    let outcome = run_kind(&case, device).await;
    report(case.name.clone(), &case.kind, case.tolerance(), outcome)
}

async fn run_kind(case: &Case, device: &Device) -> Result<Outcome> {
    let compared: Result<Vec<Comparison>> = match case.kind.as_str() {
        "temporal_conv" => networks::temporal_conv(case, device).await,
        "resnet_block" => networks::resnet_block(case, device).await,
        "temporal_transformer" => networks::temporal_transformer(case, device).await,
        "spatial_transformer" => networks::spatial_transformer(case, device).await,
        "refer_fuse_attention" => conditioning::refer_fuse_attention(case, device).await,
        "unet3d" => networks::unet3d(case, device).await,
        "referencenet2d" => conditioning::referencenet2d(case, device).await,
        "controlnet" => conditioning::controlnet(case, device).await,
        "multi_controlnet" => conditioning::controlnet(case, device).await,
        "controlnet_keep" => numerics::controlnet_keep(case),
        "pose_guider" => conditioning::pose_guider(case, device).await,
        "clip_vision" => conditioning::clip_vision(case, device).await,
        "ip_image_proj" => conditioning::ip_image_proj(case, device).await,
        "ip_faceid_proj" => conditioning::ip_faceid_proj(case, device).await,
        "ip_plus_resampler" => conditioning::ip_plus_resampler(case, device).await,
        "vae" => networks::vae(case, device).await,
        "clip_text" => networks::clip_text(case, device).await,
        "weighted_prompt" => networks::weighted_prompt(case, device).await,
        "scheduler" => numerics::scheduler(case, device).await,
        "video_fusion_noise" => numerics::video_fusion_noise(case, device).await,
        "context_windows" => numerics::context_windows(case),
        "guidance_schedule" => numerics::guidance_schedule(case),
        "prompt_attention" => prompts::prompt_attention(case),
        "prompt_template" => prompts::prompt_template(case),
        "task_fission" => prompts::task_fission(case),
        "image_preprocess" => media::image_preprocess(case),
        "hist_match" => media::hist_match(case),
        "end_to_end" => pipeline::end_to_end(case, device).await,
        "shot_chain" => shots::shot_chain(case, device).await,
        kind => {
            let variant = case.variant().or(case.scheduler()).unwrap_or("");
            return Ok(Outcome::Unsupported(format!("{kind} {variant} is not supported yet")));
        }
    };
    compared.map(Outcome::Compared)
}

fn report(case: String, kind: &str, tolerance: f64, outcome: Result<Outcome>) -> CaseReport {
    let (status, error, detail) = match outcome {
        Err(error) => (Status::Fail, None, error.to_string()),
        Ok(Outcome::Unsupported(why)) => (Status::Skip, None, why),
        Ok(Outcome::Compared(comparisons)) => {
            match comparisons.into_iter().max_by(|a, b| a.error.total_cmp(&b.error)) {
                None => (Status::Fail, None, "the case compared nothing".to_owned()),
                Some(worst) => {
                    let pass = worst.error <= tolerance;
                    let status = if pass { Status::Pass } else { Status::Fail };
                    (status, Some(worst.error), worst.output)
                }
            }
        }
    };
    CaseReport { case, kind: kind.to_owned(), status, error, tolerance, detail }
}

/// The case folders in `folder`, sorted by name.
pub fn find(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("case.json").is_file())
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Error::config(
            folder.display().to_string(),
            "holds no case folders (a case folder has a case.json)",
        ));
    }
    Ok(found)
}
