//! Serial denoising: the beginning of a chunk takes up a little of what the end of the one before was
//! at the same step, so that motion runs on.

use burn::tensor::Tensor;

/// Share of the chunk before in latents.
const LATENTS_SHARE: f64 = 0.1;
/// The last place at which latents are mixed: before the first step, after it and after the second.
const LAST_LATENTS: usize = 2;
/// Share of the chunk before in predicted noise.
const NOISE_SHARE: f64 = 0.01;
/// Frames at the beginning whose predicted noise is left alone.
const NOISE_SKIP: usize = 1;

/// What chunks take up of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SerialDenoise {
    /// Whether latents are.
    pub latents: bool,
    /// Whether predicted noise is.
    pub noises: bool,
    /// Frames at the end of a chunk, and at the beginning of the next; 0 for nothing at all.
    pub overlap: usize,
}

impl SerialDenoise {
    /// Whether anything is taken up.
    pub fn is_on(&self) -> bool {
        self.overlap > 0 && (self.latents || self.noises)
    }
}

/// What the end of a chunk was, step by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Before the first step and after each, `[1, 4, overlap, h, w]`.
    latents: Vec<Tensor<5>>,
    /// In each step, `[g, 4, overlap, h, w]`.
    noises: Vec<Tensor<5>>,
}

/// One chunk between the trace of the one before and its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Serial {
    options: SerialDenoise,
    before: Trace,
    own: Trace,
}

impl Serial {
    /// A chunk after the one that left `before`.
    pub(crate) fn after(before: Trace, options: SerialDenoise) -> Self {
        let options = if options.is_on() { options } else { SerialDenoise::default() };
        Self { options, before, own: Trace::default() }
    }

    /// What the chunk leaves for the next.
    pub(crate) fn into_trace(self) -> Trace {
        self.own
    }

    /// Latents as they go on: at place 0 before the first step, at place n after n steps.
    ///
    /// # Shapes
    /// - `latents`, output: `[1, 4, t, h, w]`
    pub(crate) fn latents(&mut self, place: usize, latents: Tensor<5>) -> Tensor<5> {
        if !self.options.latents {
            return latents;
        }
        let mixed = match self.before.latents.get(place) {
            Some(before) if place <= LAST_LATENTS => {
                mixed_into(latents, before.clone(), 0, LATENTS_SHARE)
            }
            _ => latents,
        };
        self.own.latents.push(end(&mixed, self.options.overlap));
        mixed
    }

    /// The predictions of step `index` of `steps` as they go on, summed over windows and how many
    /// saw each frame.
    ///
    /// # Shapes
    /// - sum: `[g, 4, t, h, w]`; counter: `[t]`; output: the same
    pub(crate) fn noise(
        &mut self,
        (index, steps): (usize, usize),
        (sum, counter): (Tensor<5>, Tensor<1>),
    ) -> (Tensor<5>, Tensor<1>) {
        if !self.options.noises {
            return (sum, counter);
        }
        let frames = counter.dims()[0];
        let noise = sum / counter.clone().reshape([1, 1, frames, 1, 1]);
        let mixed = match self.before.noises.get(index) {
            Some(before) if index <= steps / 2 => {
                mixed_into(noise, before.clone(), NOISE_SKIP, NOISE_SHARE)
            }
            _ => noise,
        };
        self.own.noises.push(end(&mixed, self.options.overlap));
        (mixed, counter.ones_like())
    }
}

/// The last `count` frames of `[b, c, t, h, w]`.
fn end(frames: &Tensor<5>, count: usize) -> Tensor<5> {
    let total = frames.dims()[2];
    frames.clone().narrow(2, total - count, count)
}

