//! Configuration of the denoiser.

use serde::{Deserialize, Serialize};

use super::variant::UNet3DVariant;
use crate::error::Result;
use crate::models::check::{Check, block_attends};

/// Channel counts of temporal convolutions are split into this many groups, whatever
/// `norm_num_groups` says.
const TEMPORAL_GROUPS: usize = 32;

/// `config.json` of a MuseV or Stable Diffusion UNet; defaults are the published sizes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct UNet3DConditionModelConfig {
    /// Channels of the latents going in.
    pub in_channels: usize,
    /// Channels of the predicted noise.
    pub out_channels: usize,
    /// Channels per level.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// Groups of the spatial GroupNorms.
    pub norm_num_groups: usize,
    /// eps of the residual blocks' GroupNorms.
    pub norm_eps: f64,
    /// Channels of the text states.
    pub cross_attention_dim: usize,
    /// Number of attention heads, despite its name.
    pub attention_head_dim: usize,
    /// `CrossAttnDownBlock3D` or `DownBlock3D` per level (or the same ending in 2D).
    pub down_block_types: Vec<String>,
    /// `CrossAttnUpBlock3D` or `UpBlock3D` per level (or the same ending in 2D).
    pub up_block_types: Vec<String>,
    /// Activation; `silu`.
    pub act_fn: String,
    /// Cosines before sines in the sinusoids; `true`.
    pub flip_sin_to_cos: bool,
    /// Shift of the sinusoids' frequencies; 0.
    pub freq_shift: i64,
    /// Which of MuseV's variants it is: not written in the file, but known by its name.
    #[serde(skip)]
    pub variant: UNet3DVariant,
}

impl Default for UNet3DConditionModelConfig {
    fn default() -> Self {
        let types = |names: [&str; 4]| names.map(str::to_owned).to_vec();
        let (down, up) = ("CrossAttnDownBlock3D", "CrossAttnUpBlock3D");
        Self {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: 768,
            attention_head_dim: 8,
            down_block_types: types([down, down, down, "DownBlock3D"]),
            up_block_types: types(["UpBlock3D", up, up, up]),
            act_fn: "silu".to_owned(),
            flip_sin_to_cos: true,
            freq_shift: 0,
            variant: UNet3DVariant::MUSEV,
        }
    }
}

impl UNet3DConditionModelConfig {
    /// Checks the values read from `origin`.
    ///
    /// # Errors
    /// When a value is absurd or of a kind that is not supported.
    pub fn validate(&self, origin: &str) -> Result<()> {
        let blocks = &self.block_out_channels;
        Check::new(origin)
            .channels("in_channels", self.in_channels)
            .channels("out_channels", self.out_channels)
            .channels("cross_attention_dim", self.cross_attention_dim)
            .block_channels(blocks)
            .layers("layers_per_block", self.layers_per_block)
            .divides("norm_num_groups", self.norm_num_groups, blocks)
            .divides("attention_head_dim", self.attention_head_dim, blocks)
            .divides("temporal norm groups", TEMPORAL_GROUPS, blocks)
            .as_many_as_blocks("down_block_types", self.down_block_types.len(), blocks.len())
            .as_many_as_blocks("up_block_types", self.up_block_types.len(), blocks.len())
            .block_types("down_block_types", &self.down_block_types, "Down")
            .block_types("up_block_types", &self.up_block_types, "Up")
            .only("act_fn", &self.act_fn.as_str(), &"silu")
            .only("flip_sin_to_cos", &self.flip_sin_to_cos, &true)
            .only("freq_shift", &self.freq_shift, &0)
            .that(
                self.variant.ip_adapter_cross_attn || !self.variant.need_t2i_ip_adapter_face,
                || "`need_t2i_ip_adapter_face` goes with `ip_adapter_cross_attn` only".to_owned(),
            )
            .that(self.norm_eps.is_finite() && self.norm_eps >= 0.0, || {
                format!("`norm_eps` is {}; it must not be negative", self.norm_eps)
            })
            .finish()?;
        // Only usable sizes can be reckoned with.
        Check::new(origin)
            .that(self.reference_fits(), || {
                "with `need_refer_emb` the last level of `block_out_channels` must be as wide as the \
                 one whose reference features it takes"
                    .to_owned()
            })
            .finish()
    }

