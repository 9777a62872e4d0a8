//! What MuseV's variants of the denoiser differ in.

use serde::{Deserialize, Serialize};

use crate::nn::attention::ImageBranches;

/// What a variant has and does; the names are the original's. Its loader sets these by the name of
/// the model, whatever the model's `config.json` says. Defaults are those of `musev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct UNet3DVariant {
    /// A temporal transformer follows `conv_in`.
    pub need_transformer_in: bool,
    /// Spatial cross attention reads the tokens of a picture besides the text.
    pub ip_adapter_cross_attn: bool,
    /// Spatial cross attention reads the tokens of a face too.
    pub need_t2i_ip_adapter_face: bool,
    /// Features of a ReferenceNet are fused in on the way down and after the middle.
    pub need_refer_emb: bool,
    /// Time and frame embeddings end in a SiLU, and frame numbers are scaled by the motion speed.
    pub use_anivv1_cfg: bool,
    /// Residual blocks take the time embedding as it is, without a SiLU of their own.
    pub resnet_2d_skip_time_act: bool,
    /// Condition frames have a time embedding of zero. (Spelt as in the original.)
    pub keep_vision_condtion: bool,
}

impl UNet3DVariant {
    /// `musev`: text and condition frames.
    pub const MUSEV: Self = Self {
        need_transformer_in: true,
        ip_adapter_cross_attn: false,
        need_t2i_ip_adapter_face: false,
        need_refer_emb: false,
        use_anivv1_cfg: false,
        resnet_2d_skip_time_act: false,
        keep_vision_condtion: false,
    };

    /// `musev_referencenet` and `musev_referencenet_pose`: also a ReferenceNet and an image prompt.
    pub const MUSEV_REFERENCENET: Self = Self {
        need_transformer_in: false,
        ip_adapter_cross_attn: true,
        need_t2i_ip_adapter_face: false,
        need_refer_emb: true,
        use_anivv1_cfg: true,
        resnet_2d_skip_time_act: true,
        keep_vision_condtion: true,
    };

    /// The image prompts that spatial cross attention has weights for.
    pub(super) fn image_branches(self) -> ImageBranches {
        match (self.ip_adapter_cross_attn, self.need_t2i_ip_adapter_face) {
            (false, _) => ImageBranches::None,
            (true, false) => ImageBranches::Image,
            (true, true) => ImageBranches::ImageAndFace,
        }
    }
}

impl Default for UNet3DVariant {
    fn default() -> Self {
        Self::MUSEV
    }
}
