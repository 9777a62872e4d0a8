//! Animated GIF.

use gif::{AnyExtension, DisposalMethod, Encoder, Extension, Repeat};

use super::palette::Palette;
use super::{Format, Video};
use crate::error::{Error, Result};

/// Colours of the palette: one more entry says "as before".
const COLORS: usize = 255;
/// Shorter delays (in 1/100 s) are taken for mistakes by browsers, which then wait 1/10 s.
const MIN_DELAY: u32 = 2;
/// Extensions are cut into blocks of at most so many bytes.
const MAX_BLOCK: usize = 255;

/// The bytes of a GIF file playing `video` for ever.
///
/// One palette serves all frames and the dither pattern stands still, so that nothing flickers
/// but what moves. Delays are whole hundredths of a second, at least two: faster videos play at
/// 50 frames a second.
///
/// # Errors
/// When the video is not valid or too large for the format.
pub fn encode(video: &Video) -> Result<Vec<u8>> {
    video.check()?;
    let (width, height) = video.size();
    Format::Gif.check_size(width, height)?;
    let failed = |e: gif::EncodingError| Error::request("format", format!("gif: {e}"));
    let palette = Palette::of(video, COLORS);
    let mut colors = palette.bytes();
    let unchanged = (colors.len() / 3) as u8;
    colors.extend([0; 3]);

    let mut encoder =
        Encoder::new(Vec::new(), width as u16, height as u16, &colors).map_err(failed)?;
    encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    if let Some(comment) = &video.comment {
        let kind = AnyExtension(Extension::Comment as u8);
        let blocks: Vec<&[u8]> = comment.as_bytes().chunks(MAX_BLOCK).collect();
        encoder.write_raw_extension(kind, &blocks).map_err(failed)?;
    }
    let mut before: Option<Vec<u8>> = None;
    for (frame, delay) in video.frames.iter().zip(video.durations(100.0)) {
        let indices = palette.indices(frame);
        let changes = match &before {
            None => indices.clone(),
            Some(before) => changes(before, &indices, unchanged),
        };
        let picture = gif::Frame {
            width: width as u16,
            height: height as u16,
            delay: delay.clamp(MIN_DELAY, u32::from(u16::MAX)) as u16,
            dispose: DisposalMethod::Keep,
            transparent: before.is_some().then_some(unchanged),
            buffer: changes.into(),
            ..Default::default()
        };
        encoder.write_frame(&picture).map_err(failed)?;
        before = Some(indices);
    }
    encoder.into_inner().map_err(failed)
}

fn changes(before: &[u8], now: &[u8], unchanged: u8) -> Vec<u8> {
    before.iter().zip(now).map(|(b, n)| if b == n { unchanged } else { *n }).collect()
}
