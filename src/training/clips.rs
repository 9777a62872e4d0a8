//! The clips of a run: read once, kept as raw frames of one size in a file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use md5::{Digest, Md5};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Told;
use super::config::DataConfig;
use super::draw::Draw;
use super::files::{create_folder, remove_file, write_json};
use super::views::mirrored;
use crate::error::{Error, Result};
use crate::media::{Filter, Frame, Staged, crop_resize, read_video};
use crate::training::emoji;

/// Clips that are read before any of them is written.
const AT_ONCE: usize = 32;

/// Words of captions that a mirrored picture would contradict: sides, and what is read from left to
/// right or by where its hands point. `o'clock` is the words `o` and `clock` here.
const ONE_SIDED: [&str; 12] = [
    "clock", "clocks", "digit", "digits", "left", "letter", "letters", "number", "numbers",
    "right", "text", "word",
];

/// A clip of the set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Clip {
    /// File name without its ending.
    pub(super) name: String,
    /// What it shows; not part of the index, since it may be edited while the frames stay.
    #[serde(skip)]
    pub(super) caption: String,
    /// Where its first frame stands among all frames of the set.
    pub(super) first: usize,
    /// Number of its frames.
    pub(super) frames: usize,
    /// Frames a second, after those left out.
    pub(super) fps: f32,
}

/// All clips of a folder.
pub(super) struct Clips {
    /// In order of their names.
    pub(super) clips: Vec<Clip>,
    /// Side of the frames in pixels.
    pub(super) size: usize,
    /// Places in `clips` of those that are trained on.
    pub(super) training: Vec<usize>,
    /// Places in `clips` of the others.
    pub(super) held_out: Vec<usize>,
    /// Whether half of what is trained on is mirrored.
    pub(super) mirror: bool,
    frames: Mutex<File>,
    path: PathBuf,
}

/// What the file of frames was made from.
#[derive(PartialEq, Serialize, Deserialize)]
struct Key {
    folder: PathBuf,
    /// The [`fingerprint`] of the clips.
    files: String,
    size: usize,
    keep_every: usize,
    max_frames: usize,
}

#[derive(Serialize, Deserialize)]
struct Index {
    key: Key,
    clips: Vec<Clip>,
}

impl Clips {
    /// Opens the clips that `config` names; reads them first if that was not done yet. `told`
    /// hears how many of how many are read.
    ///
    /// # Errors
    /// When the folder has no clip, a file cannot be read or written, or `told` wants no more.
    pub(super) fn open(config: &DataConfig, told: &mut Told) -> Result<Self> {
        let paths = clip_paths(config)?;
        // Before the frames, which take long: a missing caption is told at once.
        let captions = paths.iter().map(|path| read_caption(path)).collect::<Result<Vec<_>>>()?;
        let path = config.cache.join("frames.bin");
        let mut clips = indexed(&paths, config, &path, told)?;
        for (clip, caption) in clips.iter_mut().zip(captions) {
            clip.caption = caption;
        }
        let held = match &config.held_out {
            Some(list) => read_list(list)?,
            None => HashSet::new(),
        };
        let is_held =
            |clip: &Clip| held.contains(&clip.name) || held.contains(&emoji::base(&clip.name));
        let (held_out, training): (Vec<usize>, Vec<usize>) =
            (0..clips.len()).partition(|&i| is_held(&clips[i]));
        if training.is_empty() {
            let reason = "has no clip to train on: all are held out".to_owned();
            return Err(Error::config(config.folder.display().to_string(), reason));
        }
        let frames = File::open(&path).map_err(|e| Error::io("read", &path, e))?;
        let (size, mirror) = (config.size, config.mirror);
        Ok(Self { clips, size, training, held_out, mirror, frames: Mutex::new(frames), path })
    }

    /// Frames of all clips together.
    pub(super) fn total_frames(&self) -> usize {
        self.clips.last().map_or(0, |clip| clip.first + clip.frames)
    }

    /// `count` frames from the one that stands at `first` among all.
    ///
    /// # Errors
    /// When the file of frames cannot be read.
    pub(super) fn read(&self, first: usize, count: usize) -> Result<Vec<Frame>> {
        let bytes = 3 * self.size * self.size;
        let mut data = vec![0; count * bytes];
        let mut file = self.frames.lock().expect("no reader panics");
        file.seek(SeekFrom::Start((first * bytes) as u64))
            .and_then(|_| file.read_exact(&mut data))
            .map_err(|error| Error::io("read", &self.path, error))?;
        let frame = |data: &[u8]| Frame { width: self.size, height: self.size, data: data.into() };
        Ok(data.chunks_exact(bytes).map(frame).collect())
    }

