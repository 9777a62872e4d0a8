//! Pictures from the page, and pixels for its canvases.

use js_sys::Uint8ClampedArray;
use musev::Frame;
use wasm_bindgen::prelude::*;

/// A picture that a video begins with.
#[wasm_bindgen]
pub struct Picture {
    pub(crate) frame: Frame,
}

#[wasm_bindgen]
impl Picture {
    /// The picture in the bytes of a file that musev itself can read (PNG, JPEG, WebP, GIF, BMP), so
    /// that it is the same as everywhere else. `name` is what errors call the file.
    ///
    /// # Errors
    /// When it is no such picture, damaged or absurdly large.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Picture, JsError> {
        Ok(Self { frame: musev::decode_frame(name, bytes)? })
    }

    /// The picture of a canvas, opaque, four bytes a pixel.
    ///
    /// # Errors
    /// When `rgba` is not `4 · width · height` bytes long.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Picture, JsError> {
        let rgb = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Ok(Self { frame: Frame::new(width, height, rgb)? })
    }
}

/// The pixels of `frame` as a canvas takes them.
pub(crate) fn rgba(frame: &Frame) -> Uint8ClampedArray {
    let pixels: Vec<u8> =
        frame.data.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
    let out = Uint8ClampedArray::new_with_length(pixels.len() as u32);
    out.copy_from(&pixels);
    out
}
