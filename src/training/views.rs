//! Other views of a clip: what else it might have been. A network that saw each clip in one place, one
//! size and one set of colours knows the clips by heart instead of how things move.

use super::draw::Draw;
use crate::media::Frame;

/// The least and the most that a view magnifies.
const ZOOM: [f64; 2] = [0.9, 1.25];
/// The most that a view is turned to either side, in radians.
const TURN: f64 = 0.2;
/// The most that a view is shifted along either axis, in sides of the picture.
const SHIFT: f64 = 0.08;

/// How all frames of a clip are seen alike.
pub(super) struct View {
    mirror: bool,
    colours: Colours,
    /// Where the middle of the view stands in the picture, in sides from its middle.
    middle: [f64; 2],
    /// From one pixel of the view to the next in a row of it, in pixels of the picture.
    step: [f64; 2],
}

impl View {
    /// View `number` of the clip `clip`, the same in every run; half of those that `may_mirror` are
    /// turned left to right.
    pub(super) fn new(clip: usize, number: usize, may_mirror: bool) -> Self {
        let mut draw = Draw::new(number as u64, clip);
        let mirror = draw.happens(0.5) && may_mirror;
        let (zoom, turn) = (draw.between(ZOOM), draw.between([-TURN, TURN]));
        let middle = [(); 2].map(|()| draw.between([-SHIFT, SHIFT]));
        let step = [turn.cos() / zoom, turn.sin() / zoom];
        Self { mirror, colours: Colours::new(&mut draw), middle, step }
    }

    /// `frame` in this view.
    pub(super) fn of(&self, frame: &Frame) -> Frame {
        let mut seen = self.moved(frame);
        if self.mirror {
            seen = mirrored(seen);
        }
        self.colours.paint(&mut seen);
        seen
    }

    /// Shifted, turned and magnified, linear between pixels; what was outside of `frame` is as its
    /// edge.
    fn moved(&self, frame: &Frame) -> Frame {
        let Frame { width, height, .. } = *frame;
        let centre = [width, height].map(|side| (side as f64 - 1.0) / 2.0);
        let [x0, y0] =
            [0, 1].map(|axis| centre[axis] + self.middle[axis] * [width, height][axis] as f64);
        let [cos, sin] = self.step;
        let mut data = Vec::with_capacity(frame.data.len());
        for row in 0..height {
            for column in 0..width {
                let (u, v) = (column as f64 - centre[0], row as f64 - centre[1]);
                data.extend(sampled(frame, x0 + cos * u - sin * v, y0 + sin * u + cos * v));
            }
        }
        Frame { width, height, data }
    }
}

/// The colour of `frame` at a place between its pixels.
fn sampled(frame: &Frame, x: f64, y: f64) -> [u8; 3] {
    let along = |place: f64, side: usize| {
        let place = place.clamp(0.0, side as f64 - 1.0);
        let first = place as usize;
        (first, (first + 1).min(side - 1), place - first as f64)
    };
    let (left, right, across) = along(x, frame.width);
    let (above, below, down) = along(y, frame.height);
    std::array::from_fn(|channel| {
        let at = |x, y| f64::from(frame.data[3 * (y * frame.width + x) + channel]);
        let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
        let row = |y| mix(at(left, y), at(right, y), across);
        mix(row(above), row(below), down).round() as u8
    })
}

/// `frame` turned left to right.
pub(super) fn mirrored(mut frame: Frame) -> Frame {
    for row in frame.data.chunks_exact_mut(3 * frame.width) {
        let pixels = row.as_chunks_mut::<3>().0;
        pixels.reverse();
    }
    frame
}

/// Other colours: the channels in another order, and the values of each in a random part of their
/// range, at least half of it.
pub(super) struct Colours {
    order: [usize; 3],
    /// Where the range of a channel begins, and how far it reaches.
    ranges: [(usize, usize); 3],
}

