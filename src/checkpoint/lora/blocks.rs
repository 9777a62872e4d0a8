//! How strongly a LoRA acts on each block: MuseV's lists of 17 weights.

use std::fmt;
use std::str::FromStr;

/// The blocks that weights 1 to 16 are for; weight 0 is for the text encoder. What lies in none of
/// them is weighed 1.
const BLOCKS: [&str; 16] = [
    "down_blocks.0.attentions.0.",
    "down_blocks.0.attentions.1.",
    "down_blocks.1.attentions.0.",
    "down_blocks.1.attentions.1.",
    "down_blocks.2.attentions.0.",
    "down_blocks.2.attentions.1.",
    "mid_block.attentions.0.",
    "up_blocks.1.attentions.0.",
    "up_blocks.1.attentions.1.",
    "up_blocks.1.attentions.2.",
    "up_blocks.2.attentions.0.",
    "up_blocks.2.attentions.1.",
    "up_blocks.2.attentions.2.",
    "up_blocks.3.attentions.0.",
    "up_blocks.3.attentions.1.",
    "up_blocks.3.attentions.2.",
];

/// The lists that have a name, as MuseV's `LORA_BLOCK_WEIGHT_MAP` has them.
const PRESETS: [(&str, [f64; 17]); 5] = [
    ("ALL", [1.; 17]),
    ("FACE", [1., 0., 0., 0., 0., 0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.]),
    ("DEFACE", [1., 1., 1., 1., 1., 1., 1., 1., 0., 0., 0., 1., 1., 1., 1., 1., 1.]),
    ("MIDD", [1., 0., 0., 0., 1., 1., 1., 1., 1., 1., 1., 1., 0., 0., 0., 0., 0.]),
    ("OUTALL", [1., 0., 0., 0., 0., 0., 0., 0., 1., 1., 1., 1., 1., 1., 1., 1., 1.]),
];

/// The weight of a LoRA in the text encoder and in 16 blocks of the UNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockWeights([f64; 17]);

impl Default for BlockWeights {
    /// Full weight everywhere.
    fn default() -> Self {
        Self([1.0; 17])
    }
}

impl BlockWeights {
    /// The weight in the text encoder.
    pub(super) fn text_encoder(&self) -> f64 {
        self.0[0]
    }

    /// The weight of a tensor of the UNet.
    pub(super) fn unet(&self, name: &str) -> f64 {
        let block = BLOCKS.iter().position(|block| name.starts_with(block));
        block.map_or(1.0, |block| self.0[block + 1])
    }
}

impl FromStr for BlockWeights {
    type Err = String;

    /// The name of a list, or 17 numbers with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, weights)) = PRESETS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Ok(Self(*weights));
        }
        let numbers: Option<Vec<f64>> = text
            .split(',')
            .map(|number| number.trim().parse().ok().filter(|value: &f64| value.is_finite()))
            .collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.map(Self).ok_or_else(|| {
            let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            format!(
                "{text:?} are no block weights; expected {} or 17 numbers separated by commas",
                known.join(", ")
            )
        })
    }
}

impl fmt::Display for BlockWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PRESETS.iter().find(|(_, weights)| *weights == self.0) {
            return f.write_str(name);
        }
        let numbers: Vec<String> = self.0.iter().map(f64::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_or_written_out() {
        let face: BlockWeights = "face".parse().unwrap();
        assert_eq!(face.to_string(), "FACE");
        assert_eq!(face.text_encoder(), 1.0);
        assert_eq!(face.unet("down_blocks.2.attentions.1.proj_in.weight"), 0.0);
        assert_eq!(face.unet("mid_block.attentions.0.proj_in.weight"), 0.0);
        assert_eq!(face.unet("up_blocks.1.attentions.2.proj_in.weight"), 1.0);
        assert_eq!(face.unet("up_blocks.2.attentions.0.proj_in.weight"), 0.0);
        assert_eq!(face.unet("up_blocks.2.resnets.0.conv1.weight"), 1.0);
        let written = "0.5,0,0,0,0,0,0,0,1,1,1,0,0,0,0,0,0.25";
        let own: BlockWeights = written.parse().unwrap();
        assert_eq!(own.to_string(), written);
        assert_eq!(own.unet("up_blocks.3.attentions.2.proj_in.weight"), 0.25);
        for wrong in ["", "NOSE", "1,2,3", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,NaN"] {
            let error = wrong.parse::<BlockWeights>().unwrap_err();
            assert!(error.contains("ALL, FACE, DEFACE, MIDD, OUTALL"), "{error}");
        }
    }
}
