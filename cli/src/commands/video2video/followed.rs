//! From options to what ControlNets and the pose guider follow.

use musev::{ControlInterval, Error, FollowedControl, Result};

use super::options::Followed;
use crate::commands::models::FollowedModels;

impl Followed {
    /// The networks that follow.
    ///
    /// # Errors
    /// When there are not as many as names.
    pub(crate) fn models(&self) -> Result<FollowedModels> {
        if let Some(pose_guider) = &self.pose_guider_model_path {
            if self.controlnet_name.len() > 1 {
                let reason = "a pose guider follows one kind of maps; give one name";
                return Err(Error::request("controlnet-name", reason));
            }
            let pose_guider = Some(pose_guider.clone());
            return Ok(FollowedModels { pose_guider, ..FollowedModels::default() });
        }
        let (names, paths) = (&self.controlnet_name, &self.controlnet_model_path);
        if !paths.is_empty() && paths.len() != names.len() {
            let reason = format!("{} paths for {} names", paths.len(), names.len());
            return Err(Error::request("controlnet-model-path", reason));
        }
        let control_nets = match paths.is_empty() {
            true => names.iter().map(|kind| kind.name().to_owned()).collect(),
            false => paths.clone(),
        };
        Ok(FollowedModels { control_nets, pose_guider: None })
    }

    /// What each ControlNet follows.
    pub(crate) fn controls(&self) -> Result<Vec<FollowedControl>> {
        let (kinds, scales) = (&self.controlnet_name, &self.controlnet_conditioning_scale);
        if scales.len() != 1 && scales.len() != kinds.len() {
            let reason = format!(
                "{} numbers for {} ControlNets; give one for all, or one for each",
                scales.len(),
                kinds.len()
            );
            return Err(Error::request("controlnet-conditioning-scale", reason));
        }
        let (start, end) = (self.control_guidance_start, self.control_guidance_end);
        let scales = scales.iter().cycle();
        let control = |(&kind, &scale)| FollowedControl {
            kind,
            scale,
            interval: ControlInterval { start, end },
            guess_mode: self.guess_mode,
        };
        Ok(kinds.iter().zip(scales).map(control).collect())
    }
}
