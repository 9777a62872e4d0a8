//! The network that a LoRA changes.

use std::collections::{BTreeMap, HashMap};

use super::names::{Layer, Network};
use crate::checkpoint::Weights;
use crate::checkpoint::entry::Entry;
use crate::checkpoint::ldm::UnetLayout;

/// A network to be changed, and the ways in which LoRA files call its layers.
pub(super) struct Target {
    pub(super) network: Network,
    weights: Weights,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Paths, and paths with underscores for dots, to tensor names.
    by_path: HashMap<String, String>,
    by_flat: HashMap<String, String>,
}

impl Target {
    pub(super) fn new(network: Network, weights: Weights) -> Self {
        let layout = UnetLayout::of_diffusers(weights.names());
        let (mut by_path, mut by_flat) = (HashMap::new(), HashMap::new());
        for (name, entry) in weights.entries() {
            let Some(path) = name.strip_suffix(".weight").filter(|_| entry.info().shape.len() > 1)
            else {
                continue;
            };
            by_path.insert(path.to_owned(), name.clone());
            by_flat.insert(path.replace('.', "_"), name.clone());
            // Some trainers work on the network as single files name it.
            if let Some(ldm) = layout.to_ldm(name).filter(|_| network == Network::Unet) {
                let path = ldm.strip_suffix(".weight").unwrap_or(&ldm).replace('.', "_");
                by_flat.entry(path).or_insert_with(|| name.clone());
            }
        }
        let entries = weights.entries().clone();
        Self { network, weights, entries, by_path, by_flat }
    }

    pub(super) fn text(weights: Weights) -> Self {
        let mut target = Self::new(Network::TextEncoder, weights);
        // Newer versions of transformers leave the outermost module out of paths: those of a LoRA,
        // those of the network, or both.
        for (names, dot) in [(&mut target.by_path, '.'), (&mut target.by_flat, '_')] {
            let other = |(path, name): (&String, &String)| {
                let inner = path.strip_prefix("text_model").and_then(|path| path.strip_prefix(dot));
                let path = match inner {
                    Some(short) => short.to_owned(),
                    None => format!("text_model{dot}{path}"),
                };
                (path, name.clone())
            };
            let others: Vec<(String, String)> = names.iter().map(other).collect();
            names.extend(others);
        }
        target
    }

    /// The tensor of `layer`, if it belongs here.
    pub(super) fn find(&self, layer: &Layer) -> Option<String> {
        if layer.network.is_some_and(|network| network != self.network) {
            return None;
        }
        let names = if layer.is_flat { &self.by_flat } else { &self.by_path };
        names.get(&layer.path).cloned()
    }

    pub(super) fn into_weights(self) -> Weights {
        self.weights.with_entries(self.entries)
    }
}
