//! A finished video and the files it can be stored as.

use js_sys::Uint8ClampedArray;
use musev::{Format, Video, mp4};
use wasm_bindgen::prelude::*;

use crate::picture;

/// A finished video.
#[wasm_bindgen]
pub struct Clip {
    pub(crate) video: Video,
}

#[wasm_bindgen]
impl Clip {
    /// The video in the bytes of a WebP file that [`Clip::encode`] made with these `settings`.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn decode(webp: &[u8], settings: String) -> Result<Clip, JsError> {
        const UNUSED: [u8; 3] = [0; 3];
        let mut video = musev::decode_video("the stored video", webp, UNUSED)?;
        video.comment = Some(settings);
        Ok(Self { video })
    }

    /// Pixels in a row.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.video.size().0
    }

    /// Rows.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.video.size().1
    }

    /// Pictures a second.
    #[wasm_bindgen(getter)]
    pub fn fps(&self) -> f32 {
        self.video.fps
    }

    /// Number of pictures.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.video.frames.len()
    }

    /// The settings it was made with, as JSON.
    #[wasm_bindgen(getter)]
    pub fn settings(&self) -> String {
        self.video.comment.clone().unwrap_or_default()
    }

    /// Picture `index`, four bytes a pixel.
    pub fn rgba(&self, index: usize) -> Option<Uint8ClampedArray> {
        self.video.frames.get(index).map(picture::rgba)
    }

    /// The bytes of a GIF or WebP file, settings inside.
    ///
    /// # Errors
    /// When the video does not fit the format.
    pub fn encode(&self, format: &str) -> Result<Vec<u8>, JsError> {
        let format = Format::from_name(format).ok_or_else(|| JsError::new("no such format"))?;
        Ok(musev::encode(&self.video, format)?)
    }

    /// Begins an MP4 file, whose pictures the browser compresses.
    pub fn mp4(&self) -> Mp4 {
        let (width, height) = self.video.size();
        let (width, height) = (mp4::stored_side(width), mp4::stored_side(height));
        Mp4 {
            stream: mp4::Stream {
                width: width as u16,
                height: height as u16,
                fps: self.video.fps,
                sequence_parameters: Vec::new(),
                picture_parameters: Vec::new(),
                samples: Vec::new(),
            },
            comment: self.video.comment.clone(),
        }
    }

    /// Picture `index` as planes of Y, U and V (I420, BT.709, limited range) in the size that `file`
    /// stores.
    pub fn yuv(&self, index: usize, file: &Mp4) -> Option<Vec<u8>> {
        let frame = self.video.frames.get(index)?;
        Some(musev::bt709(frame, file.stream.width.into(), file.stream.height.into()))
    }
}

/// An MP4 file that is being put together from what WebCodecs compresses.
#[wasm_bindgen]
pub struct Mp4 {
    stream: mp4::Stream,
    comment: Option<String>,
}

#[wasm_bindgen]
impl Mp4 {
    /// Pixels in a row of the stored pictures.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u16 {
        self.stream.width
    }

    /// Rows of the stored pictures.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u16 {
        self.stream.height
    }

    /// Takes the `description` of the encoder's decoder configuration.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn configure(&mut self, description: &[u8]) -> Result<(), JsError> {
        Ok(self.stream.configure(description)?)
    }

    /// Adds a compressed picture.
    pub fn push(&mut self, data: Vec<u8>, is_key: bool) {
        self.stream.samples.push(mp4::Sample { data, is_key });
    }

    /// The bytes of the file, settings inside.
    ///
    /// # Errors
    /// When nothing was compressed.
    pub fn finish(&self) -> Result<Vec<u8>, JsError> {
        Ok(mp4::mux(&self.stream, self.comment.as_deref())?)
    }
}
