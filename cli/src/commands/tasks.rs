//! The tasks of a run, and what each of its videos draws from chance.

use std::path::{Path, PathBuf};

use musev::{Result, Task, TaskFile, TaskImages};
use serde_json::json;

use super::options::Input;
use crate::progress::Progress;

/// The largest seed that is taken when none is given: the original's.
const LARGEST_RANDOM_SEED: u64 = 100_000_000;

/// The tasks of the task file that were asked for, or the one that the options describe, which is
/// called like its `video` or else its first picture.
pub(crate) fn tasks(input: &Input, video: Option<&Path>) -> Result<Vec<Task>> {
    if let Some(file) = &input.tasks {
        return TaskFile::open(file)?.select(&input.target_datas);
    }
    let named_after = video.or(input.image.first().map(PathBuf::as_path));
    Ok(vec![Task {
        name: named_after.map_or_else(|| "prompt".to_owned(), stem),
        prompt: input.prompt.clone().unwrap_or_default(),
        images: TaskImages { condition_images: input.image.clone(), ..TaskImages::default() },
        ..Task::default()
    }])
}

/// Tells why no task was found, with the names there are.
pub(crate) fn tell_nothing_matched(input: &Input, progress: &mut Progress) -> Result<()> {
    let names = match &input.tasks {
        Some(file) => TaskFile::open(file)?.names(),
        None => Vec::new(),
    };
    let (wanted, known) = (&input.target_datas, names.join(", "));
    let message = format!("target-datas: no task is called {wanted}; the file has {known}");
    progress.tell(&json!({ "event": "error", "message": message }));
    progress.say(&format!("musev: {message}"));
    Ok(())
}

/// The pictures that a task begins with, unless they are left out.
pub(crate) fn condition_images<'a>(task: &'a Task, input: &Input) -> &'a [PathBuf] {
    if input.no_condition_image { &[] } else { &task.images.condition_images }
}

/// The seed of the repetition `repeat`: of the one that is `given`, or one that nobody can foresee,
/// as far as one process needs it: the keys of the standard library's hash maps are drawn from the
/// system.
pub(crate) fn seed(given: Option<u64>, repeat: u32) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    match given {
        Some(seed) => seed.wrapping_add(u64::from(repeat)),
        None => RandomState::new().hash_one(0) % (LARGEST_RANDOM_SEED + 1),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
