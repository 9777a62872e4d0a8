//! Reading videos.

#[cfg(not(target_family = "wasm"))]
use std::cmp::Ordering;
use std::io::Cursor;
#[cfg(not(target_family = "wasm"))]
use std::io::Read;
#[cfg(not(target_family = "wasm"))]
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageDecoder, ImageError, Limits, Rgba};

#[cfg(not(target_family = "wasm"))]
use super::read::read_file;
use super::read::{check_size, decode_frame_on, over};
use super::{Frame, Video};
use crate::error::{Error, Result};

/// Frames a second of a folder of pictures and of a single picture: the rate of MuseV's videos.
pub const FOLDER_FPS: f32 = 8.0;

/// Pixels of all frames together; three bytes each.
const MAX_PIXELS: u64 = 1 << 29;
const MAX_FRAMES: usize = 1 << 16;
/// Delays up to this, in milliseconds, are taken for mistakes by browsers...
const HASTY_DELAY: u32 = 10;
/// ... which then wait so long.
const PATIENT_DELAY: u32 = 100;

#[cfg(not(target_family = "wasm"))]
const ACCEPTED: &str = "MP4 with H.264, GIF, WebP or a folder of pictures";
/// Pictures in a folder are told by their names, as other files may lie beside them.
#[cfg(not(target_family = "wasm"))]
const PICTURES: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// Reads a video: MP4 with H.264 (cargo feature `h264`), an animated GIF or WebP, told by content,
/// not by name; or a folder of pictures in the order of their names, numbers by value.
///
/// Transparent parts show `background`. The frame rate is that of the file's own timing, the mean
/// where it varies, and [`FOLDER_FPS`] for pictures. A single picture is a video of one frame. Other
/// videos are read by the program `ffmpeg`, where it is on the PATH.
///
/// # Errors
/// When the file or folder cannot be read, holds no such video, is damaged or absurdly large.
#[cfg(not(target_family = "wasm"))]
pub fn read_video(path: &Path, background: [u8; 3]) -> Result<Video> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    let name = path.to_string_lossy();
    if !metadata.is_dir() {
        return read_one_file(path, &name, background);
    }
    let files = pictures(path)?;
    let mut frames = Frames::of(&name);
    for file in &files {
        let name = file.to_string_lossy();
        frames.push(decode_frame_on(&name, &read_file(file)?, background)?, &name)?;
    }
    frames.video(Some(FOLDER_FPS))
}

/// The video in a file; one that is not of our formats as ffmpeg reads it.
#[cfg(not(target_family = "wasm"))]
fn read_one_file(path: &Path, name: &str, background: [u8; 3]) -> Result<Video> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, e))?;
    file.take(1 << 12).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
    if !head.is_empty() && !is_known(&head) {
        return super::ffmpeg::read(path, &format!("is no video musev reads itself ({ACCEPTED})"));
    }
    let bytes = read_file(path)?;
    match foreign_codec(&bytes) {
        Some(codec) => {
            let reason = format!("is compressed as {codec}, and musev itself reads H.264 in MP4");
            super::ffmpeg::read(path, &reason)
        }
        None => decode_video(name, &bytes, background),
    }
}

/// Whether a file that begins so is of a format that musev reads itself, whole or damaged.
#[cfg(not(target_family = "wasm"))]
fn is_known(head: &[u8]) -> bool {
    let is_mp4 = cfg!(feature = "h264") && head.get(4..8) == Some(b"ftyp");
    is_mp4 || image::guess_format(head).is_ok_and(|format| format.reading_enabled())
}

/// The codec of an MP4 file that has no H.264.
#[cfg(all(feature = "h264", not(target_family = "wasm")))]
fn foreign_codec(bytes: &[u8]) -> Option<String> {
    super::h264_decode::foreign_codec(bytes)
}

#[cfg(all(not(feature = "h264"), not(target_family = "wasm")))]
fn foreign_codec(_bytes: &[u8]) -> Option<String> {
    None
}

/// The video in the bytes of a file, as [`read_video`]; `name` is what errors call it.
///
/// # Errors
/// When the bytes are no video, or a damaged or absurdly large one.
pub fn decode_video(name: &str, bytes: &[u8], background: [u8; 3]) -> Result<Video> {
    if bytes.get(4..8) == Some(b"ftyp") {
        return decode_mp4(name, bytes);
    }
    if bytes.starts_with(b"GIF8") {
        return decode_gif(name, bytes, background);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        let damaged = damaged(name, "webp");
        let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(&damaged)?;
        if decoder.has_animation() {
            return decode_webp(name, decoder, background);
        }
    }
    let mut frames = Frames::of(name);
    frames.push(decode_frame_on(name, bytes, background)?, name)?;
    frames.video(Some(FOLDER_FPS))
}

#[cfg(feature = "h264")]
fn decode_mp4(name: &str, bytes: &[u8]) -> Result<Video> {
    super::h264_decode::decode(name, bytes)
}

#[cfg(not(feature = "h264"))]
fn decode_mp4(name: &str, _bytes: &[u8]) -> Result<Video> {
    let reason = "is MP4, and this musev was built without an H.264 decoder: convert it to gif, \
                  webp or a folder of pictures, or rebuild with the cargo feature h264";
    Err(Error::media(name, reason))
}

