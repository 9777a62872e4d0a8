//! Cropping and resizing as the original does it.

use super::{Filter, Frame, resize};

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

/// Side of the pictures CLIP's vision tower sees.
pub const CLIP_SIZE: usize = 224;
/// Mean colour of CLIP's training pictures (OpenAI CLIP, `preprocessor_config.json`).
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of CLIP's training pictures.
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// The centred part of a `width x height` picture that has the shape of `target_width x
/// target_height`.
///
/// As in the original the last column or row is lost where the part spans a whole side: there the
/// exclusive bound is clamped to the last index. A part is never empty.
pub fn centre_crop(width: usize, height: usize, target_width: usize, target_height: usize) -> Rect {
    let (w, h) = (width as f64, height as f64);
    let (tw, th) = (target_width as f64, target_height as f64);
    let (mut x1, mut x2) = (0.0, w - 1.0);
    let (mut y1, mut y2) = (0.0, h - 1.0);
    if w / h >= tw / th {
        let margin = (w - h * tw / th) / 2.0;
        (x1, x2) = (margin.ceil(), (w - margin).ceil());
    } else {
        let margin = (h - w * th / tw) / 2.0;
        (y1, y2) = (margin.ceil(), (h - margin).ceil());
    }
    let (x, columns) = span(x1, x2, width);
    let (y, rows) = span(y1, y2, height);
    Rect { x, y, width: columns, height: rows }
}

/// Start and length of `[from, to)` clamped to `0..length - 1`, but never empty.
fn span(from: f64, to: f64, length: usize) -> (usize, usize) {
    let last = length.saturating_sub(1);
    let start = (from.max(0.0) as usize).min(last);
    let end = (to.max(0.0) as usize).min(last);
    (start, end.saturating_sub(start).max(1))
}

/// The part `rect` of a picture.
///
/// # Panics
/// When `rect` reaches out of the picture.
pub fn crop(frame: &Frame, rect: Rect) -> Frame {
    assert!(
        rect.x + rect.width <= frame.width && rect.y + rect.height <= frame.height,
        "a crop of {rect:?} must lie inside {} x {}",
        frame.width,
        frame.height
    );
    let rows = frame.data.chunks_exact(3 * frame.width).skip(rect.y).take(rect.height);
    let data = rows.flat_map(|row| &row[3 * rect.x..3 * (rect.x + rect.width)]).copied().collect();
    Frame { width: rect.width, height: rect.height, data }
}

/// The centred part of the picture at `width x height`: how condition, reference and image-prompt
/// pictures are prepared (the original's second version, which resizes 8-bit pictures).
pub fn crop_resize(frame: &Frame, width: usize, height: usize, filter: Filter) -> Frame {
    let part = crop(frame, centre_crop(frame.width, frame.height, width, height));
    resize(&part, width, height, filter)
}

/// The centred part of a video frame at `width x height`, interpolated without antialiasing (the
/// original's first version).
pub fn crop_resize_bilinear(frame: &Frame, width: usize, height: usize) -> Frame {
    let pixels = frame.width * frame.height;
    let mut planes = vec![0.0; 3 * pixels];
    for (at, pixel) in frame.data.chunks_exact(3).enumerate() {
        for (channel, value) in pixel.iter().enumerate() {
            planes[channel * pixels + at] = f32::from(*value);
        }
    }
    let planes = crop_resize_planes(&planes, (frame.width, frame.height), (width, height));
    let mut data = Vec::with_capacity(planes.len());
    for at in 0..width * height {
        data.extend((0..3).map(|channel| planes[channel * width * height + at].round() as u8));
    }
    Frame { width, height, data }
}

/// [`crop_resize_bilinear`] for floats, on any number of planes.
///
/// # Shapes
/// - `planes`: `[n, height, width]`, where `size` is `(width, height)`
/// - output: `[n, target height, target width]`, where `target` is `(width, height)`
///
/// # Panics
/// When `planes` is no whole number of planes of `size`.
pub fn crop_resize_planes(
    planes: &[f32],
    size: (usize, usize),
    target: (usize, usize),
) -> Vec<f32> {
    assert!(planes.len().is_multiple_of(size.0 * size.1), "planes must be whole");
    let rect = centre_crop(size.0, size.1, target.0, target.1);
    let columns: Vec<Tap> = (0..target.0).map(|x| Tap::at(x, rect.width, target.0)).collect();
    let rows: Vec<Tap> = (0..target.1).map(|y| Tap::at(y, rect.height, target.1)).collect();
    let mut out = Vec::with_capacity(planes.len() / (size.0 * size.1) * target.0 * target.1);
    for plane in planes.chunks_exact(size.0 * size.1) {
        for row in &rows {
            let line = |y: usize| &plane[(rect.y + y) * size.0 + rect.x..][..rect.width];
            let (upper, lower) = (line(row.first), line(row.second));
            out.extend(columns.iter().map(|c| row.mix(c.sample(upper), c.sample(lower))));
        }
    }
    out
}

/// Where an output position lies between two input positions: PyTorch's `interpolate` with
/// `align_corners=False`.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Tap {
    fn at(index: usize, length: usize, target_length: usize) -> Self {
        let scale = length as f32 / target_length as f32;
        let position = (scale * (index as f32 + 0.5) - 0.5).max(0.0);
        let first = (position as usize).min(length - 1);
        let second = (first + 1).min(length - 1);
        Self { first, second, weight: (position - first as f32).clamp(0.0, 1.0) }
    }

    fn mix(&self, first: f32, second: f32) -> f32 {
        (1.0 - self.weight) * first + self.weight * second
    }

    fn sample(&self, line: &[f32]) -> f32 {
        self.mix(line[self.first], line[self.second])
    }
}

/// A picture as CLIP's vision tower takes it: shortest side resized to 224 (bicubic), the middle
/// 224 x 224 of it, each channel less CLIP's mean and divided by its standard deviation.
///
/// # Shapes
/// - output: `[3, 224, 224]`
pub fn clip_pixel_values(frame: &Frame) -> Vec<f32> {
    let shortest = frame.width.min(frame.height);
    // The longer side is truncated, as the image processor of transformers does.
    let side = |length: usize| CLIP_SIZE * length / shortest;
    let (width, height) = (side(frame.width), side(frame.height));
    let resized = resize(frame, width, height, Filter::Bicubic);
    let rect = Rect {
        x: (width - CLIP_SIZE) / 2,
        y: (height - CLIP_SIZE) / 2,
        width: CLIP_SIZE,
        height: CLIP_SIZE,
    };
    let middle = crop(&resized, rect);
    let channel = |c: usize| {
        let values = middle.data.iter().skip(c).step_by(3);
        values.map(move |v| (f32::from(*v) / 255.0 - CLIP_MEAN[c]) / CLIP_STD[c])
    };
    (0..3).flat_map(channel).collect()
}
