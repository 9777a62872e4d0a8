//! Reading animated WebP (RFC 9649).
//!
//! The container is read and the frames are put together here, only their pictures are decoded by
//! the image crate: its own animation leaves disposed frames on the canvas, and drops transparency
//! that the header does not announce.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder};

use super::read::{check_size, over};
use super::read_video::Frames;
use super::{Frame, Video};
use crate::error::{Error, Result};

/// `RIFF`, the length and `WEBP`.
const RIFF_HEADER: usize = 12;
/// Flags of the `VP8X` chunk.
const HAS_ANIMATION: u8 = 0b10;
const HAS_ALPHA: u8 = 0b1_0000;
/// Flags of an `ANMF` chunk.
const DO_NOT_BLEND: u8 = 0b10;
const DISPOSE: u8 = 0b1;
/// What browsers wait instead of no time, in milliseconds.
const PATIENT_DELAY: u32 = 100;

/// Whether `bytes` begin an animated WebP file.
pub(super) fn is_animated(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF")
        && bytes.get(8..16) == Some(b"WEBPVP8X")
        && bytes.get(20).is_some_and(|flags| flags & HAS_ANIMATION != 0)
}

/// The frames of an animated WebP file on `background`.
///
/// The background colour that the file may name is ignored, as browsers do.
pub(super) fn decode(name: &str, bytes: &[u8], background: [u8; 3]) -> Result<Video> {
    let damaged = |what: &str| Error::media(name, format!("is no whole webp video: {what}"));
    let mut chunks = Chunks { rest: bytes.get(RIFF_HEADER..).unwrap_or_default() };
    let header = chunks.next().filter(|chunk| chunk.is_whole && chunk.body.len() >= 10);
    let header = header.ok_or_else(|| damaged("its header is cut off"))?;
    let (width, height) = (u24(&header.body[4..]) + 1, u24(&header.body[7..]) + 1);
    check_size(name, width, height)?;
    let mut canvas = Canvas::new(width as usize, height as usize);
    let mut frames = Frames::of(name);
    for chunk in chunks {
        if !chunk.is_whole {
            return Err(damaged("it is cut off"));
        }
        if chunk.kind == *b"ANMF" {
            let part = Part::parse(chunk.body, &canvas).map_err(|what| damaged(&what))?;
            frames.wait(if part.duration == 0 { PATIENT_DELAY } else { part.duration });
            canvas.show(&part).map_err(|what| damaged(&what))?;
            let data = over(&canvas.pixels, background);
            frames.push(Frame { width: canvas.width, height: canvas.height, data }, name)?;
        }
    }
    frames.video(None)
}

/// A chunk of a RIFF file.
struct Chunk<'a> {
    kind: [u8; 4],
    /// The bytes there are.
    body: &'a [u8],
    /// Whether these are all that were announced.
    is_whole: bool,
}

/// The chunks of a RIFF file or of another chunk's body.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (header, rest) = match self.rest.split_at_checked(8) {
            Some(parts) => parts,
            None if self.rest.is_empty() => return None,
            None => {
                self.rest = &[];
                return Some(Chunk { kind: [0; 4], body: &[], is_whole: false });
            }
        };
        let [a, b, c, d, length @ ..] = header else { return None };
        let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let body = &rest[..length.min(rest.len())];
        // Chunks of odd length are padded.
        self.rest = rest.get(length + length % 2..).unwrap_or_default();
        Some(Chunk { kind: [*a, *b, *c, *d], body, is_whole: body.len() == length })
    }
}

/// The canvas that frames are drawn on, RGBA.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    /// What to clear before the next frame.
    disposed: Option<Area>,
}

/// A part of the canvas: pixels, inside it.
#[derive(Clone, Copy)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// An `ANMF` chunk: a picture for a part of the canvas.
struct Part<'a> {
    area: Area,
    /// Milliseconds.
    duration: u32,
    flags: u8,
    chunks: &'a [u8],
}

