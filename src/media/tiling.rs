//! Several videos side by side.

use super::{Frame, Video};
use crate::error::{Error, Result};

/// Rows and columns of a grid of `count` tiles in at most `columns` columns, evened out so that
/// the last row is as full as possible: four tiles in at most three columns make two by two.
pub fn grid_shape(count: usize, columns: usize) -> (usize, usize) {
    let rows = count.div_ceil(columns.max(1)).max(1);
    (rows, count.div_ceil(rows))
}

/// The videos as tiles of one video, row by row, in at most `columns` columns; places left over
/// are black.
///
/// # Errors
/// When there is no video, or the videos differ in frame size, length or frame rate.
pub fn grid(videos: &[Video], columns: usize) -> Result<Video> {
    let first = videos
        .first()
        .ok_or_else(|| Error::request("videos", "a grid needs at least one video"))?;
    for (index, video) in videos.iter().enumerate() {
        video.check()?;
        let same = video.size() == first.size()
            && video.frames.len() == first.frames.len()
            && video.fps == first.fps;
        if !same {
            let reason = format!(
                "video {index} differs from video 0 in size, length or frame rate; \
                 a grid needs equal ones"
            );
            return Err(Error::request("videos", reason));
        }
    }
    let (rows, columns) = grid_shape(videos.len(), columns);
    let (width, height) = first.size();
    let tiled = |index: usize| {
        let mut canvas = Frame::filled(columns * width, rows * height, [0; 3]);
        for (tile, video) in videos.iter().enumerate() {
            canvas.paste(&video.frames[index], tile % columns * width, tile / columns * height);
        }
        canvas
    };
    Video::new((0..first.frames.len()).map(tiled).collect(), first.fps)
}