    /// Whether the reference features that the last level takes are as wide as the level: they are
    /// those of a level before it (see `DownBlock3D::init`).
    fn reference_fits(&self) -> bool {
        let (blocks, layers) = (&self.block_out_channels, self.layers_per_block);
        let Some((width, before)) = blocks.split_last() else { return true };
        let level_of = |fusion: usize| (layers * before.len() + fusion) / (layers + 1);
        !self.variant.need_refer_emb || (0..layers).all(|fusion| blocks[level_of(fusion)] == *width)
    }

    /// Length of the time and frame embeddings.
    pub(super) fn embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// About how many numbers of activations exist at once in a pass over `images` images with
    /// latents of `height` x `width`: the skips of a level and those above it, and what its widest
    /// attention holds.
    pub fn working_elements(&self, images: usize, [height, width]: [usize; 2]) -> usize {
        /// Tensors of a level's width in a spatial attention: residuals of the transformer and of
        /// the block, its input, queries, keys and values with the condition frame's, its output.
        const IN_ATTENTION: usize = 10;
        let mut skips = 0;
        let level = |(i, channels): (usize, &usize)| {
            let values = images * (height >> i).max(1) * (width >> i).max(1) * channels;
            skips += (self.layers_per_block + 1) * values;
            skips + IN_ATTENTION * values
        };
        self.block_out_channels.iter().enumerate().map(level).max().unwrap_or_default()
    }

    /// Module paths of the spatial cross attentions in the order in which IP-Adapter files number
    /// theirs: down, up, middle.
    pub fn cross_attentions(&self) -> Vec<String> {
        let layers = |block: String, count: usize| {
            (0..count).map(move |j| format!("{block}.attentions.{j}.transformer_blocks.0.attn2"))
        };
        let attending = |attends: bool, count: usize| if attends { count } else { 0 };
        let count = self.layers_per_block;
        let blocks = 0..self.block_out_channels.len();
        let down = blocks.clone().flat_map(|i| {
            layers(format!("down_blocks.{i}"), attending(self.down_block_attends(i), count))
        });
        let up = blocks.flat_map(|i| {
            layers(format!("up_blocks.{i}"), attending(self.up_block_attends(i), count + 1))
        });
        down.chain(up).chain(layers("mid_block".to_owned(), 1)).collect()
    }

    /// Whether down block `i` has spatial and temporal transformers.
    pub(crate) fn down_block_attends(&self, i: usize) -> bool {
        block_attends(&self.down_block_types[i], "Down").unwrap_or(false)
    }

    /// Whether up block `i` has spatial and temporal transformers.
    pub(crate) fn up_block_attends(&self, i: usize) -> bool {
        block_attends(&self.up_block_types[i], "Up").unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{UNet3DConditionModelConfig as Config, UNet3DVariant};

    fn fault(config: Config) -> String {
        config.validate("unet/config.json").unwrap_err().to_string()
    }

    #[test]
    fn a_stable_diffusion_file_is_read() {
        let config: Config = serde_json::from_str(
            r#"{"_class_name": "UNet2DConditionModel", "sample_size": 64, "attention_head_dim": 8,
                "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                     "CrossAttnDownBlock2D", "DownBlock2D"]}"#,
        )
        .unwrap();
        config.validate("unet/config.json").unwrap();
        assert!(config.down_block_attends(0) && !config.down_block_attends(3));
        assert!(!config.up_block_attends(0) && config.up_block_attends(3));
    }

    #[test]
    fn configurations_that_cannot_be_built_are_refused() {
        let odd = Config { attention_head_dim: 7, ..Config::default() };
        assert!(fault(odd).contains("attention_head_dim"));
        let groups = Config { norm_num_groups: 0, ..Config::default() };
        assert!(fault(groups).contains("norm_num_groups"));
        let kind = Config { up_block_types: vec!["AttnUpBlock2D".into(); 4], ..Config::default() };
        assert!(fault(kind).contains("AttnUpBlock2D"));
        let levels = Config { block_out_channels: vec![], ..Config::default() };
        assert!(fault(levels).contains("block_out_channels"));
        let variant = UNet3DVariant { need_t2i_ip_adapter_face: true, ..UNet3DVariant::MUSEV };
        let face = Config { variant, ..Config::default() };
        assert!(fault(face).contains("need_t2i_ip_adapter_face"));
        let variant = UNet3DVariant::MUSEV_REFERENCENET;
        let block_out_channels = vec![320, 640, 1280, 640];
        let fusion = Config { variant, block_out_channels, ..Config::default() };
        assert!(fault(fusion).contains("need_refer_emb"));
        let huge = Config { cross_attention_dim: usize::MAX, ..Config::default() };
        assert!(fault(huge).contains("cross_attention_dim"));
    }
}
