//! Writing videos to disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::staging::Staged;
use super::{Format, Video, encode, png};
use crate::error::{Error, Result};

/// Writes `video` to `path`, whole or not at all: into a temporary name in the same folder, which
/// is renamed at the end. An older file of that name is replaced; so is an older folder of frames.
///
/// With [`Format::Png`] a folder is written (see [`output_path`]) that holds `0000.png` and so on.
///
/// # Errors
/// When the video is not valid or does not fit the format, or the disk refuses; `path` is then as
/// it was.
pub fn write(video: &Video, path: &Path, format: Format) -> Result<()> {
    let target = output_path(path, format);
    check_target(&target, format)?;
    let staged = Staged::new(&target)?;
    if format == Format::Png {
        video.check()?;
        fs::create_dir(staged.path()).map_err(|e| staged.error(e))?;
        for (index, frame) in video.frames.iter().enumerate() {
            let bytes = png::encode(frame)?;
            let file = staged.path().join(png::file_name(index));
            fs::write(file, bytes).map_err(|e| staged.error(e))?;
        }
        replace_folder(&target, staged)
    } else {
        let bytes = encode(video, format)?;
        fs::write(staged.path(), bytes).map_err(|e| staged.error(e))?;
        staged.commit()
    }
}

/// Writes a file of `bytes`, whole or not at all; an older one is replaced.
///
/// # Errors
/// When something else than a file is there, or the disk refuses; `path` is then as it was.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    check_replaceable(path)?;
    let staged = Staged::new(path)?;
    fs::write(staged.path(), bytes).map_err(|e| staged.error(e))?;
    staged.commit()
}

/// Where [`write()`] puts a video: `path`, or for [`Format::Png`] the folder of that name without
/// the extension `.png`.
pub fn output_path(path: &Path, format: Format) -> PathBuf {
    let is_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if format == Format::Png && is_png { path.with_extension("") } else { path.to_owned() }
}

/// Whether a video of `size` (width, height) could be written to `path`, tried before hours are
/// spent on making it: the format can hold it, the folder exists and takes new files.
///
/// # Errors
/// What [`write()`] would fail with.
pub fn check_output(path: &Path, format: Format, size: (usize, usize)) -> Result<()> {
    format.check_size(size.0, size.1)?;
    let target = output_path(path, format);
    check_target(&target, format)?;
    check_room(&target)
}

/// Whether a file could be written to `path`, tried before it is made: the folder exists and takes
/// new files, and nothing but a file would be replaced.
///
/// # Errors
/// When not.
pub fn check_file(path: &Path) -> Result<()> {
    check_replaceable(path)?;
    check_room(path)
}

/// Refuses a place in a folder that is not there or takes no new files.
fn check_room(target: &Path) -> Result<()> {
    let staged = Staged::new(target)?;
    fs::write(staged.path(), []).map_err(|e| staged.error(e))
}

/// Refuses targets that would destroy something else than an earlier result.
fn check_target(target: &Path, format: Format) -> Result<()> {
    if format != Format::Png {
        return check_replaceable(target);
    }
    let reason = match existing(target)? {
        Some(metadata) if !metadata.is_dir() => "is a file; a folder is to be written there",
        Some(_) if !holds_only_frames(target)? => {
            "is a folder with other files than frames (0000.png, ...); empty it or choose another"
        }
        _ => return Ok(()),
    };
    Err(Error::media(target, reason))
}

/// Refuses to replace something else than a file.
fn check_replaceable(target: &Path) -> Result<()> {
    let reason = match existing(target)? {
        Some(metadata) if metadata.is_dir() => "is a folder; name a file in it",
        Some(metadata) if !metadata.is_file() => {
            "is no ordinary file; name one that may be replaced"
        }
        _ => return Ok(()),
    };
    Err(Error::media(target, reason))
}

/// What is at `target`, if anything is.
fn existing(target: &Path) -> Result<Option<fs::Metadata>> {
    match fs::metadata(target) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("write", target, e)),
    }
}

fn holds_only_frames(folder: &Path) -> Result<bool> {
    let read = |e| Error::io("read", folder, e);
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".png"));
        let is_frame = number
            .is_some_and(|number| number.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit()));
        if !is_frame {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts the staged folder in the place of an older one, which is brought back if that fails.
pub(crate) fn replace_folder(target: &Path, staged: Staged) -> Result<()> {
    if !target.exists() {
        return staged.commit();
    }
    let old = Staged::new(target)?;
    fs::rename(target, old.path()).map_err(|e| old.error(e))?;
    let done = staged.commit();
    if done.is_err() {
        return old.commit().and(done);
    }
    done
}
