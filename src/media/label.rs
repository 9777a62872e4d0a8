//! Words on the frames of a video: its label and the number of each frame.

use font8x8::{BASIC_FONTS, GREEK_FONTS, HIRAGANA_FONTS, LATIN_FONTS, UnicodeFonts};

use super::{Frame, Video};

/// Dots along either side of a glyph.
const GLYPH: usize = 8;
/// Dots between the words and the frame's edges: room for the outline and as much again.
const MARGIN: usize = 2;
/// Height of the glyphs as a share of the frame's.
const HEIGHTS_IN_A_FRAME: usize = 32;
const INK: [u8; 3] = [255; 3];
const OUTLINE: [u8; 3] = [0; 3];

/// Writes `label` into the upper left corner of every frame and the frame's number, from 0, into
/// the lower left one: white with a black outline, a 32nd of the frame's height but at least 8
/// pixels high. What does not fit the frame is cut off, and a `?` stands for what the font lacks.
///
/// The original writes in red, and the word `out` in place of a label.
pub fn write_info(video: &mut Video, label: &str) {
    for (index, frame) in video.frames.iter_mut().enumerate() {
        let scale = scale(frame.height);
        let top = MARGIN * scale;
        let bottom = frame.height.saturating_sub((MARGIN + GLYPH) * scale).max(top);
        Pen { scale, top }.write(frame, label);
        Pen { scale, top: bottom }.write(frame, &index.to_string());
    }
}

/// Pixels along either side of a dot, in a frame of `height` rows.
fn scale(height: usize) -> usize {
    let unit = GLYPH * HEIGHTS_IN_A_FRAME;
    ((height + unit / 2) / unit).max(1)
}

/// The dots of `letter`, a byte a row, the leftmost dot in the lowest bit.
fn glyph(letter: char) -> [u8; GLYPH] {
    let find = |letter| {
        BASIC_FONTS
            .get(letter)
            .or_else(|| LATIN_FONTS.get(letter))
            .or_else(|| GREEK_FONTS.get(letter))
            .or_else(|| HIRAGANA_FONTS.get(letter))
    };
    // The font has empty glyphs in the places of letters that it lacks.
    let drawn = |dots: &[u8; GLYPH]| letter.is_whitespace() || *dots != [0; GLYPH];
    find(letter).filter(drawn).or_else(|| find('?')).unwrap_or_default()
}

/// Where and how large a line is written.
struct Pen {
    /// Pixels along either side of a dot.
    scale: usize,
    /// The row of the line's upper edge, at least `MARGIN` dots down.
    top: usize,
}

impl Pen {
    fn write(&self, frame: &mut Frame, text: &str) {
        let room = frame.width.div_ceil(GLYPH * self.scale);
        let glyphs: Vec<_> = text.chars().take(room).map(glyph).collect();
        // The whole outline first: it reaches into neighbouring letters.
        self.dots(&glyphs, |x, y| self.fill(frame, (x - self.scale, y - self.scale), 3, OUTLINE));
        self.dots(&glyphs, |x, y| self.fill(frame, (x, y), 1, INK));
    }

    /// Calls `draw` with the upper left pixel of every dot that is set.
    fn dots(&self, glyphs: &[[u8; GLYPH]], mut draw: impl FnMut(usize, usize)) {
        for (place, glyph) in glyphs.iter().enumerate() {
            for (row, dots) in glyph.iter().enumerate() {
                for column in (0..GLYPH).filter(|column| dots >> column & 1 == 1) {
                    let x = (MARGIN + place * GLYPH + column) * self.scale;
                    draw(x, self.top + row * self.scale);
                }
            }
        }
    }

    /// Fills the square of `side` dots whose upper left pixel is `(x, y)`, as far as the frame has
    /// it.
    fn fill(&self, frame: &mut Frame, (x, y): (usize, usize), side: usize, color: [u8; 3]) {
        let size = side * self.scale;
        let columns = x.min(frame.width)..(x + size).min(frame.width);
        for row in y..(y + size).min(frame.height) {
            let start = 3 * row * frame.width;
            let pixels = &mut frame.data[start + 3 * columns.start..start + 3 * columns.end];
            for pixel in pixels.chunks_exact_mut(3) {
                pixel.copy_from_slice(&color);
            }
        }
    }
}
