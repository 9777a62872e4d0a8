//! Columns that convolutions see: patches of images, pixels of neighbouring frames.

use std::ops::Range;

use pulp::Simd;

use super::operands::{Columns, Grid};
use super::tile::{Panels, load, store};

/// The patches of a two-dimensional convolution; `k` counts `[channels, kernel, kernel]`.
pub(super) struct Patches<'a> {
    /// `[n, channels, height, width]`
    pub(super) data: &'a [f32],
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) pad_begin: usize,
    /// Width of an output image.
    pub(super) out_width: usize,
}

/// The rows of one channel that a block of columns needs, with their zero borders.
pub(super) struct Window {
    /// Bordered rows of all images, each `pitch` long.
    scalars: Vec<f32>,
    pitch: usize,
    /// Where each row lies in channel 0 of the input, and where it goes.
    fetches: Vec<(usize, usize)>,
    /// Start of every run of columns for the first tap.
    runs: Vec<usize>,
    /// Columns of a run; they lie within one output row.
    run: usize,
}

impl Columns for Patches<'_> {
    type Plan = Window;

    fn depth_unit(&self) -> usize {
        self.kernel * self.kernel
    }

    fn plan(&self, grid: &Grid, vectors: Range<usize>) -> Window {
        let Self { channels, height, width, kernel, stride, pad_begin, out_width, .. } = *self;
        let pitch = (pad_begin + width).max((out_width - 1) * stride + kernel);
        let run = run_length(out_width, grid.lanes);
        let mut window =
            Window { scalars: Vec::new(), pitch, fetches: Vec::new(), runs: Vec::new(), run };
        let mut length = 0;
        let (first_image, start, _) = grid.position(vectors.start);
        let (last_image, last, used) = grid.position(vectors.end - 1);
        for image in first_image..=last_image {
            let start = if image == first_image { start } else { 0 };
            let end = if image == last_image { last + used } else { grid.width };
            // Rows here count the border, so that they are never negative.
            let top = start / out_width * stride;
            let bottom = (end - 1) / out_width * stride + kernel;
            for y in top.max(pad_begin)..bottom.min(pad_begin + height) {
                let from = (image * channels * height + y - pad_begin) * width;
                window.fetches.push((from, length + (y - top) * pitch + pad_begin));
            }
            for position in (start..end.next_multiple_of(grid.lanes)).step_by(run) {
                // Unused lanes repeat the last run.
                let position = position.min(end - run);
                let (y, x) = (position / out_width * stride, position % out_width * stride);
                window.runs.push(length + (y - top) * pitch + x);
            }
            length += (bottom - top) * pitch;
        }
        window.scalars = vec![0.0; length];
        window
    }

    #[inline(always)]
    fn pack<S: Simd>(&self, _: S, window: &mut Window, _: &Grid, block: &mut Panels) {
        match (self.stride, window.run) {
            (1, 16) => self.pack_runs(window, block, take::<16>),
            (1, 8) => self.pack_runs(window, block, take::<8>),
            (1, 4) => self.pack_runs(window, block, take::<4>),
            (1, _) => self.pack_runs(window, block, |to, from| to.copy_from_slice(from)),
            (stride, _) => self.pack_runs(window, block, |to, from| {
                for (slot, value) in to.iter_mut().zip(from.iter().step_by(stride)) {
                    *slot = *value;
                }
            }),
        }
    }
}

impl Patches<'_> {
    #[inline(always)]
    fn pack_runs(
        &self,
        window: &mut Window,
        block: &mut Panels,
        take: impl Fn(&mut [f32], &[f32]),
    ) {
        let Window { scalars, pitch, fetches, runs, run } = window;
        let unit = self.depth_unit();
        let reach = (*run - 1) * self.stride + 1;
        let places: Vec<_> = block.vectors().map(|vector| block.place(vector)).collect();
        let runs_per_vector = runs.len() / places.len();
        let depth = block.depth();
        let slots = block.scalars_mut();
        for (index, channel) in (depth.start / unit..depth.end / unit).enumerate() {
            let plane = channel * self.height * self.width;
            for &(from, to) in fetches.iter() {
                let row = &self.data[plane + from..][..self.width];
                scalars[to..to + self.width].copy_from_slice(row);
            }
            for tap in 0..unit {
                let offset = tap / self.kernel * *pitch + tap % self.kernel;
                let k = index * unit + tap;
                for ((to, step), runs) in places.iter().zip(runs.chunks_exact(runs_per_vector)) {
                    let vector = &mut slots[to + k * step..][..runs_per_vector * *run];
                    for (part, from) in vector.chunks_exact_mut(*run).zip(runs) {
                        take(part, &scalars[from + offset..][..reach]);
                    }
                }
            }
        }
    }
}

/// The pixels of neighbouring frames; `k` counts `[channels, taps]`. One tap is a 1×1 convolution.
pub(super) struct Neighbours<'a> {
    /// `[clips·frames, channels, positions]`
    pub(super) data: &'a [f32],
    pub(super) channels: usize,
    pub(super) frames: usize,
    /// Odd; the middle one is the frame itself.
    pub(super) taps: usize,
}

impl Columns for Neighbours<'_> {
    type Plan = ();

    fn depth_unit(&self) -> usize {
        self.taps
    }

    fn plan(&self, _: &Grid, _: Range<usize>) {}

    #[inline(always)]
    fn pack<S: Simd>(&self, simd: S, (): &mut (), grid: &Grid, block: &mut Panels) {
        let depth = block.depth();
        for vector in block.vectors() {
            let (image, first, used) = grid.position(vector);
            let (start, step) = block.place(vector);
            let slots = block.scalars_mut();
            for tap in 0..self.taps {
                // Frames count from the clip's padding, so that they are never negative.
                let frame = image % self.frames + tap;
                let inside = (self.taps / 2..self.taps / 2 + self.frames).contains(&frame);
                let mut to = start + tap * step;
                let source = (image + tap).wrapping_sub(self.taps / 2);
                for channel in depth.start / self.taps..depth.end / self.taps {
                    if inside {
                        let from = (source * self.channels + channel) * grid.width + first;
                        let vector = load(simd, &self.data[from..from + used]);
                        store(simd, &mut slots[to..to + grid.lanes], vector);
                    } else {
                        slots[to..to + grid.lanes].fill(0.0);
                    }
                    to += self.taps * step;
                }
            }
        }
    }
}

/// The longest run of columns that fits both output rows and vectors evenly.
fn run_length(out_width: usize, lanes: usize) -> usize {
    let mut run = lanes;
    while !out_width.is_multiple_of(run) {
        run /= 2;
    }
    run
}

#[inline(always)]
fn take<const N: usize>(to: &mut [f32], from: &[f32]) {
    to[..N].copy_from_slice(&from[..N]);
}