/// `frames` with `share` of `before` in as many frames from `first` on.
fn mixed_into(frames: Tensor<5>, before: Tensor<5>, first: usize, share: f64) -> Tensor<5> {
    let [_, _, total, ..] = frames.dims();
    let count = before.dims()[2];
    let old = frames.clone().narrow(2, first, count);
    let mut pieces = vec![before * share + old * (1.0 - share)];
    if first > 0 {
        pieces.insert(0, frames.clone().narrow(2, 0, first));
    }
    let rest = first + count;
    if rest < total {
        pieces.push(frames.narrow(2, rest, total - rest));
    }
    Tensor::cat(pieces, 2)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const BOTH: SerialDenoise = SerialDenoise { latents: true, noises: true, overlap: 2 };

    /// A clip of 5 frames with one number each.
    fn clip(numbers: [f32; 5]) -> Tensor<5> {
        Tensor::<1>::from_floats(numbers, &Device::flex()).reshape([1, 1, 5, 1, 1])
    }

    fn numbers(clip: Tensor<5>) -> Vec<f32> {
        clip.into_data().try_into_vec().expect("it is float32")
    }

    fn near(clip: Tensor<5>, wanted: [f32; 5]) {
        let got = numbers(clip);
        let far = got.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-6, "{got:?}, not {wanted:?}");
    }

    /// A chunk of two steps whose latents and noise are told; gives what they become.
    fn chunk(serial: &mut Serial, latents: [f32; 5], noise: [f32; 5]) -> Vec<Tensor<5>> {
        let counter = Tensor::<1>::from_floats([1.0, 1.0, 2.0, 2.0, 1.0], &Device::flex());
        let mut seen = vec![serial.latents(0, clip(latents))];
        for step in 0..3 {
            let (mean, ones) = serial.noise((step, 3), (clip(noise), counter.clone()));
            assert_eq!(ones.into_data().try_into_vec::<f32>().ok(), Some(vec![1.0; 5]));
            seen.push(mean);
            seen.push(serial.latents(step + 1, clip(latents)));
        }
        seen
    }

    #[test]
    fn the_first_chunk_stays_as_it_is() {
        let mut serial = Serial::after(Trace::default(), BOTH);
        let seen = chunk(&mut serial, [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 8.0, 8.0, 6.0]);
        near(seen[0].clone(), [1.0, 2.0, 3.0, 4.0, 5.0]);
        // Divided by the windows that saw each frame.
        near(seen[1].clone(), [2.0, 4.0, 4.0, 4.0, 6.0]);
    }

    #[test]
    fn later_chunks_take_up_the_end_of_the_one_before() {
        let mut first = Serial::after(Trace::default(), BOTH);
        chunk(&mut first, [0.0, 0.0, 0.0, 10.0, 20.0], [0.0, 0.0, 0.0, 200.0, 300.0]);
        let mut second = Serial::after(first.into_trace(), BOTH);
        let seen = chunk(&mut second, [1.0; 5], [2.0, 2.0, 4.0, 4.0, 2.0]);
        // 0.1 · 10 + 0.9 · 1 and 0.1 · 20 + 0.9 · 1, before the first step, after it and the second.
        for place in [0, 2, 4] {
            near(seen[place].clone(), [1.9, 2.9, 1.0, 1.0, 1.0]);
        }
        near(seen[6].clone(), [1.0; 5]);
        // 0.01 · 100 + 0.99 · 2 and 0.01 · 300 + 0.99 · 2, from the second frame on, in steps 0 and 1.
        for place in [1, 3] {
            near(seen[place].clone(), [2.0, 2.98, 4.98, 2.0, 2.0]);
        }
        near(seen[5].clone(), [2.0; 5]);
    }

    #[test]
    fn nothing_is_taken_up_unasked() {
        let off = SerialDenoise { overlap: 0, ..BOTH };
        assert!(!off.is_on() && !SerialDenoise { overlap: 3, ..SerialDenoise::default() }.is_on());
        let mut serial = Serial::after(Trace::default(), off);
        near(serial.latents(0, clip([3.0; 5])), [3.0; 5]);
        assert!(serial.into_trace().latents.is_empty());
    }
}
