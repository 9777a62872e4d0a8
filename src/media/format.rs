//! The kinds of output.

use std::path::Path;

use super::{Video, gif, mp4, png, webp};
use crate::error::{Error, Result};

/// How a video is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// H.264 in MP4: small, plays everywhere.
    Mp4,
    /// Animated GIF: 256 colours.
    Gif,
    /// Animated WebP without loss.
    Webp,
    /// A folder of numbered PNG files.
    Png,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Mp4, Format::Gif, Format::Webp, Format::Png];

    /// The format users call `name`: `mp4`, `gif`, `webp`, `png` or, as in the original, `images`.
    pub fn from_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower == "images" {
            return Some(Format::Png);
        }
        Self::ALL.into_iter().find(|format| format.extension() == lower)
    }

    /// The format that goes with the extension of `path`.
    ///
    /// # Errors
    /// When there is no extension or none of ours.
    pub fn from_extension(path: &Path) -> Result<Self> {
        let name = path.extension().and_then(|extension| extension.to_str());
        name.and_then(Self::from_name).ok_or_else(|| {
            let reason = match name {
                Some(name) => format!("the extension .{name} names no format musev writes"),
                None => "has no extension that names a format".to_owned(),
            };
            Error::media(path, format!("{reason}; use .mp4, .gif, .webp or .png (a folder)"))
        })
    }

    /// The usual extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Mp4 => "mp4",
            Format::Gif => "gif",
            Format::Webp => "webp",
            Format::Png => "png",
        }
    }

    /// Whether a video of `width x height` can be stored so in this build.
    ///
    /// # Errors
    /// When the format cannot hold such frames, or is MP4 and musev was built without an encoder.
    pub fn check_size(self, width: usize, height: usize) -> Result<()> {
        if self == Format::Mp4 && !mp4::IS_AVAILABLE {
            return Err(mp4::unavailable());
        }
        let (long, short) = match self {
            Format::Mp4 => mp4::MAX_SIDES,
            Format::Gif => (65_535, 65_535),
            Format::Webp => (webp::MAX_SIDE, webp::MAX_SIDE),
            Format::Png => (usize::MAX, usize::MAX),
        };
        if width.max(height) > long || width.min(height) > short {
            let reason = format!(
                "{} holds frames of up to {long} x {short} pixels, not {width} x {height}; \
                 write png frames or make the video smaller",
                self.extension()
            );
            return Err(Error::request("format", reason));
        }
        Ok(())
    }
}

/// The bytes of one file holding `video`. Of the format PNG that is a single picture; longer
/// videos are encoded picture by picture with [`png::encode`].
///
/// # Errors
/// When the video is not valid (see [`Video::check`]) or does not fit the format.
pub fn encode(video: &Video, format: Format) -> Result<Vec<u8>> {
    match format {
        Format::Mp4 => mp4::encode(video),
        Format::Gif => gif::encode(video),
        Format::Webp => webp::encode(video),
        Format::Png => {
            video.check()?;
            match video.frames.as_slice() {
                [frame] => png::encode(frame),
                frames => {
                    let reason = format!("one png file cannot hold {} frames", frames.len());
                    Err(Error::request("format", reason))
                }
            }
        }
    }
}
