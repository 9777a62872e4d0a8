//! Faces as InsightFace finds and recognises them, with its networks in ONNX files.
//!
//! The pack `buffalo_l` has a detector (SCRFD, `det_10g.onnx`) that finds boxes and five key points,
//! and a network (ArcFace, `w600k_r50.onnx`) that tells faces apart by 512 numbers. Users bring the
//! files; their licence is InsightFace's: non-commercial research.
//!
//! InsightFace takes pictures whose channels are blue, green, red, and shows its networks red,
//! green, blue. The original gives it red, green, blue, so the networks see them exchanged;
//! FaceID's weights are used with that, so it is kept here.

mod align;
mod network;
mod opencv;
mod scrfd;

use std::path::{Path, PathBuf};

use safetensors::{Dtype, View};

use crate::error::{Error, Result};
use crate::media::{Frame, write_file};
use network::Network;

/// The detector of `buffalo_l`.
const DETECTOR: &str = "det_10g.onnx";
/// Its network for recognition.
const RECOGNISER: &str = "w600k_r50.onnx";
/// Where InsightFace keeps the pack below its root.
const PLACES: [&str; 3] = ["", "buffalo_l", "models/buffalo_l"];
/// Side of the pictures that are recognised.
const CROP: usize = 112;
/// Numbers of an embedding.
const EMBEDDING: usize = 512;

/// A face in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Left, top, right and bottom, in pixels.
    pub bounds: [f32; 4],
    /// How sure the detector is, 0.5 to 1.
    pub score: f32,
    /// Both eyes, the nose and both corners of the mouth, in pixels; what is left in the picture
    /// comes first.
    pub points: [[f32; 2]; 5],
}

/// Finds faces, and tells them apart.
#[derive(Debug)]
pub struct FaceEmbedder {
    detector: Network,
    recogniser: Network,
}

impl FaceEmbedder {
    /// Opens `det_10g.onnx` and `w600k_r50.onnx` in `folder`, or in the folders `buffalo_l` or
    /// `models/buffalo_l` below it.
    ///
    /// # Errors
    /// When a file is not there, or is another network.
    pub fn open(folder: &Path) -> Result<Self> {
        let places = PLACES.map(|place| folder.join(place));
        let find = |name: &str| -> Result<PathBuf> {
            let found = places.iter().map(|place| place.join(name)).find(|file| file.is_file());
            found.ok_or_else(|| {
                let reason = format!(
                    "has no {name}; give the folder with {DETECTOR} and {RECOGNISER} of \
                     InsightFace's pack buffalo_l"
                );
                Error::checkpoint(folder, reason)
            })
        };
        Self::open_files(&find(DETECTOR)?, &find(RECOGNISER)?)
    }

    /// Opens a detector (SCRFD with key points) and a network for recognition (ArcFace).
    ///
    /// # Errors
    /// When a file cannot be read, or is another network.
    pub fn open_files(detector: &Path, recogniser: &Path) -> Result<Self> {
        let detector = Network::open(detector)?;
        let recogniser = Network::open(recogniser)?;
        detector.expect_outputs(scrfd::OUTPUTS, "a face detector with key points (SCRFD)")?;
        recogniser.expect_outputs(1, "a network that recognises faces (ArcFace)")?;
        Ok(Self { detector, recogniser })
    }

    /// The faces in `frame`, the surest first.
    ///
    /// # Errors
    /// When the detector is another network.
    pub fn faces(&self, frame: &Frame) -> Result<Vec<Face>> {
        scrfd::detect(&self.detector, frame)
    }

    /// `frame` turned, scaled and cut so that `face` is where the network for recognition expects
    /// it: 112 x 112.
    ///
    /// # Errors
    /// When the key points are all at one place.
    pub fn aligned(&self, frame: &Frame, face: &Face) -> Result<Frame> {
        let matrix = align::similarity(&face.points).ok_or_else(|| {
            let reason = "the detector finds a face whose eyes, nose and mouth are at one place; \
                          give another picture";
            Error::request("face", reason)
        })?;
        Ok(opencv::warp_affine(frame, &matrix, CROP))
    }

    /// 512 numbers, of length 1 as a vector, that stand for the surest face in `frame`; `None` if
    /// there is no face.
    ///
    /// # Errors
    /// When the files are other networks.
    pub fn embed(&self, frame: &Frame) -> Result<Option<Vec<f32>>> {
        let faces = self.faces(frame)?;
        faces.first().map(|face| self.embed_face(frame, face)).transpose()
    }

    /// 512 numbers, of length 1 as a vector, that stand for `face` in `frame`.
    ///
    /// # Errors
    /// When the key points are all at one place, or the files are other networks.
    pub fn embed_face(&self, frame: &Frame, face: &Face) -> Result<Vec<f32>> {
        let crop = self.aligned(frame, face)?;
        let outputs = self.recogniser.run(&crop, 127.5)?;
        let mut vector = outputs.into_iter().next().unwrap_or_default();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if vector.len() != EMBEDDING || !(length.is_finite() && length > 0.0) {
            let reason = format!("gives {} numbers of length {length}", vector.len());
            return Err(self.recogniser.wrong(&format!("{reason}, not {EMBEDDING} for a face")));
        }
        vector.iter_mut().for_each(|x| *x /= length);
        Ok(vector)
    }
}

/// Writes an embedding as the tensor `face_embedding`, `[1, n]`, of a safetensors file, which
/// appears whole or not at all.
///
/// # Errors
/// When the file cannot be written; an older one stays as it was.
pub fn write_face_embedding(path: &Path, embedding: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = Stored { shape: [1, embedding.len()], bytes };
    let file = safetensors::serialize([("face_embedding", tensor)], None)
        .map_err(|error| Error::checkpoint(path, error.to_string()))?;
    write_file(path, &file)
}

/// A tensor as safetensors wants it.
struct Stored {
    shape: [usize; 2],
    bytes: Vec<u8>,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests;
