//! ControlNets in the naming of their authors, which is that of latent diffusion.

use std::collections::BTreeMap;

use super::ldm::{UnetLayout, index};
use super::weights::Weights;
use crate::error::{Error, Result};

/// What the names begin with, unless a program that took the ControlNet out of its checkpoint took
/// that away too.
const PREFIX: &str = "control_model.";

/// A tensor that only these files have: the first convolution of the control frames.
const MARK: &str = "input_hint_block.0.weight";

/// Whether a file with this tensor is a ControlNet in the naming of its authors.
pub(super) fn is_mark(name: &str) -> bool {
    name.strip_prefix(PREFIX).unwrap_or(name) == MARK
}

/// The ControlNet of `weights` under the names of diffusers, `None` if they are not those of its
/// authors. Whatever else is in the file, such as the model it was trained with, is left aside. No
/// tensor is read. A tensor that no ControlNet has keeps its name, for the strict report of loading.
///
/// # Errors
/// When two tensors would have one name.
pub fn control_net(weights: &Weights) -> Result<Option<Weights>> {
    if !weights.names().any(is_mark) {
        return Ok(None);
    }
    let is_bare = weights.info(MARK).is_some();
    let bare = if is_bare { weights.clone() } else { weights.with_prefix_removed(PREFIX) };
    let layout = UnetLayout::of_ldm(bare.names());
    let hints = bare.names().filter_map(hint_layer).map(|(layer, _)| layer);
    let last = hints.max().unwrap_or_default();
    let mut renamed = BTreeMap::new();
    for (name, entry) in bare.entries() {
        let new = to_diffusers(name, last).or_else(|| layout.to_diffusers(name));
        let new = new.unwrap_or_else(|| name.clone());
        if renamed.insert(new.clone(), entry.clone()).is_some() {
            let reason = format!("damaged: two of its tensors are {new}, one of them {name}");
            return Err(Error::checkpoint(weights.origin(), reason));
        }
    }
    Ok(Some(bare.with_entries(renamed)))
}

/// The name in diffusers of what a ControlNet has besides the half of a UNet; `last` is the last
/// layer of the convolutions of the control frames.
fn to_diffusers(name: &str, last: usize) -> Option<String> {
    if let Some((layer, end)) = hint_layer(name) {
        // Every second layer is an activation, without tensors.
        return match layer {
            0 => Some(format!("controlnet_cond_embedding.conv_in.{end}")),
            _ if layer == last => Some(format!("controlnet_cond_embedding.conv_out.{end}")),
            _ if layer % 2 == 0 => {
                Some(format!("controlnet_cond_embedding.blocks.{}.{end}", layer / 2 - 1))
            }
            _ => None,
        };
    }
    match name.split('.').collect::<Vec<_>>()[..] {
        ["zero_convs", block, "0", end] => {
            Some(format!("controlnet_down_blocks.{}.{end}", index(block)?))
        }
        ["middle_block_out", "0", end] => Some(format!("controlnet_mid_block.{end}")),
        _ => None,
    }
}

/// Layer and parameter of a convolution of the control frames.
fn hint_layer(name: &str) -> Option<(usize, &str)> {
    match name.split('.').collect::<Vec<_>>()[..] {
        ["input_hint_block", layer, end] => Some((index(layer)?, end)),
        _ => None,
    }
}
