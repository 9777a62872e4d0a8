//! PyTorch's CPU `randn` in float32: Mersenne Twister 19937 and Box-Muller.
//!
//! Follows `ATen/core/MT19937RNGEngine.h` and `ATen/native/cpu/DistributionTemplates.h`. PyTorch's
//! vectorised logarithm and sine are approximations, so values agree within 2e-6, not bit by bit.

use std::f64::consts::TAU;

const STATE: usize = 624;
const SHIFT: usize = 397;
/// From this many values on, PyTorch fills whole blocks of this size.
const BLOCK: usize = 16;

/// Normal values of a CPU generator.
#[derive(Clone, Debug)]
pub(super) struct CpuNormal {
    engine: Mt19937,
    /// The sine half of the last pair of a short draw: it begins the next short draw, however many
    /// long ones come between.
    spare: Option<f64>,
}

impl CpuNormal {
    pub(super) fn new(seed: u64) -> Self {
        // PyTorch keeps 64 bits of the seed but starts the engine with the low 32.
        Self { engine: Mt19937::new(seed as u32), spare: None }
    }

    pub(super) fn draw(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            return (0..len).map(|_| self.next_f64() as f32).collect();
        }
        let mut values: Vec<f32> = (0..len).map(|_| self.engine.uniform_f32()).collect();
        values.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !len.is_multiple_of(BLOCK) {
            // The last 16 values, some of them done already, are drawn afresh.
            let tail = &mut values[len - BLOCK..];
            tail.fill_with(|| self.engine.uniform_f32());
            box_muller(tail);
        }
        values
    }

    fn next_f64(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let angle = TAU * self.engine.uniform_f64();
        let radius = (-2.0 * (-self.engine.uniform_f64()).ln_1p()).sqrt();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Turns 16 uniform values into normal ones: value j and value j + 8 make a pair.
fn box_muller(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * f64::from(1.0 - *a).ln()).sqrt();
        // The angle is rounded to float32 as in PyTorch: that alone moves a value by up to 1e-6.
        let angle = f64::from(TAU as f32 * *b);
        *a = (radius * angle.cos()) as f32;
        *b = (radius * angle.sin()) as f32;
    }
}

/// Matsumoto and Nishimura's generator (1998), seeded with one word.
#[derive(Clone, Debug)]
struct Mt19937 {
    state: [u32; STATE],
    next: usize,
}

impl Mt19937 {
    fn new(seed: u32) -> Self {
        let mut state = [seed; STATE];
        for i in 1..STATE {
            let previous = state[i - 1];
            state[i] =
                1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: STATE }
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == STATE {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % STATE] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// 24 random bits in [0, 1).
    fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// 53 random bits in [0, 1), of two words, the high one drawn first.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let word = high << 32 | u64::from(self.next_u32());
        (word & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
