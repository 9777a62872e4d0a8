//! A LoRA as users name it: `PATH[:WEIGHT[:BLOCKS]]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::blocks::BlockWeights;

/// Endings of names after which no path goes on.
const EXTENSIONS: [&str; 5] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt"];

/// A LoRA file, and how strongly it acts.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraChoice {
    /// The file, or PEFT's folder.
    pub path: PathBuf,
    /// What its changes are multiplied by; 1 takes them as they were trained.
    pub strength: f64,
    /// Weights of the blocks, on top of that.
    pub blocks: BlockWeights,
}

impl LoraChoice {
    /// How names of results carry it: `detail-0.8`.
    pub fn label(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let mut label = stem.into_owned();
        if self.strength != 1.0 {
            label.push_str(&format!("-{}", self.strength));
        }
        if self.blocks != BlockWeights::default() {
            label.push_str(&format!("-{}", self.blocks));
        }
        label
    }
}

impl From<PathBuf> for LoraChoice {
    /// At full weight everywhere.
    fn from(path: PathBuf) -> Self {
        Self { path, strength: 1.0, blocks: BlockWeights::default() }
    }
}

impl FromStr for LoraChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, options) = split_path(text);
        if path.is_empty() {
            return Err("expected PATH[:WEIGHT[:BLOCKS]], and the path is empty".to_owned());
        }
        let strength = match options.first() {
            None => 1.0,
            Some(number) => {
                number.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
                    format!("the weight {number:?} is no number; expected PATH[:WEIGHT[:BLOCKS]]")
                })?
            }
        };
        let blocks = match options.get(1) {
            None => BlockWeights::default(),
            Some(blocks) => blocks.parse()?,
        };
        match options.get(2) {
            None => Ok(Self { path: path.into(), strength, blocks }),
            Some(rest) => Err(format!("{rest:?} is too much; expected PATH[:WEIGHT[:BLOCKS]]")),
        }
    }
}

/// The path at the start of `text`, and what follows it after colons.
pub(in crate::checkpoint) fn split_path(text: &str) -> (String, Vec<&str>) {
    let mut pieces: Vec<&str> = text.split(':').collect();
    // Colons belong to the path up to the piece that ends it: `C:\loras\a.safetensors`.
    let is_path = |piece: &&str| {
        piece.contains(['/', '\\']) || EXTENSIONS.iter().any(|extension| piece.ends_with(extension))
    };
    let end = pieces.iter().rposition(is_path).unwrap_or(0);
    let options = pieces.split_off(end + 1);
    (pieces.join(":"), options)
}

impl fmt::Display for LoraChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.strength, self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_weight_and_blocks_are_told_apart() {
        for (text, path, strength, blocks) in [
            ("a.safetensors", "a.safetensors", 1.0, "ALL"),
            ("a.safetensors:0.8", "a.safetensors", 0.8, "ALL"),
            ("loras/a:-1:FACE", "loras/a", -1.0, "FACE"),
            ("C:\\loras\\a.safetensors:0.5:midd", "C:\\loras\\a.safetensors", 0.5, "MIDD"),
            ("style:v2.pt:2", "style:v2.pt", 2.0, "ALL"),
            ("folder:0.25", "folder", 0.25, "ALL"),
        ] {
            let choice: LoraChoice = text.parse().unwrap();
            assert_eq!(choice.path, PathBuf::from(path), "{text}");
            assert_eq!((choice.strength, choice.blocks.to_string().as_str()), (strength, blocks));
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("", "path is empty"),
            (":1", "path is empty"),
            ("a.pt:strong", "\"strong\" is no number"),
            ("a.pt:inf", "\"inf\" is no number"),
            ("a.pt:1:NOSE", "\"NOSE\" are no block weights"),
            ("a.pt:1:ALL:x", "\"x\" is too much"),
        ] {
            let error = text.parse::<LoraChoice>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn results_carry_what_differs() {
        let label = |text: &str| text.parse::<LoraChoice>().unwrap().label();
        assert_eq!(label("loras/detail.safetensors"), "detail");
        assert_eq!(label("detail.safetensors:0.8:face"), "detail-0.8-FACE");
    }
}
