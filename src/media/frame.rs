//! Pictures and videos as plain 8-bit RGB.

use crate::error::{Error, Result};

/// A picture: 8-bit RGB, rows from top to bottom, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 · width · height` bytes.
    pub data: Vec<u8>,
}

impl Frame {
    /// A picture of `data`, three bytes a pixel, row by row.
    ///
    /// # Errors
    /// When a side is 0 or `data` is not `3 · width · height` bytes long.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if width == 0 || height == 0 || expected != Some(data.len()) {
            let reason = format!("{} bytes are no {width} x {height} RGB picture", data.len());
            return Err(Error::request("frame", reason));
        }
        Ok(Self { width, height, data })
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, data: color.repeat(width * height) }
    }

    /// The colour at column `x`, row `y`.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// Copies `tile` onto this picture, its upper left corner at column `x`, row `y`.
    ///
    /// # Panics
    /// When `tile` does not fit there.
    pub fn paste(&mut self, tile: &Frame, x: usize, y: usize) {
        assert!(x + tile.width <= self.width && y + tile.height <= self.height, "tile must fit");
        for (row, pixels) in tile.data.chunks_exact(3 * tile.width).enumerate() {
            let start = 3 * ((y + row) * self.width + x);
            self.data[start..start + pixels.len()].copy_from_slice(pixels);
        }
    }
}

/// Pictures of one size, shown one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// At least one picture; all of one size.
    pub frames: Vec<Frame>,
    /// Pictures a second.
    pub fps: f32,
    /// What a file of the video says of itself, for people and tools: its settings.
    pub comment: Option<String>,
}

impl Video {
    /// A video of `frames` at `fps` pictures a second.
    ///
    /// # Errors
    /// As [`Video::check`].
    pub fn new(frames: Vec<Frame>, fps: f32) -> Result<Self> {
        let video = Self { frames, fps, comment: None };
        video.check()?;
        Ok(video)
    }

    /// Whether this is a video that can be written.
    ///
    /// # Errors
    /// When there are no frames, their sizes differ or do not fit their data, or the frame rate
    /// is not between 0.01 and 1000.
    pub fn check(&self) -> Result<()> {
        let first = self.frames.first().ok_or_else(|| {
            Error::request("frames", "the video has no frames; at least one is needed")
        })?;
        let (width, height) = (first.width, first.height);
        for (index, frame) in self.frames.iter().enumerate() {
            let whole = frame.data.len() == 3 * width * height && !frame.data.is_empty();
            if (frame.width, frame.height) != (width, height) || !whole {
                let reason = format!(
                    "frame {index} is {} x {} in {} bytes; every frame has to be {width} x {height}",
                    frame.width,
                    frame.height,
                    frame.data.len()
                );
                return Err(Error::request("frames", reason));
            }
        }
        if !(0.01..=1000.0).contains(&self.fps) {
            let reason = format!("{} is not a frame rate between 0.01 and 1000", self.fps);
            return Err(Error::request("fps", reason));
        }
        Ok(())
    }

    /// How long each frame is shown, in units of which there are `units` in a second. The moments
    /// of change are rounded, not the durations, so that the error does not add up.
    pub fn durations(&self, units: f64) -> Vec<u32> {
        let moment = |index: usize| (index as f64 * units / f64::from(self.fps)).round();
        (0..self.frames.len()).map(|index| (moment(index + 1) - moment(index)) as u32).collect()
    }

    /// Width and height of the frames, `(0, 0)` without frames.
    pub fn size(&self) -> (usize, usize) {
        self.frames.first().map_or((0, 0), |frame| (frame.width, frame.height))
    }
}
