//! One palette for a whole video, and dithering that does not flicker.

use std::collections::BTreeSet;

use color_quant::NeuQuant;

use super::{Frame, Video};

/// Pixels a palette is learnt from: enough for any clip, few enough to take a moment.
const SAMPLES: usize = 1 << 19;
/// NeuQuant's thoroughness, 1 (best) to 30.
const SAMPLE_FACTOR: i32 = 3;
/// Levels of the ordered dither: a 4 x 4 matrix.
const LEVELS: usize = 16;
/// How much of the error so far the next choice makes up for; less than all keeps the grain low.
const CORRECTION: i32 = 192;
/// Bits a channel of the table that finds palette entries.
const TABLE_BITS: usize = 6;

/// Bayer's matrix: neighbours in it are far apart in rank.
const BAYER: [[usize; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

/// The colours of a video and how pictures are expressed in them.
pub(super) struct Palette {
    colors: Vec<[u8; 3]>,
    /// The nearest colour to every cell of the RGB cube; empty where the palette is exact.
    nearest: Vec<u8>,
}

impl Palette {
    /// At most `size` (of up to 256) colours for all frames: the video's own colours if they are
    /// so few, else the ones that stand for them best.
    pub(super) fn of(video: &Video, size: usize) -> Self {
        if let Some(colors) = own_colors(video, size) {
            return Self { colors, nearest: Vec::new() };
        }
        let pixels = video.frames.len() * video.frames[0].data.len() / 3;
        // An odd stride walks through all columns.
        let stride = (pixels / SAMPLES) | 1;
        let samples: Vec<u8> =
            pixels_of(video).step_by(stride).flat_map(|[r, g, b]| [r, g, b, 255]).collect();
        let learnt = NeuQuant::new(SAMPLE_FACTOR, size, &samples).color_map_rgb();
        let colors: Vec<[u8; 3]> = learnt.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        let nearest = table(&colors);
        Self { colors, nearest }
    }

    /// Three bytes a colour.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.colors.concat()
    }

    /// The palette index of every pixel. Colours that are missing are mixed from those around them
    /// by pattern dithering (T. Knoll): each pixel has a list of colours whose mean is its own,
    /// sorted by brightness, and takes the one its place in Bayer's matrix says. The pattern
    /// depends on place and colour alone, so what stands still does not flicker.
    pub(super) fn indices(&self, frame: &Frame) -> Vec<u8> {
        let pixels = frame.data.chunks_exact(3).map(|p| [p[0], p[1], p[2]]);
        if self.nearest.is_empty() {
            let exact = |color| self.colors.binary_search(&color).unwrap_or_default() as u8;
            return pixels.map(exact).collect();
        }
        let mut mixed = ([0; 3], [0; LEVELS]);
        self.mix(&mut mixed);
        let place = |(at, color): (usize, [u8; 3])| {
            if color != mixed.0 {
                mixed.0 = color;
                self.mix(&mut mixed);
            }
            let (x, y) = (at % frame.width, at / frame.width);
            mixed.1[BAYER[y % 4][x % 4]]
        };
        pixels.enumerate().map(place).collect()
    }

    /// Fills the list of palette entries, dark to bright, whose mean comes near the colour.
    fn mix(&self, (color, entries): &mut ([u8; 3], [u8; LEVELS])) {
        let wanted = color.map(i32::from);
        let mut error = [0; 3];
        for entry in entries.iter_mut() {
            let aim: [i32; 3] =
                std::array::from_fn(|c| (wanted[c] + error[c] * CORRECTION / 256).clamp(0, 255));
            *entry = self.nearest[cell(aim)];
            let got = self.colors[usize::from(*entry)];
            error = std::array::from_fn(|c| error[c] + wanted[c] - i32::from(got[c]));
        }
        entries.sort_by_key(|entry| brightness(self.colors[usize::from(*entry)]));
    }
}

fn pixels_of(video: &Video) -> impl Iterator<Item = [u8; 3]> {
    video.frames.iter().flat_map(|frame| frame.data.chunks_exact(3)).map(|p| [p[0], p[1], p[2]])
}

/// The video's colours, sorted, if there are no more than `size`.
fn own_colors(video: &Video, size: usize) -> Option<Vec<[u8; 3]>> {
    let mut colors = BTreeSet::new();
    for color in pixels_of(video) {
        if colors.insert(color) && colors.len() > size {
            return None;
        }
    }
    Some(colors.into_iter().collect())
}

fn brightness([r, g, b]: [u8; 3]) -> u32 {
    2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b)
}

fn cell(color: [i32; 3]) -> usize {
    color.into_iter().fold(0, |cell, c| cell << TABLE_BITS | c as usize >> (8 - TABLE_BITS))
}

fn table(colors: &[[u8; 3]]) -> Vec<u8> {
    let side = 1 << TABLE_BITS;
    let width = 256 / side;
    let middle = |cell: usize, shift: usize| {
        ((cell >> (shift * TABLE_BITS)) % side * width + width / 2) as i32
    };
    let nearest = |cell: usize| {
        let aim = [middle(cell, 2), middle(cell, 1), middle(cell, 0)];
        let distance = |color: &[u8; 3]| -> i32 {
            // Errors count as the eye sees them, most in green and least in blue.
            (0..3).map(|c| [2, 4, 1][c] * (aim[c] - i32::from(color[c])).pow(2)).sum()
        };
        let entries = colors.iter().enumerate();
        entries.min_by_key(|(_, color)| distance(color)).map_or(0, |(index, _)| index as u8)
    };
    (0..side.pow(3)).map(nearest).collect()
}
