//! Bringing the clips from the npm registry.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use super::{caption, parse};
use crate::error::{Error, Result};
use crate::media::write_file;
use crate::training::files::{create_folder, remove_folder};

/// The packages that hold the clips, by name and version: Microsoft's Fluent emoji, MIT.
pub const PACKAGES: [&str; 4] = [
    "@lobehub/fluent-emoji-anim-1@1.0.0",
    "@lobehub/fluent-emoji-anim-2@1.0.0",
    "@lobehub/fluent-emoji-anim-3@1.0.0",
    "@lobehub/fluent-emoji-anim-4@1.0.0",
];

const CLIPS: &str = "clips";
const STILLS: &str = "stills";
/// Where packages lie until they are unpacked.
const DOWNLOAD: &str = ".download";
/// Far above the largest clip, which has 893 KB: a package is not ours if it is passed.
const MAX_CLIP: u64 = 1 << 24;
/// Lines of npm's messages that are passed on.
const NPM_LINES: usize = 4;

#[cfg(windows)]
const NPM: &str = "npm.cmd";
#[cfg(not(windows))]
const NPM: &str = "npm";

/// What [`fetch`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// The package is being downloaded.
    Downloading(&'static str),
    /// The package had been unpacked by an earlier run.
    Kept(&'static str),
    /// The package is unpacked.
    Unpacked(&'static str),
}

/// What lies in the folder after [`fetch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Fetched {
    /// Animated emoji, in `clips/`.
    pub clips: usize,
    /// Emoji that do not move, in `stills/`.
    pub stills: usize,
    /// Emoji that Unicode does not name as a whole, with captions put together from their parts.
    pub unnamed: usize,
}

/// Brings the clips into `folder` with the command `npm`, whose configuration says where from:
/// `clips/CODEPOINTS.webp`, the emoji that do not move in `stills/`, and beside each picture its
/// caption, `CODEPOINTS.txt`.
///
/// May be stopped and called again: files that are there are kept, also captions that were changed,
/// and no file is ever there in part.
///
/// # Errors
/// When npm is missing or fails, a package is not what it should be, or the disk refuses.
pub fn fetch(folder: &Path, tell: &mut dyn FnMut(FetchEvent)) -> Result<Fetched> {
    create_folder(folder)?;
    for package in PACKAGES {
        let done = folder.join(format!(".{}.done", file_stem(package)));
        if done.is_file() {
            tell(FetchEvent::Kept(package));
            continue;
        }
        tell(FetchEvent::Downloading(package));
        let download = folder.join(DOWNLOAD);
        remove_folder(&download)?;
        create_folder(&download)?;
        let brought = bring(package, &download, folder);
        remove_folder(&download)?;
        brought?;
        write_file(&done, b"")?;
        tell(FetchEvent::Unpacked(package));
    }
    write_captions(folder)
}

/// Writes the captions that are missing beside the pictures in `folder/clips` and `folder/stills`.
///
/// # Errors
/// When the disk refuses.
pub fn write_captions(folder: &Path) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    for (part, moves) in [(CLIPS, true), (STILLS, false)] {
        let part = folder.join(part);
        create_folder(&part)?;
        let read = |e| Error::io("read", &part, e);
        for entry in fs::read_dir(&part).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let stem = path.file_stem().and_then(OsStr::to_str);
            let Some(stem) = stem.filter(|_| path.extension() == Some(OsStr::new("webp"))) else {
                continue;
            };
            let caption = caption(stem, moves);
            let text = path.with_extension("txt");
            if !text.exists() {
                write_file(&text, format!("{}\n", caption.text).as_bytes())?;
            }
            *if moves { &mut fetched.clips } else { &mut fetched.stills } += 1;
            fetched.unnamed += usize::from(!caption.is_named);
        }
    }
    Ok(fetched)
}

/// `@lobehub/fluent-emoji-anim-1@1.0.0` as a file name.
fn file_stem(package: &str) -> String {
    package.trim_start_matches('@').replace(['/', '@'], "-")
}

/// Downloads `package` into `download` and unpacks it to `folder`.
fn bring(package: &str, download: &Path, folder: &Path) -> Result<()> {
    let archive = pack(package, download)?;
    let file = fs::File::open(&archive).map_err(|e| Error::io("read", &archive, e))?;
    unpack(package, file, folder)?;
    Ok(())
}

/// Lets npm bring `package` into `folder`; where its archive lies.
fn pack(package: &str, folder: &Path) -> Result<PathBuf> {
    let output = Command::new(NPM)
        .args(["pack", "--loglevel=error", package])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                let reason = format!(
                    "the command npm, which brings the package {package}, was not found; install \
                     Node.js and see that npm --version works"
                );
                Error::request("fetch", reason)
            }
            _ => Error::io("run", NPM, e),
        })?;
    let archives = fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let archive = archives
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension() == Some(OsStr::new("tgz")));
    match archive {
        Some(archive) if output.status.success() => Ok(archive),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: Vec<&str> = said
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .take(NPM_LINES)
                .collect();
            let reason = format!(
                "npm could not bring the package {package} ({}); see that this machine is online \
                 and npm config get registry names a registry that has it, then start again: what \
                 is there is kept",
                if said.is_empty() { "it gave no reason".to_owned() } else { said.join("; ") }
            );
            Err(Error::request("fetch", reason))
        }
    }
}

/// Lays the pictures of an npm archive out in `folder`; how many there are.
///
/// # Errors
/// When the archive is damaged or holds none, or the disk refuses.
pub fn unpack(package: &str, archive: impl Read, folder: &Path) -> Result<usize> {
    let damaged = |why: &dyn std::fmt::Display| {
        Error::media(package, format!("is no whole npm package: {why}; fetch it again"))
    };
    for part in [CLIPS, STILLS] {
        create_folder(&folder.join(part))?;
    }
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut count = 0;
    for entry in archive.entries().map_err(|e| damaged(&e))? {
        let mut entry = entry.map_err(|e| damaged(&e))?;
        let path = entry.path().map_err(|e| damaged(&e))?.into_owned();
        let stem = path.file_stem().and_then(OsStr::to_str).map(str::to_owned);
        // Only such names become files, so that none leads out of the folder.
        let is_emoji = path.starts_with("package/assets")
            && path.extension() == Some(OsStr::new("webp"))
            && stem.as_deref().is_some_and(|stem| parse(stem).is_some());
        let Some(stem) = stem.filter(|_| is_emoji && entry.header().entry_type().is_file()) else {
            continue;
        };
        if entry.size() > MAX_CLIP {
            return Err(damaged(&format!("{stem}.webp has {} bytes", entry.size())));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
        let part = if is_animated(&bytes) { CLIPS } else { STILLS };
        let target = folder.join(part).join(format!("{stem}.webp"));
        if !target.exists() {
            write_file(&target, &bytes)?;
        }
        count += 1;
    }
    if count == 0 {
        return Err(damaged(&"it holds no emoji"));
    }
    Ok(count)
}

/// Whether a WebP file has frames.
fn is_animated(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|name| name == b"ANMF")
}