    /// The place in `clips` of the one with the frame that stands at `frame` among all.
    pub(super) fn clip_of(&self, frame: usize) -> usize {
        self.clips.partition_point(|clip| clip.first + clip.frames <= frame)
    }

    /// Whether `clip` may be mirrored.
    pub(super) fn may_mirror(&self, clip: &Clip) -> bool {
        self.mirror && !is_one_sided(&clip.caption)
    }

    /// Single frames of clips that are trained on, some of them mirrored.
    pub(super) fn pictures(&self, count: usize, draw: &mut Draw) -> Result<Vec<Frame>> {
        (0..count)
            .map(|_| {
                let clip = &self.clips[self.training[draw.below(self.training.len())]];
                let frame = self.read(clip.first + draw.below(clip.frames), 1)?.remove(0);
                let mirror = self.may_mirror(clip) && draw.happens(0.5);
                Ok(if mirror { mirrored(frame) } else { frame })
            })
            .collect()
    }
}

/// The clips of the folder, by name: everything but captions and hidden files.
fn clip_paths(config: &DataConfig) -> Result<Vec<PathBuf>> {
    let folder = &config.folder;
    let mut paths = sorted_entries(folder)?;
    paths.retain(|path| {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_none_or(|extension| extension != "txt")
    });
    paths.truncate(config.max_clips.unwrap_or(usize::MAX));
    if paths.is_empty() {
        let reason = "has no clips; WebP, GIF or MP4 files, or folders of pictures, are expected";
        return Err(Error::media(folder, reason));
    }
    Ok(paths)
}

