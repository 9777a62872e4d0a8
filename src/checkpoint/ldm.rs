//! Names of Stable Diffusion 1 in single files, which are those of the code it was trained with
//! (latent diffusion, LDM), and in diffusers.

/// Inside a residual block of the UNet: LDM, diffusers.
const RESNET: [(&str, &str); 6] = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

/// Inside a residual block of the autoencoder.
const VAE_RESNET: [(&str, &str); 5] = [
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("nin_shortcut", "conv_shortcut"),
];

/// Inside the attention of the autoencoder; the later spellings of a layer are those of files from
/// before diffusers 0.13.
const VAE_ATTENTION: [(&str, &str); 9] = [
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("q", "query"),
    ("k", "to_k"),
    ("k", "key"),
    ("v", "to_v"),
    ("v", "value"),
    ("proj_out", "to_out.0"),
    ("proj_out", "proj_attn"),
];

/// What names of the UNet depend on besides the layer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnetLayout {
    /// Residual blocks of a level on the way down; one more on the way up.
    layers: usize,
    /// The levels on the way up that have attention.
    attending: Vec<usize>,
}

impl UnetLayout {
    /// Read from names in LDM's spelling.
    pub(super) fn of_ldm<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut first_downsampler, mut last) = (None::<usize>, 1);
        for name in names {
            let parts: Vec<&str> = name.split('.').collect();
            let Some(block) = parts.get(1).and_then(|part| index(part)) else { continue };
            match parts[..] {
                ["input_blocks", _, "0", "op", ..] => {
                    first_downsampler = Some(first_downsampler.map_or(block, |at| at.min(block)));
                }
                ["input_blocks", ..] => last = last.max(block),
                _ => {}
            }
        }
        // The stem is block 0, and a level ends with its downsampler.
        Self { layers: first_downsampler.map_or(last, |at| at.max(2) - 1), attending: Vec::new() }
    }

    /// Read from names in diffusers' spelling.
    pub(super) fn of_diffusers<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut layout = Self { layers: 1, attending: Vec::new() };
        for name in names {
            let parts: Vec<&str> = name.split('.').collect();
            match parts[..] {
                ["down_blocks", _, "resnets", layer, ..] => {
                    layout.layers = layout.layers.max(index(layer).map_or(0, |layer| layer + 1));
                }
                ["up_blocks", level, "attentions", ..] => layout.attending.extend(index(level)),
                _ => {}
            }
        }
        layout
    }

    /// The name in diffusers of an LDM name, `None` for one that no such UNet has.
    pub(super) fn to_diffusers(&self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('.').collect();
        // Level and layer of a block of the way up; block 0 of the way down is the stem.
        let place = |block: &str| {
            let block = index(block)?;
            Some((block / (self.layers + 1), block % (self.layers + 1)))
        };
        let down = |block: &str| {
            let block = index(block)?.checked_sub(1)?;
            Some((block / (self.layers + 1), block % (self.layers + 1)))
        };
        Some(match parts[..] {
            ["time_embed", "0", end] => format!("time_embedding.linear_1.{end}"),
            ["time_embed", "2", end] => format!("time_embedding.linear_2.{end}"),
            ["input_blocks", "0", "0", end] => format!("conv_in.{end}"),
            ["input_blocks", block, "0", "op", end] => {
                format!("down_blocks.{}.downsamplers.0.conv.{end}", down(block)?.0)
            }
            ["input_blocks", block, "0", ref rest @ ..] => {
                let (level, layer) = down(block)?;
                format!("down_blocks.{level}.resnets.{layer}.{}", to_diffusers(&RESNET, rest)?)
            }
            ["input_blocks", block, "1", ref rest @ ..] if !rest.is_empty() => {
                let (level, layer) = down(block)?;
                format!("down_blocks.{level}.attentions.{layer}.{}", rest.join("."))
            }
            ["middle_block", "0", ref rest @ ..] => {
                format!("mid_block.resnets.0.{}", to_diffusers(&RESNET, rest)?)
            }
            ["middle_block", "1", ref rest @ ..] if !rest.is_empty() => {
                format!("mid_block.attentions.0.{}", rest.join("."))
            }
            ["middle_block", "2", ref rest @ ..] => {
                format!("mid_block.resnets.1.{}", to_diffusers(&RESNET, rest)?)
            }
            ["output_blocks", block, "0", ref rest @ ..] => {
                let (level, layer) = place(block)?;
                format!("up_blocks.{level}.resnets.{layer}.{}", to_diffusers(&RESNET, rest)?)
            }
            // The upsampler comes last: after the attention, where there is one.
            ["output_blocks", block, "1" | "2", "conv", end] => {
                format!("up_blocks.{}.upsamplers.0.conv.{end}", place(block)?.0)
            }
            ["output_blocks", block, "1", ref rest @ ..] if !rest.is_empty() => {
                let (level, layer) = place(block)?;
                format!("up_blocks.{level}.attentions.{layer}.{}", rest.join("."))
            }
            ["out", "0", end] => format!("conv_norm_out.{end}"),
            ["out", "2", end] => format!("conv_out.{end}"),
            _ => return None,
        })
    }

    /// The LDM name of a name in diffusers, `None` for one that no such UNet has.
    pub(super) fn to_ldm(&self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('.').collect();
        let up = |level: &str, layer: usize| Some(index(level)? * (self.layers + 1) + layer);
        let down = |level: &str, layer: usize| Some(1 + up(level, layer)?);
        Some(match parts[..] {
            ["time_embedding", "linear_1", end] => format!("time_embed.0.{end}"),
            ["time_embedding", "linear_2", end] => format!("time_embed.2.{end}"),
            ["conv_in", end] => format!("input_blocks.0.0.{end}"),
            ["down_blocks", level, "downsamplers", "0", "conv", end] => {
                format!("input_blocks.{}.0.op.{end}", down(level, self.layers)?)
            }
            ["down_blocks", level, "resnets", layer, ref rest @ ..] => {
                let block = down(level, index(layer)?)?;
                format!("input_blocks.{block}.0.{}", to_ldm(&RESNET, rest)?)
            }
            ["down_blocks", level, "attentions", layer, ref rest @ ..] if !rest.is_empty() => {
                format!("input_blocks.{}.1.{}", down(level, index(layer)?)?, rest.join("."))
            }
            ["mid_block", "resnets", "0", ref rest @ ..] => {
                format!("middle_block.0.{}", to_ldm(&RESNET, rest)?)
            }
            ["mid_block", "attentions", "0", ref rest @ ..] if !rest.is_empty() => {
                format!("middle_block.1.{}", rest.join("."))
            }
            ["mid_block", "resnets", "1", ref rest @ ..] => {
                format!("middle_block.2.{}", to_ldm(&RESNET, rest)?)
            }
            ["up_blocks", level, "resnets", layer, ref rest @ ..] => {
                let block = up(level, index(layer)?)?;
                format!("output_blocks.{block}.0.{}", to_ldm(&RESNET, rest)?)
            }
            ["up_blocks", level, "attentions", layer, ref rest @ ..] if !rest.is_empty() => {
                format!("output_blocks.{}.1.{}", up(level, index(layer)?)?, rest.join("."))
            }
            ["up_blocks", level, "upsamplers", "0", "conv", end] => {
                let after = if self.attending.contains(&index(level)?) { 2 } else { 1 };
                format!("output_blocks.{}.{after}.conv.{end}", up(level, self.layers)?)
            }
            ["conv_norm_out", end] => format!("out.0.{end}"),
            ["conv_out", end] => format!("out.2.{end}"),
            _ => return None,
        })
    }
}

