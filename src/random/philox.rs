//! PyTorch's CUDA `randn` in float32: Philox 4x32-10 (Salmon et al. 2011) and cuRAND's Box-Muller.
//!
//! On CUDA, PyTorch starts one thread for each element until the GPU is full. Thread i owns Philox
//! subsequence i, and each call of `randn` moves all of them one block on, so element i of call k
//! is made of the words of counter (k, 0, i, 0) under the key `seed`. That is exact up to the
//! threads a GPU holds at once (multiprocessors × resident threads: 40 960 on a T4, 125 952 on an
//! RTX 3090, 221 184 on an A100; a clip of 12 frames at 512x512 has 196 608 latent values). For
//! more elements than that the layout of PyTorch depends on the GPU: a thread then makes up to four
//! values a block. The Stable Diffusion tools that offer this generator give every element its own
//! subsequence at any size, and so does this file: noise must not depend on hardware.

/// Multipliers and key increments of Philox 4x32.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEP: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
/// cuRAND's `CURAND_2POW32_INV` and `CURAND_2POW32_INV_2PI`, float32 values.
const UNIT: f32 = 2.328_306_4e-10;
const UNIT_TAU: f32 = UNIT * 6.283_185_5;

/// Normal values of a CUDA generator.
#[derive(Clone, Debug)]
pub(super) struct CudaNormal {
    key: [u32; 2],
    /// Calls so far.
    offset: u64,
}

impl CudaNormal {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], offset: 0 }
    }

    pub(super) fn draw(&mut self, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let [low, high] = [self.offset as u32, (self.offset >> 32) as u32];
        self.offset += 1;
        (0..len as u64)
            .map(|i| {
                let words = philox([low, high, i as u32, (i >> 32) as u32], self.key);
                box_muller(words[0], words[1])
            })
            .collect()
    }
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(KEY_STEP[0]), key[1].wrapping_add(KEY_STEP[1])];
        }
        let a = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
    }
    counter
}

/// The first value of cuRAND's pair. Computed in float64, as the tools do: a GPU's fast sine is
/// further from the truth than the two are from each other.
fn box_muller(x: u32, y: u32) -> f32 {
    let u = f64::from(x) * f64::from(UNIT) + f64::from(UNIT / 2.0);
    let v = f64::from(y) * f64::from(UNIT_TAU) + f64::from(UNIT_TAU / 2.0);
    ((-2.0 * u.ln()).sqrt() * v.sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (`kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn philox_gives_the_published_words() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        for (counter, key, want) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox(counter, key), want);
        }
    }
}
