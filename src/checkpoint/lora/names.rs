//! How LoRA files name the layers that they change.

use serde::Serialize;

/// Whose spelling a LoRA file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraNaming {
    /// `lora_unet_down_blocks_0_..._to_q.lora_down.weight`, of kohya's trainer.
    Kohya,
    /// `unet.down_blocks.0....processor.to_q_lora.down.weight`, of diffusers.
    Diffusers,
    /// `base_model.model.down_blocks.0....to_q.lora_A.weight`, of PEFT.
    Peft,
}

/// The network that a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Network {
    Unet,
    TextEncoder,
}

/// What a tensor of a LoRA file is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Up,
    Mid,
    Down,
    Alpha,
}

/// The layer that tensors of a LoRA file speak of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Layer {
    /// The network, where the name tells it.
    pub(super) network: Option<Network>,
    /// Its path in the network; with underscores for dots where `is_flat`.
    pub(super) path: String,
    pub(super) is_flat: bool,
}

/// Endings of tensor names; longer ones first where one ends with another.
const ENDINGS: [(&str, Role, Option<LoraNaming>); 13] = [
    (".lora_down.weight", Role::Down, Some(LoraNaming::Kohya)),
    (".lora_up.weight", Role::Up, Some(LoraNaming::Kohya)),
    (".lora_mid.weight", Role::Mid, Some(LoraNaming::Kohya)),
    (".lora_linear_layer.down.weight", Role::Down, Some(LoraNaming::Diffusers)),
    (".lora_linear_layer.up.weight", Role::Up, Some(LoraNaming::Diffusers)),
    (".lora.down.weight", Role::Down, Some(LoraNaming::Diffusers)),
    (".lora.up.weight", Role::Up, Some(LoraNaming::Diffusers)),
    ("_lora.down.weight", Role::Down, Some(LoraNaming::Diffusers)),
    ("_lora.up.weight", Role::Up, Some(LoraNaming::Diffusers)),
    (".lora_A.weight", Role::Down, Some(LoraNaming::Peft)),
    (".lora_B.weight", Role::Up, Some(LoraNaming::Peft)),
    ("_lora.alpha", Role::Alpha, None),
    (".alpha", Role::Alpha, None),
];

/// The layer and the role of a tensor, and the spelling if it tells; `None` where the name is that
/// of no LoRA.
pub(super) fn parse(name: &str) -> Option<(Layer, Role, Option<LoraNaming>)> {
    // PEFT puts the name of an adapter between, where it is not the only one.
    let plain = name.replace(".default.weight", ".weight");
    ENDINGS.iter().find_map(|&(ending, role, naming)| {
        let stem = plain.strip_suffix(ending).filter(|stem| !stem.is_empty())?;
        Some((layer(stem), role, naming))
    })
}

fn layer(stem: &str) -> Layer {
    for (prefix, network) in [
        ("lora_unet_", Network::Unet),
        ("lora_te_", Network::TextEncoder),
        ("lora_te1_", Network::TextEncoder),
    ] {
        if let Some(path) = stem.strip_prefix(prefix) {
            return Layer { network: Some(network), path: path.to_owned(), is_flat: true };
        }
    }
    let (mut network, mut path) = (None, stem);
    loop {
        if let Some(rest) = path.strip_prefix("base_model.model.") {
            path = rest;
        } else if let Some(rest) = path.strip_prefix("unet.") {
            (network, path) = (Some(Network::Unet), rest);
        } else if let Some(rest) = path.strip_prefix("text_encoder.") {
            (network, path) = (Some(Network::TextEncoder), rest);
        } else {
            return Layer { network, path: own_path(path), is_flat: false };
        }
    }
}

/// The path of a layer whose attention was given processors, or names that text encoders do not
/// have.
fn own_path(path: &str) -> String {
    let path = path.replace(".processor.", ".");
    let Some((parent, last)) = path.rsplit_once('.') else { return path };
    let is_text = parent.ends_with("self_attn");
    let own = match last {
        "to_q" if is_text => "q_proj",
        "to_k" if is_text => "k_proj",
        "to_v" if is_text => "v_proj",
        "to_out" if is_text => "out_proj",
        "to_out" => "to_out.0",
        last => last,
    };
    format!("{parent}.{own}")
}

impl Layer {
    /// The kind of layer, for people.
    pub(super) fn kind(&self) -> &'static str {
        let flat = self.path.replace('.', "_");
        let kinds = [
            ("temp_", "motion"),
            ("transformer_in", "motion"),
            ("attn1", "self attention"),
            ("attn2", "cross attention"),
            ("self_attn", "text attention"),
            ("mlp", "text feed-forward"),
            ("_ff_", "feed-forward"),
            ("proj_in", "projections"),
            ("proj_out", "projections"),
            ("time_emb", "time embedding"),
            ("conv", "convolutions"),
            ("samplers", "convolutions"),
        ];
        kinds.iter().find(|(part, _)| flat.contains(part)).map_or("other", |(_, kind)| kind)
    }

    /// The network, as far as its path tells where its name does not.
    pub(super) fn likely_network(&self) -> Network {
        let is_text = self.path.contains("self_attn") || self.path.contains("mlp");
        self.network.unwrap_or(if is_text { Network::TextEncoder } else { Network::Unet })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> (Option<Network>, String, Role) {
        let (layer, role, _) = parse(name).unwrap();
        (layer.network, layer.path, role)
    }

    #[test]
    fn every_spelling_names_the_same_layer() {
        let q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
        let out = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0";
        let unet = Some(Network::Unet);
        let attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn1";
        for (name, network, wanted) in [
            (format!("unet.{attention}.processor.to_q_lora.down.weight"), unet, q),
            (format!("{attention}.processor.to_q_lora.down.weight"), None, q),
            (format!("unet.{attention}.to_q.lora.down.weight"), unet, q),
            (format!("unet.{attention}.processor.to_out_lora.down.weight"), unet, out),
            (format!("unet.{attention}.to_out.0.lora.down.weight"), unet, out),
            (format!("base_model.model.{attention}.to_q.lora_A.weight"), None, q),
            (format!("base_model.model.{attention}.to_q.lora_A.default.weight"), None, q),
            (format!("unet.base_model.model.{attention}.to_out.0.lora_A.weight"), unet, out),
        ] {
            assert_eq!(path(&name), (network, wanted.to_owned(), Role::Down), "{name}");
        }
        let kohya = parse("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight").unwrap();
        assert_eq!(kohya.0.path, "text_model_encoder_layers_0_mlp_fc1");
        assert!(kohya.0.is_flat && kohya.1 == Role::Up);
        let old = path("text_encoder.text_model.encoder.layers.1.self_attn.to_v_lora.up.weight");
        assert_eq!(old.1, "text_model.encoder.layers.1.self_attn.v_proj");
    }

    #[test]
    fn names_of_models_are_no_lora() {
        for name in ["conv_in.weight", "lora_unet_x.hada_w1_a", ".alpha", "x.alpha_bar"] {
            assert!(parse(name).is_none(), "{name}");
        }
    }
}