/// What names of the autoencoder depend on: LDM counts the levels of the decoder from the picture
/// inwards, diffusers outwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VaeLayout {
    levels: usize,
}

impl VaeLayout {
    /// Read from names in LDM's spelling.
    pub(super) fn of_ldm<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self::counted(names, ["down", "up"])
    }

    /// Read from names in diffusers' spelling.
    pub(super) fn of_diffusers<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self::counted(names, ["down_blocks", "up_blocks"])
    }

    fn counted<'a>(names: impl Iterator<Item = &'a str>, lists: [&str; 2]) -> Self {
        let level = |name: &str| {
            let mut parts = name.split('.').skip(1);
            lists.contains(&parts.next()?).then_some(())?;
            index(parts.next()?)
        };
        Self { levels: names.filter_map(level).max().map_or(0, |last| last + 1) }
    }

    /// The name in diffusers of an LDM name, `None` for one that no such autoencoder has.
    pub(super) fn to_diffusers(self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('.').collect();
        let resnet = |rest: &[&str]| to_diffusers(&VAE_RESNET, rest);
        Some(match parts[..] {
            ["quant_conv" | "post_quant_conv", _] => name.to_owned(),
            [_, "conv_in" | "conv_out", _] => name.to_owned(),
            [side, "norm_out", end] => format!("{side}.conv_norm_out.{end}"),
            [side, "mid", "block_1", ref rest @ ..] => {
                format!("{side}.mid_block.resnets.0.{}", resnet(rest)?)
            }
            [side, "mid", "block_2", ref rest @ ..] => {
                format!("{side}.mid_block.resnets.1.{}", resnet(rest)?)
            }
            [side, "mid", "attn_1", ref rest @ ..] => {
                format!("{side}.mid_block.attentions.0.{}", to_diffusers(&VAE_ATTENTION, rest)?)
            }
            ["encoder", "down", level, "block", layer, ref rest @ ..] => {
                let (level, layer) = (index(level)?, index(layer)?);
                format!("encoder.down_blocks.{level}.resnets.{layer}.{}", resnet(rest)?)
            }
            ["encoder", "down", level, "downsample", "conv", end] => {
                format!("encoder.down_blocks.{}.downsamplers.0.conv.{end}", index(level)?)
            }
            ["decoder", "up", level, "block", layer, ref rest @ ..] => {
                let (level, layer) = (self.turned(level)?, index(layer)?);
                format!("decoder.up_blocks.{level}.resnets.{layer}.{}", resnet(rest)?)
            }
            ["decoder", "up", level, "upsample", "conv", end] => {
                format!("decoder.up_blocks.{}.upsamplers.0.conv.{end}", self.turned(level)?)
            }
            _ => return None,
        })
    }

    /// The LDM name of a name in diffusers, `None` for one that no such autoencoder has.
    pub(super) fn to_ldm(self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('.').collect();
        let resnet = |rest: &[&str]| to_ldm(&VAE_RESNET, rest);
        Some(match parts[..] {
            ["quant_conv" | "post_quant_conv", _] => name.to_owned(),
            [_, "conv_in" | "conv_out", _] => name.to_owned(),
            [side, "conv_norm_out", end] => format!("{side}.norm_out.{end}"),
            [side, "mid_block", "resnets", "0", ref rest @ ..] => {
                format!("{side}.mid.block_1.{}", resnet(rest)?)
            }
            [side, "mid_block", "resnets", "1", ref rest @ ..] => {
                format!("{side}.mid.block_2.{}", resnet(rest)?)
            }
            [side, "mid_block", "attentions", "0", ref rest @ ..] => {
                format!("{side}.mid.attn_1.{}", to_ldm(&VAE_ATTENTION, rest)?)
            }
            ["encoder", "down_blocks", level, "resnets", layer, ref rest @ ..] => {
                let (level, layer) = (index(level)?, index(layer)?);
                format!("encoder.down.{level}.block.{layer}.{}", resnet(rest)?)
            }
            ["encoder", "down_blocks", level, "downsamplers", "0", "conv", end] => {
                format!("encoder.down.{}.downsample.conv.{end}", index(level)?)
            }
            ["decoder", "up_blocks", level, "resnets", layer, ref rest @ ..] => {
                let (level, layer) = (self.turned(level)?, index(layer)?);
                format!("decoder.up.{level}.block.{layer}.{}", resnet(rest)?)
            }
            ["decoder", "up_blocks", level, "upsamplers", "0", "conv", end] => {
                format!("decoder.up.{}.upsample.conv.{end}", self.turned(level)?)
            }
            _ => return None,
        })
    }

    fn turned(self, level: &str) -> Option<usize> {
        self.levels.checked_sub(1 + index(level)?)
    }
}

