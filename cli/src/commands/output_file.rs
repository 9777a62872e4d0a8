//! Where a video goes, and how.

use std::collections::HashMap;
use std::path::PathBuf;

use musev::{Error, Format, Result, Video};
use serde_json::json;

use super::options::Output;
use crate::progress::Progress;

/// The file of a video.
pub(crate) struct OutputFile {
    /// The task's name.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    /// Width and height of its frames.
    pub(crate) size: (usize, usize),
    save_images: bool,
    /// Whether words are written onto the frames.
    pub(crate) write_info: bool,
    /// What the file says of itself.
    comment: String,
}

impl OutputFile {
    /// The file of the task `name`: the one that is asked for, or one called `stem` in the folder.
    pub(crate) fn new(
        output: &Output,
        name: &str,
        stem: impl FnOnce() -> String,
        size: (usize, usize),
        comment: String,
    ) -> Result<Self> {
        let (path, format) = match &output.output {
            Some(path) => (path.clone(), Format::from_extension(path)?),
            None => {
                let format = output.save_filetype;
                (output.output_dir.join(format!("{}.{}", stem(), format.extension())), format)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            path: musev::output_path(&path, format),
            format,
            size,
            save_images: output.save_images && format != Format::Png,
            write_info: output.write_info,
            comment,
        })
    }

    /// Whether all of `files` could be written where they belong.
    pub(crate) fn check<'a>(files: impl Iterator<Item = &'a Self>, output: &Output) -> Result<()> {
        if output.output.is_none() {
            let folder = &output.output_dir;
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        let mut names = HashMap::new();
        for (count, file) in files.enumerate() {
            if count > 0 && output.output.is_some() {
                let reason = "several videos do not fit one file; use output-dir";
                return Err(Error::request("output", reason));
            }
            // Names are made of beginnings: pictures and words may differ after these.
            if let Some(other) = names.insert(&file.path, &file.name) {
                let reason = format!(
                    "the videos of `{other}` and `{}` would both be {}; make them in runs of their \
                     own, or leave out --seed",
                    file.name,
                    file.path.display()
                );
                return Err(Error::request("output-dir", reason));
            }
            musev::check_output(&file.path, file.format, file.size)?;
            if file.save_images {
                musev::check_output(&file.path.with_extension(""), Format::Png, file.size)?;
            }
        }
        Ok(())
    }

    /// Whether the video was made earlier and is not to be made again; tells so.
    pub(crate) fn is_done(&self, output: &Output, progress: &mut Progress) -> bool {
        let is_done = output.output.is_none() && !output.overwrite && self.path.exists();
        if is_done {
            let path = self.path.display().to_string();
            progress.say(&format!("{path} is there already; --overwrite makes it again"));
            progress.tell(&json!({ "event": "skipped", "path": path }));
        }
        is_done
    }

    /// Writes `video`, which took `seconds`, and tells so.
    pub(crate) fn write(
        &self,
        mut video: Video,
        seconds: f64,
        progress: &mut Progress,
    ) -> Result<()> {
        video.comment = Some(self.comment.clone());
        if self.write_info {
            musev::write_info(&mut video, &self.name);
        }
        musev::write_video(&video, &self.path, self.format)?;
        if self.save_images {
            musev::write_video(&video, &self.path.with_extension(""), Format::Png)?;
        }
        let (path, frames) = (self.path.display().to_string(), video.frames.len());
        progress.say(&format!("{path}: {frames} frames in {seconds:.1} s"));
        progress.tell(&json!({
            "event": "done", "path": path, "frames": frames, "seconds": seconds,
        }));
        Ok(())
    }
}