impl Colours {
    /// Random ones.
    pub(super) fn new(draw: &mut Draw) -> Self {
        const ORDERS: [[usize; 3]; 6] =
            [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let order = ORDERS[draw.below(ORDERS.len())];
        let ranges = [(); 3].map(|()| {
            let span = 128 + draw.below(128);
            (draw.below(256 - span), span)
        });
        Self { order, ranges }
    }

    /// Paints `frame` in them.
    pub(super) fn paint(&self, frame: &mut Frame) {
        for pixel in frame.data.as_chunks_mut::<3>().0 {
            let values = self.order.map(|channel| usize::from(pixel[channel]));
            for ((to, value), (low, span)) in pixel.iter_mut().zip(values).zip(self.ranges) {
                *to = (low + value * span / 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn still() -> View {
        let colours = Colours::new(&mut Draw::new(0, 0));
        View { mirror: false, colours, middle: [0.0; 2], step: [1.0, 0.0] }
    }

    #[test]
    fn a_view_moves_what_is_drawn() {
        let mut frame = Frame::filled(5, 5, [10; 3]);
        frame.data[3 * (2 * 5 + 3)..][..3].fill(200);
        assert_eq!(still().moved(&frame), frame);
        let bright = |view: View| {
            let seen = view.moved(&frame).data;
            seen.chunks(3).position(|pixel| pixel == [200; 3]).map(|at| (at % 5, at / 5))
        };
        assert_eq!(bright(View { middle: [0.2, -0.2], ..still() }), Some((2, 3)));
        // A quarter turn.
        assert_eq!(bright(View { step: [0.0, 1.0], ..still() }), Some((2, 1)));
        assert_eq!(bright(View { step: [0.5, 0.0], ..still() }), Some((4, 2)));
        let between = View { middle: [0.1, 0.0], ..still() }.moved(&frame).data;
        assert_eq!(between[3 * (2 * 5 + 2)..][..6], [105; 6]);
        let outside = View { middle: [9.0, 9.0], ..still() }.moved(&frame).data;
        assert_eq!(outside, Frame::filled(5, 5, [10; 3]).data);
    }

    #[test]
    fn a_clip_has_the_same_views_in_every_run() {
        let data = (0..3 * 64).map(|i| (i * 37 % 256) as u8).collect();
        let frame = Frame { width: 8, height: 8, data };
        let seen = |clip, number| View::new(clip, number, true).of(&frame);
        assert_eq!(seen(3, 1), seen(3, 1));
        assert_ne!(seen(3, 1), seen(3, 2));
        assert_ne!(seen(3, 1), seen(4, 1));
        let mirrors = |may| (0..100).filter(|&clip| View::new(clip, 1, may).mirror).count();
        assert!((30..70).contains(&mirrors(true)) && mirrors(false) == 0);
        let turned = View { mirror: true, ..still() }.of(&frame);
        assert_eq!(turned, still().of(&mirrored(frame)));
    }

    #[test]
    fn other_colours_keep_what_is_drawn() {
        let mut draw = Draw::new(0, 0);
        let drawn = Frame { width: 3, height: 1, data: vec![0, 0, 0, 255, 255, 255, 0, 0, 0] };
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let mut frame = drawn.clone();
            Colours::new(&mut draw).paint(&mut frame);
            let data = frame.data;
            assert_eq!(data[..3], data[6..], "what was alike is");
            assert!((0..3).all(|i| data[3 + i] - data[i] >= 127), "{data:?}");
            seen.insert(data);
        }
        assert!(seen.len() > 40, "{}", seen.len());
        let strongest = |_| {
            let mut red = Frame { width: 1, height: 1, data: vec![255, 0, 0] };
            Colours::new(&mut draw).paint(&mut red);
            (0..3).max_by_key(|&i| red.data[i])
        };
        let places: HashSet<_> = (0..50).map(strongest).collect();
        assert_eq!(places.len(), 3, "any channel can be the red one");
    }
}
