//! The names of detectors, as users type them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The detectors that the original knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetectorKind {
    /// OpenPose: body, hands and face.
    Pose,
    /// OpenPose: body.
    PoseBody,
    /// OpenPose: hands.
    PoseHand,
    /// OpenPose: face.
    PoseFace,
    /// OpenPose: body and hands.
    PoseHandBody,
    /// OpenPose: hands and face.
    PoseHandFace,
    /// DWPose: body, hands and face.
    Dwpose,
    /// DWPose: face.
    DwposeFace,
    /// DWPose: hands.
    DwposeHand,
    /// DWPose: body.
    DwposeBody,
    /// DWPose: body and hands.
    DwposeBodyHand,
    /// Edges, by Canny.
    Canny,
    /// The picture itself.
    Tile,
    /// Soft edges, by HED.
    Hed,
    /// The same for the scribble ControlNet.
    HedScribble,
    /// Depth, by MiDaS.
    Depth,
    /// Soft edges, by PiDiNet.
    Pidi,
    /// Surface normals, by BAE.
    NormalBae,
    /// Lines of a drawing.
    Lineart,
    /// Lines of an anime drawing.
    LineartAnime,
    /// Depth, by ZoeDepth.
    Zoe,
    /// Segments, by SAM.
    Sam,
    /// Segments, by MobileSAM.
    MobileSam,
    /// Depth, by LeReS.
    Leres,
    /// The picture's colours in other places.
    Content,
    /// The mesh of a face, by MediaPipe.
    FaceDetector,
}

impl DetectorKind {
    /// Every detector, in the original's order.
    pub const ALL: [Self; 26] = [
        Self::Pose,
        Self::PoseBody,
        Self::PoseHand,
        Self::PoseFace,
        Self::PoseHandBody,
        Self::PoseHandFace,
        Self::Dwpose,
        Self::DwposeFace,
        Self::DwposeHand,
        Self::DwposeBody,
        Self::DwposeBodyHand,
        Self::Canny,
        Self::Tile,
        Self::Hed,
        Self::HedScribble,
        Self::Depth,
        Self::Pidi,
        Self::NormalBae,
        Self::Lineart,
        Self::LineartAnime,
        Self::Zoe,
        Self::Sam,
        Self::MobileSam,
        Self::Leres,
        Self::Content,
        Self::FaceDetector,
    ];

    /// Those that musev has.
    pub fn built() -> [Self; 3] {
        [Self::Canny, Self::Tile, Self::Content]
    }

    /// The name users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pose => "pose",
            Self::PoseBody => "pose_body",
            Self::PoseHand => "pose_hand",
            Self::PoseFace => "pose_face",
            Self::PoseHandBody => "pose_hand_body",
            Self::PoseHandFace => "pose_hand_face",
            Self::Dwpose => "dwpose",
            Self::DwposeFace => "dwpose_face",
            Self::DwposeHand => "dwpose_hand",
            Self::DwposeBody => "dwpose_body",
            Self::DwposeBodyHand => "dwpose_body_hand",
            Self::Canny => "canny",
            Self::Tile => "tile",
            Self::Hed => "hed",
            Self::HedScribble => "hed_scribble",
            Self::Depth => "depth",
            Self::Pidi => "pidi",
            Self::NormalBae => "normal_bae",
            Self::Lineart => "lineart",
            Self::LineartAnime => "lineart_anime",
            Self::Zoe => "zoe",
            Self::Sam => "sam",
            Self::MobileSam => "mobile_sam",
            Self::Leres => "leres",
            Self::Content => "content",
            Self::FaceDetector => "face_detector",
        }
    }

    /// The ControlNet that follows such maps, as its authors (lllyasviel) call it. That of `pidi` is
    /// for depth, as in the original.
    pub fn controlnet(self) -> &'static str {
        match self {
            Self::Canny => "control_v11p_sd15_canny",
            Self::Tile => "control_v11f1e_sd15_tile",
            Self::Hed => "sd-controlnet-hed",
            Self::HedScribble => "control_v11p_sd15_scribble",
            Self::Depth | Self::Pidi | Self::Zoe | Self::Leres => "control_v11f1p_sd15_depth",
            Self::NormalBae => "control_v11p_sd15_normalbae",
            Self::Lineart => "control_v11p_sd15_lineart",
            Self::LineartAnime => "control_v11p_sd15s2_lineart_anime",
            Self::Sam | Self::MobileSam => "control_v11p_sd15_seg",
            Self::Content => "control_v11e_sd15_shuffle",
            Self::Pose
            | Self::PoseBody
            | Self::PoseHand
            | Self::PoseFace
            | Self::PoseHandBody
            | Self::PoseHandFace
            | Self::Dwpose
            | Self::DwposeFace
            | Self::DwposeHand
            | Self::DwposeBody
            | Self::DwposeBodyHand
            | Self::FaceDetector => "control_v11p_sd15_openpose",
        }
    }
}

impl fmt::Display for DetectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DetectorKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::request("controlnet-name", format!("`{text}` is unknown; use one of {names}"))
        })
    }
}
