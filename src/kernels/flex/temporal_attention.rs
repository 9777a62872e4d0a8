//! softmax(Q·Kᵀ/√d)·V along the frames of every pixel.

use pulp::Simd;
use rayon::prelude::*;

use super::dispatch::{Tiled, tiled};
use super::math::{exp, max, sum};
use super::operands::{Planes, Tokens};
use super::shared::Shared;
use super::strided::{Strided, Target, multiply, pack, room};
use super::tile::{Panels, store};

/// Sizes of `[clips, frames, pixels, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) clips: usize,
    pub(super) frames: usize,
    pub(super) pixels: usize,
    pub(super) channels: usize,
    pub(super) heads: usize,
}

/// Values of one operand that a task works on, all frames together.
const LOCAL: usize = 1 << 13;

/// Scalars between the local frames of a task, so that they do not fall into the same sets of a
/// cache.
const GAP: usize = 16;

/// Some pixels of one clip. A frame is often a power of two long, so that the same pixel of all
/// frames falls into one set of each cache; tasks work on copies.
#[derive(Clone, Copy)]
pub(super) struct Group {
    sizes: Sizes,
    /// Where the first pixel lies in the first frame.
    start: usize,
    pixels: usize,
}

impl Sizes {
    /// All pixels, in groups for a task each.
    pub(super) fn groups(self) -> impl ParallelIterator<Item = Group> {
        let Self { clips, frames, pixels, channels, .. } = self;
        let step = (LOCAL / (frames * channels)).clamp(1, pixels);
        let tasks = pixels.div_ceil(step);
        (0..clips * tasks).into_par_iter().map(move |task| {
            let (clip, first) = (task / tasks, task % tasks * step);
            let start = (clip * frames * pixels + first) * channels;
            Group { sizes: self, start, pixels: step.min(pixels - first) }
        })
    }
}

impl Group {
    /// Scalars from frame to frame in a copy.
    pub(super) fn stride(self) -> usize {
        self.pixels * self.sizes.channels + GAP
    }

    /// Scalars of a copy.
    pub(super) fn len(self) -> usize {
        self.sizes.frames * self.stride()
    }

    /// Where the heads of all pixels begin in the first frame of a copy.
    pub(super) fn heads(self) -> impl Iterator<Item = usize> {
        let width = self.sizes.channels / self.sizes.heads;
        (0..self.pixels * self.sizes.heads).map(move |head| head * width)
    }

    /// A copy of these pixels of `x`.
    pub(super) fn gather(self, x: &[f32]) -> Vec<f32> {
        let mut copy = vec![0.0; self.len()];
        let length = self.pixels * self.sizes.channels;
        let frames = x[self.start..].chunks(self.sizes.pixels * self.sizes.channels);
        for (to, from) in copy.chunks_exact_mut(self.stride()).zip(frames) {
            to[..length].copy_from_slice(&from[..length]);
        }
        copy
    }

    /// Writes a copy to where these pixels belong.
    ///
    /// # Safety
    /// Nobody else reads or writes these pixels of `out`.
    pub(super) unsafe fn scatter(self, copy: &[f32], out: &Shared) {
        let length = self.pixels * self.sizes.channels;
        let frame = self.sizes.pixels * self.sizes.channels;
        for (index, from) in copy.chunks_exact(self.stride()).enumerate() {
            // SAFETY: the caller's promise.
            let to = unsafe { out.slice(self.start + index * frame, length) };
            to.copy_from_slice(&from[..length]);
        }
    }
}

/// Attends from queries to keys and values, `inputs`, and writes `out`, all of one shape.
pub(super) fn temporal_attention(inputs: [&[f32]; 3], sizes: Sizes, out: &mut [f32]) {
    let out = Shared::new(out);
    sizes.groups().for_each(|group| {
        let mut local = vec![0.0; group.len()];
        let inputs = inputs.map(|x| group.gather(x));
        tiled(Heads { inputs: &inputs, group, out: &Shared::new(&mut local) });
        // SAFETY: groups share no pixels.
        unsafe { group.scatter(&local, &out) };
    });
}

/// The heads of the pixels of a group.
struct Heads<'a> {
    /// Copies of queries, keys and values.
    inputs: &'a [Vec<f32>; 3],
    group: Group,
    /// Zero before.
    out: &'a Shared<'a>,
}

/// What is kept from head to head.
struct Space {
    /// `[width, frames]`
    transposed_keys: Panels,
    /// `[frames, width]`
    values: Panels,
    /// Rows `pitch` apart.
    weights: Vec<f32>,
    pitch: usize,
}

impl Tiled for Heads<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S) {
        let Sizes { frames, channels, heads, .. } = self.group.sizes;
        let width = channels / heads;
        let pitch = frames.next_multiple_of(S::F32_LANES);
        let mut space = Space {
            transposed_keys: room(simd, frames, width),
            values: room(simd, width, frames),
            weights: vec![0.0; frames * pitch],
            pitch,
        };
        for start in self.group.heads() {
            self.one_head::<S, M>(simd, start, &mut space);
        }
    }
}

impl Heads<'_> {
    #[inline(always)]
    fn one_head<S: Simd, const M: usize>(&self, simd: S, start: usize, space: &mut Space) {
        let Sizes { frames, channels, heads, .. } = self.group.sizes;
        let (width, stride) = (channels / heads, self.group.stride());
        let scale = 1.0 / (width as f32).sqrt();
        let [q, k, v] = self.inputs.each_ref().map(|x| &x[start..]);
        let Space { transposed_keys, values, weights, pitch } = space;
        pack(simd, &Tokens { data: k, stride }, [width, frames], transposed_keys);
        pack(simd, &Planes { data: v, depth: frames, stride }, [frames, width], values);
        let rows = Strided::rows(q, stride);
        multiply::<S, M>(
            simd,
            rows,
            frames,
            transposed_keys,
            #[inline(always)]
            |row, column, sums| {
                store(simd, &mut weights[row * *pitch + column..][..S::F32_LANES], sums);
            },
        );
        for row in weights.chunks_exact_mut(*pitch) {
            // Whole vectors: the weights past the last frame become zero, but for rounding.
            row[frames..].fill(f32::NEG_INFINITY);
            let most = max(row);
            row.iter_mut().for_each(|x| *x = exp((*x - most) * scale));
            let norm = 1.0 / sum(row, |x| x);
            row.iter_mut().for_each(|x| *x *= norm);
        }
        let to = Target { out: self.out, start, stride, width };
        let rows = Strided::rows(weights, *pitch);
        multiply::<S, M>(
            simd,
            rows,
            frames,
            values,
            #[inline(always)]
            |row, column, sums| {
                // SAFETY: the copy is this task's own.
                unsafe { to.add(simd, row, column, sums) };
            },
        );
    }
}
