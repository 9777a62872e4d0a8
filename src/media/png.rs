//! PNG pictures.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::Frame;
use crate::error::{Error, Result};

/// The bytes of a PNG file holding `frame`.
///
/// # Errors
/// When the picture cannot be encoded (a side of 2³¹ pixels or more).
pub fn encode(frame: &Frame) -> Result<Vec<u8>> {
    let failed = |why: &dyn std::fmt::Display| Error::request("format", format!("png: {why}"));
    let width = u32::try_from(frame.width).map_err(|e| failed(&e))?;
    let height = u32::try_from(frame.height).map_err(|e| failed(&e))?;
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(&frame.data, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| failed(&e))?;
    Ok(bytes)
}

/// The name of frame `index` in a folder of pictures: `0000.png` for the first.
pub fn file_name(index: usize) -> String {
    format!("{index:04}.png")
}
