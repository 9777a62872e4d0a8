//! Other views of a clip: what else it might have been. A network that saw each clip in one place, one
//! size and one set of colours knows the clips by heart instead of how things move; and in a clip seen
//! from a fixed place most is where it was in the condition frame, so that it learns little of how to
//! draw what is not.

use std::f64::consts::TAU;

use super::draw::Draw;
use crate::media::Frame;

/// Word in the captions of clips that drift.
pub(super) const DRIFTING: &str = "drifting";

/// The least and the most that a view magnifies.
const ZOOM: [f64; 2] = [0.9, 1.25];
/// The most that a view is turned to either side, in radians.
const TURN: f64 = 0.2;
/// The most that a view is shifted along either axis, in sides of the picture.
const SHIFT: f64 = 0.08;
/// How far a view drifts to either side of its pose, as a part of the most that it may differ from the
/// clip as it is.
const DRIFT: f64 = 0.7;
/// Frames that a view takes to drift to and fro, about.
const CYCLE: f64 = 24.0;

/// How the frames of a clip are seen. The view drifts: it shifts, turns and magnifies smoothly from frame
/// to frame, to and fro, and ends where it began.
pub(super) struct View {
    mirror: bool,
    colours: Colours,
    /// The middle of the drift, and how far it goes.
    middle: Pose,
    drift: Pose,
    /// Where in its cycle the drift is at the first frame, and how far it goes in a frame; in radians.
    phase: f64,
    pace: f64,
}

/// Where a view is.
#[derive(Clone, Copy)]
struct Pose {
    /// Natural logarithm of how much it magnifies.
    zoom: f64,
    /// How far it is turned, in radians.
    turn: f64,
    /// Where its middle stands in the picture, in sides from the picture's middle.
    shift: [f64; 2],
}

impl Pose {
    /// A random one, `part` of the way to the farthest at most.
    fn new(part: f64, draw: &mut Draw) -> Self {
        let mut within = |[least, most]: [f64; 2]| draw.between([part * least, part * most]);
        Self {
            zoom: within(ZOOM.map(f64::ln)),
            turn: within([-TURN, TURN]),
            shift: [(); 2].map(|()| within([-SHIFT, SHIFT])),
        }
    }

    /// This one and `share` of `drift`.
    fn moved(self, drift: Self, share: f64) -> Self {
        Self {
            zoom: self.zoom + share * drift.zoom,
            turn: self.turn + share * drift.turn,
            shift: [0, 1].map(|axis| self.shift[axis] + share * drift.shift[axis]),
        }
    }

    /// What is seen of `frame`, linear between pixels; what is outside of it is as its edge.
    fn of(self, frame: &Frame) -> Frame {
        let Frame { width, height, .. } = *frame;
        let centre = [width, height].map(|side| (side as f64 - 1.0) / 2.0);
        let [x0, y0] =
            [0, 1].map(|axis| centre[axis] + self.shift[axis] * [width, height][axis] as f64);
        let (sin, cos) = self.turn.sin_cos();
        let step = (-self.zoom).exp();
        let [cos, sin] = [cos * step, sin * step];
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

impl View {
    /// View `number` of the clip `clip`, which has `frames`: the same in every run; half of those that
    /// `may_mirror` are turned left to right.
    pub(super) fn new([clip, number]: [usize; 2], frames: usize, may_mirror: bool) -> Self {
        let mut draw = Draw::new(number as u64, clip);
        let cycles = (frames as f64 / CYCLE).round().max(1.0);
        Self {
            mirror: draw.happens(0.5) && may_mirror,
            colours: Colours::new(&mut draw),
            middle: Pose::new(1.0 - DRIFT, &mut draw),
            drift: Pose::new(DRIFT, &mut draw),
            phase: draw.between([0.0, TAU]),
            pace: TAU * cycles / frames as f64,
        }
    }

    /// `frame`, the one of the clip with the number `at`, in this view.
    pub(super) fn of(&self, frame: &Frame, at: usize) -> Frame {
        let share = (self.phase + self.pace * at as f64).sin();
        let mut seen = self.middle.moved(self.drift, share).of(frame);
        if self.mirror {
            seen = mirrored(seen);
        }
        self.colours.paint(&mut seen);
        seen
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

    const STILL: Pose = Pose { zoom: 0.0, turn: 0.0, shift: [0.0; 2] };

    fn noisy() -> Frame {
        let data = (0..3 * 64).map(|i| (i * 37 % 256) as u8).collect();
        Frame { width: 8, height: 8, data }
    }

    #[test]
    fn a_pose_moves_what_is_drawn() {
        let mut frame = Frame::filled(5, 5, [10; 3]);
        frame.data[3 * (2 * 5 + 3)..][..3].fill(200);
        assert_eq!(STILL.of(&frame), frame);
        let bright = |pose: Pose| {
            let seen = pose.of(&frame).data;
            seen.chunks(3).position(|pixel| pixel == [200; 3]).map(|at| (at % 5, at / 5))
        };
        assert_eq!(bright(Pose { shift: [0.2, -0.2], ..STILL }), Some((2, 3)));
        assert_eq!(bright(Pose { turn: TAU / 4.0, ..STILL }), Some((2, 1)));
        assert_eq!(bright(Pose { zoom: 2.0f64.ln(), ..STILL }), Some((4, 2)));
        let between = Pose { shift: [0.1, 0.0], ..STILL }.of(&frame).data;
        assert_eq!(between[3 * (2 * 5 + 2)..][..6], [105; 6]);
        let outside = Pose { shift: [9.0, 9.0], ..STILL }.of(&frame).data;
        assert_eq!(outside, Frame::filled(5, 5, [10; 3]).data);
        let half = STILL.moved(Pose { shift: [0.4, -0.4], ..STILL }, 0.5);
        assert_eq!(bright(half), Some((2, 3)));
    }

    #[test]
    fn a_clip_has_the_same_views_in_every_run() {
        let frame = noisy();
        let seen = |clip, number| View::new([clip, number], 30, true).of(&frame, 4);
        assert_eq!(seen(3, 1), seen(3, 1));
        assert_ne!(seen(3, 1), seen(3, 2));
        assert_ne!(seen(3, 1), seen(4, 1));
        let view = |may| move |&clip: &usize| View::new([clip, 1], 30, may).mirror;
        assert!((30..70).contains(&(0..100).filter(view(true)).count()));
        assert_eq!((0..100).filter(view(false)).count(), 0);
        let plain =
            |mirror| View { mirror, drift: STILL, middle: STILL, ..View::new([0, 1], 30, false) };
        assert_eq!(plain(true).of(&frame, 0), plain(false).of(&mirrored(frame.clone()), 0));
    }

    #[test]
    fn a_view_drifts_and_comes_back() {
        let frame = noisy();
        for frames in [5, 24, 36, 61] {
            let view = View::new([7, 1], frames, true);
            assert_eq!(view.of(&frame, 0), view.of(&frame, frames), "{frames} frames");
            let changes = (1..frames).filter(|&at| view.of(&frame, at) != view.of(&frame, at - 1));
            assert!(changes.count() >= frames - 2, "{frames} frames");
        }
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
