//! Reading pictures.

use std::io::Cursor;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::Frame;
use crate::error::{Error, Result};

/// More pixels than any camera's, few enough to be held in memory.
const MAX_PIXELS: u64 = 1 << 27;
/// What shows where a picture is transparent.
const WHITE: [u8; 3] = [255; 3];
/// The largest memory a decoder may take; 16-bit RGBA of [`MAX_PIXELS`].
const MAX_MEMORY: u64 = 8 * MAX_PIXELS;
/// The largest file read into memory.
#[cfg(not(target_family = "wasm"))]
const MAX_FILE: u64 = 1 << 29;

const ACCEPTED: &str = "PNG, JPEG, WebP, GIF or BMP";

/// Reads a picture: PNG, JPEG, WebP, BMP or the first picture of a GIF, told by content, not by
/// name. Turned upright as its EXIF data says; transparent parts show white.
///
/// # Errors
/// When the file cannot be read, holds no such picture, is damaged or absurdly large.
#[cfg(not(target_family = "wasm"))]
pub fn read_frame(path: &Path) -> Result<Frame> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    if metadata.is_dir() {
        let reason = format!("is a folder; a picture is expected ({ACCEPTED})");
        return Err(Error::media(path, reason));
    }
    decode_frame(&path.to_string_lossy(), &read_file(path)?)
}

/// The bytes of a picture's or video's file.
#[cfg(not(target_family = "wasm"))]
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    if metadata.len() > MAX_FILE {
        let reason = format!(
            "has {} MB; files of up to {} MB are read",
            metadata.len() >> 20,
            MAX_FILE >> 20
        );
        return Err(Error::media(path, reason));
    }
    std::fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// The picture in the bytes of a file, as [`read_frame`]; `name` is what errors call it.
///
/// # Errors
/// When the bytes are no picture, or a damaged or absurdly large one.
pub fn decode_frame(name: &str, bytes: &[u8]) -> Result<Frame> {
    decode_frame_on(name, bytes, WHITE)
}

/// As [`decode_frame`], with `background` where the picture is transparent.
pub(super) fn decode_frame_on(name: &str, bytes: &[u8], background: [u8; 3]) -> Result<Frame> {
    if bytes.is_empty() {
        return Err(Error::media(name, format!("is empty; a picture is expected ({ACCEPTED})")));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::io("read", name, e))?;
    let Some(format) = reader.format().filter(image::ImageFormat::reading_enabled) else {
        return Err(Error::media(name, format!("is no picture musev reads ({ACCEPTED})")));
    };
    let damaged = |why: image::ImageError| {
        let kind = format.extensions_str().first().copied().unwrap_or_default();
        Error::media(name, format!("is no whole {kind} picture: {why}"))
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    if decoder.total_bytes() > MAX_MEMORY {
        return Err(Error::media(
            name,
            "has more colours than fit into memory; save it with 8 bits",
        ));
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(flatten(picture, background))
}

/// Refuses pictures without pixels, and of more than fit into memory.
pub(super) fn check_size(name: &str, width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::media(name, "has no pixels"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let reason = format!(
            "has {width} x {height} pixels; pictures of up to {} million pixels are read",
            MAX_PIXELS / 1_000_000
        );
        return Err(Error::media(name, reason));
    }
    Ok(())
}

fn flatten(picture: DynamicImage, background: [u8; 3]) -> Frame {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let data = if picture.color().has_alpha() {
        over(&picture.into_rgba8(), background)
    } else {
        picture.into_rgb8().into_raw()
    };
    Frame { width, height, data }
}

/// The colours of RGBA pixels before a background.
pub(super) fn over(pixels: &[u8], background: [u8; 3]) -> Vec<u8> {
    let mix = |pixel: &[u8]| -> [u8; 3] {
        let alpha = u32::from(pixel[3]);
        std::array::from_fn(|channel| {
            let behind = u32::from(background[channel]) * (255 - alpha);
            ((u32::from(pixel[channel]) * alpha + behind + 127) / 255) as u8
        })
    };
    pixels.chunks_exact(4).flat_map(mix).collect()
}