/// The text encoder keeps its names; files that were made with old versions of transformers leave
/// `text_model` out.
pub(super) fn text_to_diffusers(name: &str) -> String {
    match name.split('.').next() {
        Some("embeddings" | "encoder" | "final_layer_norm") => format!("text_model.{name}"),
        _ => name.to_owned(),
    }
}

/// A number in a name, written as numbers are; no network counts further.
pub(super) fn index(part: &str) -> Option<usize> {
    let plain = part == "0" || part.bytes().next().is_some_and(|first| first != b'0');
    let number = part.parse::<u16>().ok().filter(|_| plain && !part.starts_with('+'))?;
    Some(number.into())
}

fn to_diffusers(table: &[(&str, &str)], rest: &[&str]) -> Option<String> {
    let found = table.iter().find_map(|(ldm, diffusers)| Some((diffusers, after(rest, ldm)?)));
    found.map(|(diffusers, end)| format!("{diffusers}.{end}"))
}

fn to_ldm(table: &[(&str, &str)], rest: &[&str]) -> Option<String> {
    let found = table.iter().find_map(|(ldm, diffusers)| Some((ldm, after(rest, diffusers)?)));
    found.map(|(ldm, end)| format!("{ldm}.{end}"))
}

/// The one segment of `rest` after those of `layer`.
fn after<'a>(rest: &[&'a str], layer: &str) -> Option<&'a str> {
    let (end, begin) = rest.split_last()?;
    begin.iter().copied().eq(layer.split('.')).then_some(*end)
}