fn decode_gif(name: &str, bytes: &[u8], background: [u8; 3]) -> Result<Video> {
    let damaged = damaged(name, "gif");
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(&damaged)?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 4);
    decoder.set_limits(limits).map_err(&damaged)?;
    animation(name, decoder, background, &damaged)
}

fn decode_webp(
    name: &str,
    mut decoder: WebPDecoder<Cursor<&[u8]>>,
    background: [u8; 3],
) -> Result<Video> {
    let damaged = damaged(name, "webp");
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    // As browsers do: not the colour that the file may name. Without one, disposed frames stay.
    decoder.set_background_color(Rgba([0; 4])).map_err(&damaged)?;
    animation(name, decoder, background, &damaged)
}

/// The frames of an animation, and the mean of their delays.
fn animation<'a>(
    name: &str,
    decoder: impl AnimationDecoder<'a>,
    background: [u8; 3],
    damaged: &dyn Fn(ImageError) -> Error,
) -> Result<Video> {
    let mut frames = Frames::of(name);
    for frame in decoder.into_frames() {
        let frame = frame.map_err(damaged)?;
        let (milliseconds, parts) = frame.delay().numer_denom_ms();
        let delay = milliseconds / parts.max(1);
        frames.wait(if delay <= HASTY_DELAY { PATIENT_DELAY } else { delay });
        let (width, height) = frame.buffer().dimensions();
        let data = over(frame.buffer(), background);
        frames.push(Frame { width: width as usize, height: height as usize, data }, name)?;
    }
    frames.video(None)
}

fn damaged<'a>(name: &'a str, kind: &'a str) -> impl Fn(ImageError) -> Error + 'a {
    move |e| Error::media(name, format!("is no whole {kind} video: {e}"))
}

/// The pictures of a folder in the order of their names.
#[cfg(not(target_family = "wasm"))]
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = |e| Error::io("read", folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let is_picture = extension.is_some_and(|extension| PICTURES.contains(&extension.as_str()));
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_picture && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        let reason = format!("is a folder without pictures; a video is expected ({ACCEPTED})");
        return Err(Error::media(folder, reason));
    }
    files.sort_by(|a, b| by_number(&a.to_string_lossy(), &b.to_string_lossy()).then(a.cmp(b)));
    Ok(files)
}

/// Compares names so that `frame 9` comes before `frame 10`.
#[cfg(not(target_family = "wasm"))]
fn by_number(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let (Some(left), Some(right)) = (Numbered::first_in(a), Numbered::first_in(b)) {
        // Without leading zeros the longer number is the larger one.
        let number = left.digits.len().cmp(&right.digits.len()).then(left.digits.cmp(right.digits));
        match left.text.cmp(right.text).then(number) {
            Ordering::Equal => (a, b) = (left.rest, right.rest),
            unequal => return unequal,
        }
    }
    a.cmp(b)
}

/// A text up to its first number, that number without leading zeros, and what follows.
#[cfg(not(target_family = "wasm"))]
struct Numbered<'a> {
    text: &'a str,
    digits: &'a str,
    rest: &'a str,
}

#[cfg(not(target_family = "wasm"))]
impl<'a> Numbered<'a> {
    fn first_in(name: &'a str) -> Option<Self> {
        let (text, rest) = name.split_at(name.find(|c: char| c.is_ascii_digit())?);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        Some(Self { text, digits: digits.trim_start_matches('0'), rest })
    }
}

/// Frames as they are decoded, refused when they become too many.
pub(super) struct Frames<'a> {
    name: &'a str,
    frames: Vec<Frame>,
    milliseconds: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        Self { name, frames: Vec::new(), milliseconds: 0 }
    }

    /// Adds the time that a frame is shown.
    pub(super) fn wait(&mut self, milliseconds: u32) {
        self.milliseconds += u64::from(milliseconds);
    }

    /// Adds a frame that comes from the file `origin`.
    pub(super) fn push(&mut self, frame: Frame, origin: &str) -> Result<()> {
        if let Some(first) = self.frames.first()
            && (first.width, first.height) != (frame.width, frame.height)
        {
            let reason = format!(
                "has {} x {} pixels, frames before it {} x {}; all have to be of one size",
                frame.width, frame.height, first.width, first.height
            );
            return Err(Error::media(origin, reason));
        }
        let pixels = (frame.width * frame.height) as u64 * (self.frames.len() as u64 + 1);
        if pixels > MAX_PIXELS || self.frames.len() == MAX_FRAMES {
            let reason = format!(
                "is too long: {MAX_FRAMES} frames and {} million pixels in all are read; cut it \
                 into parts or make it smaller",
                MAX_PIXELS / 1_000_000
            );
            return Err(Error::media(self.name, reason));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Whether none was added.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames at `fps`, or at the mean rate of the times added.
    pub(super) fn video(self, fps: Option<f32>) -> Result<Video> {
        if self.frames.is_empty() {
            return Err(Error::media(self.name, "holds no frames; it may have been cut off"));
        }
        let mean = 1000.0 * self.frames.len() as f64 / self.milliseconds.max(1) as f64;
        Video::new(self.frames, fps.unwrap_or((mean as f32).clamp(0.01, 1000.0)))
    }
}
