//! The random choices of a run. Each is decided by the run's seed and the number of the update, so
//! that a run that is taken up again goes on as if it had never stopped.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::random::{self, Generator};

/// The choices of one update.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The choices of update `step` of the run with `seed`.
    pub(super) fn new(seed: u64, step: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step as u64);
        Self(rng)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// A number in `least..=most`.
    pub(super) fn between(&mut self, [least, most]: [f64; 2]) -> f64 {
        self.0.random_range(least..=most)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A generator of normal noise.
    pub(super) fn noise(&mut self) -> Generator {
        Generator::new(random::Rng::TorchCpu, self.0.random())
    }
}