impl<'a> Part<'a> {
    fn parse(body: &'a [u8], canvas: &Canvas) -> Result<Self, String> {
        let (header, chunks) = body.split_at_checked(16).ok_or("a frame is cut off")?;
        let number = |at: usize| u24(&header[at..]) as usize;
        let area = Area {
            x: 2 * number(0),
            y: 2 * number(3),
            width: number(6) + 1,
            height: number(9) + 1,
        };
        if area.x + area.width > canvas.width || area.y + area.height > canvas.height {
            return Err("a frame reaches out of the picture".to_owned());
        }
        Ok(Self { area, duration: u24(&header[12..]), flags: header[15], chunks })
    }

    /// The pixels, RGBA.
    fn picture(&self) -> Result<Vec<u8>, String> {
        let mut still = b"RIFF\0\0\0\0WEBP".to_vec();
        let is_picture = |chunk: &Chunk<'_>| matches!(&chunk.kind, b"ALPH" | b"VP8 " | b"VP8L");
        let chunks: Vec<Chunk<'_>> = Chunks { rest: self.chunks }
            .filter(|chunk| chunk.is_whole && is_picture(chunk))
            .collect();
        if chunks.iter().any(|chunk| chunk.kind == *b"ALPH") {
            // Transparency beside lossy colours needs the extended header.
            let mut header = vec![HAS_ALPHA, 0, 0, 0];
            for side in [self.area.width, self.area.height] {
                header.extend(&(side as u32 - 1).to_le_bytes()[..3]);
            }
            append(&mut still, b"VP8X", &header);
        }
        chunks.iter().for_each(|chunk| append(&mut still, &chunk.kind, chunk.body));
        let length = still.len() as u32 - 8;
        still[4..8].copy_from_slice(&length.to_le_bytes());
        let decoder = WebPDecoder::new(Cursor::new(&still)).map_err(|e| e.to_string())?;
        let (width, height) = decoder.dimensions();
        if (width as usize, height as usize) != (self.area.width, self.area.height) {
            return Err("a frame differs from its announced size".to_owned());
        }
        let picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        Ok(picture.into_rgba8().into_raw())
    }
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; 4 * width * height], disposed: None }
    }

    /// Draws the next frame.
    fn show(&mut self, part: &Part<'_>) -> Result<(), String> {
        let picture = part.picture()?;
        if let Some(area) = self.disposed.take() {
            (0..area.height).for_each(|row| self.row(area, row).fill(0));
        }
        let area = part.area;
        for (index, source) in picture.chunks_exact(4 * area.width).enumerate() {
            let row = self.row(area, index);
            if part.flags & DO_NOT_BLEND != 0 {
                row.copy_from_slice(source);
            } else {
                row.chunks_exact_mut(4).zip(source.chunks_exact(4)).for_each(blend);
            }
        }
        self.disposed = (part.flags & DISPOSE != 0).then_some(area);
        Ok(())
    }

    fn row(&mut self, area: Area, row: usize) -> &mut [u8] {
        let start = 4 * ((area.y + row) * self.width + area.x);
        &mut self.pixels[start..start + 4 * area.width]
    }
}

/// Puts a pixel over another, neither multiplied by its alpha.
fn blend((below, above): (&mut [u8], &[u8])) {
    let alpha = f32::from(above[3]);
    let shining = f32::from(below[3]) * (255.0 - alpha) / 255.0;
    let sum = alpha + shining;
    if sum > 0.0 {
        for channel in 0..3 {
            let mixed = f32::from(above[channel]) * alpha + f32::from(below[channel]) * shining;
            below[channel] = (mixed / sum).round() as u8;
        }
    }
    below[3] = sum.round() as u8;
}

fn append(out: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
    out.extend(kind);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.extend((body.len() % 2 == 1).then_some(0));
}

/// The little-endian number in the first three bytes.
fn u24(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}
