//! Canny's edges (Canny 1986, doi:10.1109/TPAMI.1986.4767851), to the bit as OpenCV finds them.

use super::{Resolutions, at_resolutions};
use crate::media::Frame;

/// tan 22.5 degrees, as OpenCV has it.
const TAN_22: i32 = 13_573;
/// Fractional bits of [`TAN_22`].
const SHIFT: u32 = 15;

/// White edges, one pixel wide, on black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canny {
    /// Slopes up to this are no edges. Default 100.
    pub low: i32,
    /// Edges begin where the slope is above this. Default 200.
    pub high: i32,
    /// The sizes it works at.
    pub resolutions: Resolutions,
}

impl Default for Canny {
    fn default() -> Self {
        Self { low: 100, high: 200, resolutions: Resolutions::default() }
    }
}

impl Canny {
    /// The edges of `frame` at the detector's resolutions.
    pub(super) fn detect(&self, frame: &Frame) -> Frame {
        at_resolutions(frame, self.resolutions, |seen| self.edges(seen))
    }

    /// The edges of `frame`, white, at its own size.
    pub fn edges(&self, frame: &Frame) -> Frame {
        let slopes = Slopes::of(frame);
        let (width, height) = (frame.width, frame.height);
        let mut edge = vec![Edge::No; width * height];
        let mut sure = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let strength = slopes.strength(x as isize, y as isize);
                if strength > self.low && slopes.is_crest(x, y) {
                    let at = y * width + x;
                    edge[at] = Edge::Weak;
                    if strength > self.high {
                        edge[at] = Edge::Sure;
                        sure.push((x, y));
                    }
                }
            }
        }
        while let Some((x, y)) = sure.pop() {
            for near_y in y.saturating_sub(1)..(y + 2).min(height) {
                for near_x in x.saturating_sub(1)..(x + 2).min(width) {
                    let at = near_y * width + near_x;
                    if edge[at] == Edge::Weak {
                        edge[at] = Edge::Sure;
                        sure.push((near_x, near_y));
                    }
                }
            }
        }
        let white = |edge: &Edge| [if *edge == Edge::Sure { 255 } else { 0 }; 3];
        Frame { width, height, data: edge.iter().flat_map(white).collect() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    No,
    /// An edge if it touches a sure one.
    Weak,
    Sure,
}

/// The slope of brightness at every pixel: of the channel in which it is steepest.
struct Slopes {
    width: usize,
    height: usize,
    /// Along x and along y.
    slopes: Vec<(i32, i32)>,
}

impl Slopes {
    /// Sobel's operator, 3 x 3, with the border repeated.
    fn of(frame: &Frame) -> Self {
        let (width, height) = (frame.width, frame.height);
        let mut slopes = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
            for x in 0..width {
                let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
                let mut steepest = (0, 0);
                for channel in 0..3 {
                    let level = |column: usize, row: usize| {
                        i32::from(frame.data[3 * (rows[row] * width + columns[column]) + channel])
                    };
                    let along_x = |row| level(2, row) - level(0, row);
                    let along_y = |column| level(column, 2) - level(column, 0);
                    let slope = (
                        along_x(0) + 2 * along_x(1) + along_x(2),
                        along_y(0) + 2 * along_y(1) + along_y(2),
                    );
                    if strength(slope) > strength(steepest) {
                        steepest = slope;
                    }
                }
                slopes.push(steepest);
            }
        }
        Self { width, height, slopes }
    }

    /// How steep it is at `(x, y)`; outside of the picture it is flat.
    fn strength(&self, x: isize, y: isize) -> i32 {
        match (usize::try_from(x), usize::try_from(y)) {
            (Ok(x), Ok(y)) if x < self.width && y < self.height => {
                strength(self.slopes[y * self.width + x])
            }
            _ => 0,
        }
    }

    /// Whether it is steeper at `(x, y)` than on either side across the edge. Of two equal
    /// neighbours along a row or column the first counts.
    fn is_crest(&self, x: usize, y: usize) -> bool {
        let (along_x, along_y) = self.slopes[y * self.width + x];
        let here = strength((along_x, along_y));
        let (x, y) = (x as isize, y as isize);
        let near = |dx: isize, dy: isize| self.strength(x + dx, y + dy);
        let tan_22 = along_x.abs() * TAN_22;
        let rise = along_y.abs() << SHIFT;
        if rise < tan_22 {
            return here > near(-1, 0) && here >= near(1, 0);
        }
        // tan 67.5 degrees is tan 22.5 degrees and 2.
        if rise > tan_22 + (along_x.abs() << (SHIFT + 1)) {
            return here > near(0, -1) && here >= near(0, 1);
        }
        let side = if (along_x ^ along_y) < 0 { -1 } else { 1 };
        here > near(-side, -1) && here > near(side, 1)
    }
}

fn strength((along_x, along_y): (i32, i32)) -> i32 {
    along_x.abs() + along_y.abs()
}