/// What is in `folder`, by name.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("read", folder, error);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// A hash of the clips' names and sizes, which tells when one was replaced. Not of their times: a
/// copied folder has new ones, and decoding it anew takes long.
fn fingerprint(paths: &[PathBuf]) -> Result<String> {
    let mut hash = Md5::new();
    let mut add = |path: &Path, bytes: u64| {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        // No file name has a NUL.
        hash.update([0]);
        hash.update(bytes.to_le_bytes());
    };
    for path in paths {
        let metadata =
            |path: &Path| std::fs::metadata(path).map_err(|e| Error::io("read", path, e));
        let clip = metadata(path)?;
        if clip.is_file() {
            add(path, clip.len());
            continue;
        }
        // What a folder's own size is depends on the file system.
        add(path, 0);
        for picture in sorted_entries(path)? {
            add(&picture, metadata(&picture)?.len());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The caption beside the clip at `path`.
fn read_caption(path: &Path) -> Result<String> {
    let path = path.with_extension("txt");
    let caption = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    Ok(caption.trim().to_owned())
}

/// Whether the mirrored picture would not be what `caption` says.
fn is_one_sided(caption: &str) -> bool {
    let mut words = caption.split(|c: char| !c.is_alphabetic());
    words.any(|word| ONE_SIDED.iter().any(|one_sided| word.eq_ignore_ascii_case(one_sided)))
}

/// The clips at `paths`, without captions, and where their frames stand in the file `frames`; reads
/// them first if that was not done yet.
fn indexed(
    paths: &[PathBuf],
    config: &DataConfig,
    frames: &Path,
    told: &mut Told,
) -> Result<Vec<Clip>> {
    let index_path = config.cache.join("frames.json");
    let key = Key {
        folder: config.folder.clone(),
        files: fingerprint(paths)?,
        size: config.size,
        keep_every: config.keep_every,
        max_frames: config.max_frames,
    };
    let fits = |index: &Index| index.key == key && index.clips.len() == paths.len();
    if let Some(index) = read_index(&index_path).filter(fits)
        && frames.is_file()
    {
        return Ok(index.clips);
    }
    create_folder(&config.cache)?;
    // While the frames are replaced there is no index of them. Latents of the old ones (`latents.rs`)
    // may look like those of the new ones: it compares a few.
    remove_file(&index_path)?;
    remove_file(&config.cache.join("latents.bin"))?;
    let clips = decode_all(paths, config, frames, told)?;
    let index = Index { key, clips };
    write_json(&index_path, &index)?;
    Ok(index.clips)
}

/// The index at `path`; none if it is not there or was written in another form.
fn read_index(path: &Path) -> Option<Index> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// The names in a list, one a line; what follows a `#` does not count.
fn read_list(path: &Path) -> Result<HashSet<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let name = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    Ok(text.lines().map(name).filter(|name| !name.is_empty()).collect())
}

/// Reads every clip, writes its frames to `target` and returns where they stand.
fn decode_all(
    paths: &[PathBuf],
    config: &DataConfig,
    target: &Path,
    told: &mut Told,
) -> Result<Vec<Clip>> {
    let staged = Staged::new(target)?;
    let failed = |error| staged.error(error);
    let mut file = BufWriter::new(File::create(staged.path()).map_err(failed)?);
    let mut clips: Vec<Clip> = Vec::with_capacity(paths.len());
    let mut first = 0;
    for group in paths.chunks(AT_ONCE) {
        let decoded: Vec<(Clip, Vec<Frame>)> =
            group.par_iter().map(|path| decode(path, config)).collect::<Result<_>>()?;
        for (mut clip, frames) in decoded {
            clip.first = first;
            first += clip.frames;
            for frame in frames {
                file.write_all(&frame.data).map_err(failed)?;
            }
            clips.push(clip);
        }
        told(clips.len(), paths.len())?;
    }
    file.flush().map_err(failed)?;
    drop(file);
    staged.commit()?;
    Ok(clips)
}

/// One clip without its caption, its frames square and of the set's size.
fn decode(path: &Path, config: &DataConfig) -> Result<(Clip, Vec<Frame>)> {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let video = read_video(path, background(&name))?;
    let fps = video.fps / config.keep_every as f32;
    let frames: Vec<Frame> = video
        .frames
        .iter()
        .step_by(config.keep_every)
        .take(config.max_frames)
        .map(|frame| crop_resize(frame, config.size, config.size, Filter::Lanczos))
        .collect();
    let caption = String::new();
    Ok((Clip { name, caption, first: 0, frames: frames.len(), fps }, frames))
}

/// What shows through a clip's transparent parts: one plain colour for each clip, mostly light.
fn background(name: &str) -> [u8; 3] {
    const COLOURS: [[u8; 3]; 12] = [
        [255, 255, 255],
        [255, 255, 255],
        [255, 255, 255],
        [240, 240, 240],
        [200, 205, 210],
        [128, 128, 128],
        [20, 20, 24],
        [250, 236, 215],
        [214, 232, 250],
        [220, 245, 224],
        [252, 222, 232],
        [60, 80, 120],
    ];
    COLOURS[usize::from(Md5::digest(name)[0]) % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::media::{Format, Video, encode};

    #[test]
    fn captions_are_those_of_now() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clips");
        fs::create_dir(&folder).unwrap();
        for name in ["a.gif", "b.gif"] {
            let video = Video::new(vec![Frame::filled(8, 8, [9; 3]); 2], 8.0).unwrap();
            fs::write(folder.join(name), encode(&video, Format::Gif).unwrap()).unwrap();
        }
        let config = DataConfig {
            folder: folder.clone(),
            held_out: None,
            cache: root.path().join("cache"),
            size: 8,
            keep_every: 1,
            max_frames: 2,
            max_clips: None,
            mirror: true,
        };
        let mut reads = 0;
        for b in ["a box", "the letter b"] {
            fs::write(folder.join("a.txt"), "a ball\n").unwrap();
            fs::write(folder.join("b.txt"), b).unwrap();
            let mut told = |_, _| {
                reads += 1;
                Ok(())
            };
            let clips = Clips::open(&config, &mut told).unwrap();
            let captions: Vec<_> = clips.clips.iter().map(|clip| clip.caption.as_str()).collect();
            assert_eq!(captions, ["a ball", b]);
        }
        assert_eq!(reads, 1, "the frames are kept");
    }

    #[test]
    fn what_a_mirror_would_contradict_is_one_sided() {
        for caption in [
            "a hand pointing to the left",
            "Right hand, waving",
            "a clock showing nine o'clock, turning its hands",
            "a clock showing two thirty, turning its hands",
            "nine o\u{2019}clock",
            "three sleepy letters z, floating and growing",
            "the number one hundred in red, counting up",
        ] {
            assert!(is_one_sided(caption), "{caption}");
        }
        for caption in ["", "a hand, waving", "a bright cat, leftover", "a signed clockwork"] {
            assert!(!is_one_sided(caption), "{caption}");
        }
    }
}
