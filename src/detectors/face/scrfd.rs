//! SCRFD: faces from three grids of two guesses a cell.
//!
//! Sample and Computation Redistribution for Efficient Face Detection,
//! <https://arxiv.org/abs/2105.04714>; steps and values as in InsightFace 0.7.

use super::Face;
use super::network::Network;
use super::opencv;
use crate::error::Result;
use crate::media::Frame;

/// Scores, boxes and key points, each of three grids.
pub(super) const OUTPUTS: usize = 9;
/// Side of the picture that the network sees.
const SIDE: usize = 640;
/// What the pixels are divided by.
const SCALE: f32 = 128.0;
/// Pixels of a cell of each grid.
const STRIDES: [usize; 3] = [8, 16, 32];
/// Guesses a cell.
const GUESSES: usize = 2;
/// The least score of a face.
const THRESHOLD: f32 = 0.5;
/// Of two faces that share more of their area than this, the surer one stays.
const MOST_SHARED: f32 = 0.4;

/// The faces in `frame`, the surest first.
///
/// # Errors
/// When `network` is another one.
pub(super) fn detect(network: &Network, frame: &Frame) -> Result<Vec<Face>> {
    let (picture, scale) = letterbox(frame);
    let outputs = network.run(&picture, SCALE)?;
    let mut faces = Vec::new();
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let grid = Grid {
            stride,
            scores: &outputs[level],
            boxes: &outputs[level + STRIDES.len()],
            points: &outputs[level + 2 * STRIDES.len()],
        };
        if !grid.is_sound() {
            let reason = format!("gives another number of guesses for cells of {stride} pixels");
            return Err(network.wrong(&reason));
        }
        faces.extend(grid.faces());
    }
    faces.iter_mut().for_each(|face| face.divide(scale));
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(without_doubles(faces))
}

/// `frame` as large as it fits, in the upper left corner of a black square; and how much larger it
/// is than before.
fn letterbox(frame: &Frame) -> (Frame, f32) {
    let ratio = frame.height as f64 / frame.width as f64;
    let (width, height) = if ratio > 1.0 {
        ((SIDE as f64 / ratio) as usize, SIDE)
    } else {
        (SIDE, (SIDE as f64 * ratio) as usize)
    };
    // A strip that is 640 times longer than wide would get no pixel across.
    let resized = opencv::resize_linear(frame, width.max(1), height.max(1));
    let mut square = Frame::filled(SIDE, SIDE, [0; 3]);
    square.paste(&resized, 0, 0);
    (square, (resized.height as f64 / frame.height as f64) as f32)
}

/// What the network says of one grid.
struct Grid<'a> {
    stride: usize,
    scores: &'a [f32],
    /// Distances to the four sides, in cells.
    boxes: &'a [f32],
    /// Distances to the five points, in cells.
    points: &'a [f32],
}

impl Grid<'_> {
    fn cells(&self) -> usize {
        SIDE / self.stride
    }

    fn is_sound(&self) -> bool {
        let guesses = GUESSES * self.cells() * self.cells();
        let lengths = [self.scores.len(), self.boxes.len(), self.points.len()];
        lengths == [guesses, 4 * guesses, 10 * guesses]
    }

    /// The guesses that are faces, in pixels of the square.
    fn faces(&self) -> impl Iterator<Item = Face> {
        let sure = self.scores.iter().enumerate().filter(|(_, score)| **score >= THRESHOLD);
        sure.map(|(index, &score)| {
            let (cell, stride) = (index / GUESSES, self.stride as f32);
            let [x, y] = [cell % self.cells(), cell / self.cells()].map(|at| at as f32 * stride);
            let distance = |at: usize| self.boxes[4 * index + at] * stride;
            let point = |at: usize| {
                let [dx, dy] = [0, 1].map(|axis| self.points[10 * index + 2 * at + axis] * stride);
                [x + dx, y + dy]
            };
            Face {
                bounds: [x - distance(0), y - distance(1), x + distance(2), y + distance(3)],
                score,
                points: [0, 1, 2, 3, 4].map(point),
            }
        })
    }
}

impl Face {
    fn divide(&mut self, scale: f32) {
        self.bounds.iter_mut().chain(self.points.as_flattened_mut()).for_each(|x| *x /= scale);
    }

    /// Width times height, of pixels counted whole.
    fn area(&self) -> f32 {
        let [left, top, right, bottom] = self.bounds;
        (right - left + 1.0) * (bottom - top + 1.0)
    }

    /// The share of the area of both that both cover.
    fn shared(&self, other: &Face) -> f32 {
        let (a, b) = (self.bounds, other.bounds);
        let width = (a[2].min(b[2]) - a[0].max(b[0]) + 1.0).max(0.0);
        let height = (a[3].min(b[3]) - a[1].max(b[1]) + 1.0).max(0.0);
        let common = width * height;
        common / (self.area() + other.area() - common)
    }
}

/// `faces`, the surest first, without those that are one that is there already.
fn without_doubles(faces: Vec<Face>) -> Vec<Face> {
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|surer| surer.shared(&face) <= MOST_SHARED) {
            kept.push(face);
        }
    }
    kept
}
