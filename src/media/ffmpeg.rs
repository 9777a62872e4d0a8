//! Reading what musev cannot read by itself, by way of the program ffmpeg.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::read::check_size;
use super::read_video::{FOLDER_FPS, Frames};
use super::{Frame, Video};
use crate::error::{Error, Result};

/// The frames that ffmpeg reads of the video at `path`. `reason` says why musev does not.
///
/// ffmpeg writes pictures of the format PPM one after the other, and on standard error what the
/// video is.
pub(super) fn read(path: &Path, reason: &str) -> Result<Video> {
    let mut child = match start(path) {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let reason = format!(
                "{reason}; with ffmpeg on the PATH musev reads it all the same, or convert it to \
                 MP4 with H.264, GIF, WebP or a folder of pictures"
            );
            return Err(Error::media(path, reason));
        }
        Err(e) => return Err(Error::media(path, format!("ffmpeg cannot be started: {e}"))),
    };
    let messages = child.stderr.take().map(|stream| std::thread::spawn(|| text(stream)));
    let name = path.to_string_lossy();
    let mut frames = Frames::of(&name);
    let taken = match child.stdout.take() {
        Some(stream) => take(BufReader::new(stream), &name, &mut frames),
        None => Ok(()),
    };
    if taken.is_err() {
        // It may be gone already; the error counts.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| Error::io("read", path, e))?;
    let messages = messages.and_then(|thread| thread.join().ok()).unwrap_or_default();
    taken?;
    if !status.success() || frames.is_empty() {
        let told = messages.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let reason = format!("{reason}, and ffmpeg does not read it either: {}", told.trim());
        return Err(Error::media(path, reason));
    }
    frames.video(Some(rate(&messages).unwrap_or(FOLDER_FPS)))
}

fn start(path: &Path) -> io::Result<Child> {
    // With `file:` a name with a colon or a leading dash is a name.
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    Command::new("ffmpeg")
        .args(["-nostdin", "-nostats", "-hide_banner", "-i"])
        .arg(input)
        .args(["-map", "0:v:0", "-an", "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What a stream says; the end of it if it says much.
fn text(stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read until then is told.
    let _ = stream.take(1 << 20).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes picture after picture from `stream`.
fn take(mut stream: impl BufRead, name: &str, frames: &mut Frames<'_>) -> Result<()> {
    let failed = |e: io::Error| Error::io("read", name, e);
    while !stream.fill_buf().map_err(failed)?.is_empty() {
        let (width, height) = header(&mut stream).map_err(failed)?;
        check_size(name, width, height)?;
        let mut data = vec![0; 3 * width as usize * height as usize];
        stream.read_exact(&mut data).map_err(failed)?;
        let frame = Frame { width: width as usize, height: height as usize, data };
        frames.push(frame, name)?;
    }
    Ok(())
}

/// Width and height of a PPM picture, up to the white space before its bytes.
fn header(stream: &mut impl BufRead) -> io::Result<(u32, u32)> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "ffmpeg gave no pictures");
    let mut words: Vec<String> = vec![String::new()];
    while words.len() < 5 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        let word = words.last_mut().expect("there is one from the beginning");
        match byte[0] {
            byte if !byte.is_ascii_whitespace() && word.len() < 8 => word.push(byte.into()),
            byte if byte.is_ascii_whitespace() && !word.is_empty() => words.push(String::new()),
            _ => return Err(broken()),
        }
    }
    let side = |word: &str| word.parse().map_err(|_| broken());
    match words.as_slice() {
        [kind, width, height, levels, _] if kind == "P6" && levels == "255" => {
            Ok((side(width)?, side(height)?))
        }
        _ => Err(broken()),
    }
}

/// The frame rate in ffmpeg's messages: the first number before `fps`.
fn rate(messages: &str) -> Option<f32> {
    let before = &messages[..messages.find(" fps")?];
    let number = before.rsplit([' ', ',']).next()?;
    number.parse().ok().filter(|rate| (0.01..=1000.0).contains(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_follow_each_other() {
        let mut frames = Frames::of("x");
        let bytes = [b"P6\n2 1\n255\n\0\x01\x02\x03\x04\x05".as_slice(); 3].concat();
        take(bytes.as_slice(), "x", &mut frames).expect("these are pictures");
        let video = frames.video(Some(5.0)).expect("it is a video");
        assert_eq!((video.frames.len(), video.size()), (3, (2, 1)));
        assert_eq!(video.frames[2].data, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let all: [&[u8]; 5] = [
            b"P6\n2 1\n255\n\0",
            b"P5 1 1 255 \0",
            b"\n\n",
            b"P6 123456789 1 255 ",
            b"P6 0 1 255\n",
        ];
        for bytes in all {
            assert!(take(bytes, "x", &mut Frames::of("x")).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_rate_is_found_in_messages() {
        let message = "  Stream #0:0: Video: vp9, yuv420p, 640x360, 29.97 fps, 29.97 tbr, 1k tbn";
        assert_eq!(rate(message), Some(29.97));
        assert_eq!(rate("Video: png, 1k tbn"), None);
        assert_eq!(rate("0 fps"), None);
    }
}
