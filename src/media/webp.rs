//! Animated WebP without loss.
//!
//! The pictures are compressed by the image crate; the animation around them is the extended RIFF
//! container of the WebP specification (RFC 9649, section 2.7).

use image::ExtendedColorType;
use image::codecs::webp::WebPEncoder;

use super::{Format, Frame, Video};
use crate::error::{Error, Result};

/// The longest side of a picture.
pub const MAX_SIDE: usize = 16_383;

/// Where chunks start in a RIFF file: after `RIFF`, the length and `WEBP`.
const RIFF_HEADER: usize = 12;
/// Flag of the `VP8X` chunk.
const HAS_ANIMATION: u8 = 0b10;
/// Flag of the `VP8X` chunk.
const HAS_XMP: u8 = 0b100;
/// Flag of an `ANMF` chunk: the frame replaces what was there.
const DO_NOT_BLEND: u8 = 0b10;
/// Durations of frames are 24-bit numbers.
const MAX_DURATION: u32 = (1 << 24) - 1;

/// The bytes of a WebP file playing `video` for ever.
///
/// # Errors
/// When the video is not valid, or too large for the format.
pub fn encode(video: &Video) -> Result<Vec<u8>> {
    video.check()?;
    let (width, height) = video.size();
    Format::Webp.check_size(width, height)?;
    let size = [u24(width - 1), u24(height - 1)].concat();

    let mut chunks = Vec::new();
    let flags = if video.comment.is_some() { HAS_ANIMATION | HAS_XMP } else { HAS_ANIMATION };
    chunk(&mut chunks, b"VP8X", &[&[flags, 0, 0, 0], size.as_slice()].concat());
    // Background colour (unused: every frame covers the canvas) and loop count 0: for ever.
    chunk(&mut chunks, b"ANIM", &[0; 6]);
    for (frame, duration) in video.frames.iter().zip(video.durations(1000.0)) {
        let mut body = vec![0; 6];
        body.extend(&size);
        body.extend(u24(duration.min(MAX_DURATION) as usize));
        body.push(DO_NOT_BLEND);
        chunk(&mut body, b"VP8L", &compress(frame)?);
        chunk(&mut chunks, b"ANMF", &body);
    }
    if let Some(comment) = &video.comment {
        chunk(&mut chunks, b"XMP ", description(comment).as_bytes());
    }

    let length = u32::try_from(chunks.len() + 4).map_err(|_| {
        Error::request("format", "the video needs more than 4 GiB as webp; write png frames")
    })?;
    Ok([b"RIFF".as_slice(), &length.to_le_bytes(), b"WEBP", &chunks].concat())
}

/// An XMP packet that describes the file as `comment`.
fn description(comment: &str) -> String {
    let escaped = comment.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escaped}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"#
    )
}

/// The `VP8L` bit stream of a picture, taken out of the still file that the encoder makes.
fn compress(frame: &Frame) -> Result<Vec<u8>> {
    let failed = |why: String| Error::request("format", format!("webp: {why}"));
    let mut file = Vec::new();
    WebPEncoder::new_lossless(&mut file)
        .encode(&frame.data, frame.width as u32, frame.height as u32, ExtendedColorType::Rgb8)
        .map_err(|e| failed(e.to_string()))?;
    let header = file.get(RIFF_HEADER..RIFF_HEADER + 8);
    let length = match header {
        Some([b'V', b'P', b'8', b'L', length @ ..]) => {
            u32::from_le_bytes(length.try_into().expect("four of eight bytes are left")) as usize
        }
        _ => return Err(failed("the encoder made no lossless picture".to_owned())),
    };
    let start = RIFF_HEADER + 8;
    let stream = file.get(start..start + length);
    stream.map(<[u8]>::to_vec).ok_or_else(|| failed("the encoder cut its picture".to_owned()))
}

/// Appends a RIFF chunk, padded to an even length.
fn chunk(out: &mut Vec<u8>, name: &[u8; 4], body: &[u8]) {
    out.extend(name);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
}

fn u24(value: usize) -> [u8; 3] {
    let [a, b, c, _] = (value as u32).to_le_bytes();
    [a, b, c]
}
