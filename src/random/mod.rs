//! Seeded normal noise, drawn on the host exactly as PyTorch draws it, so that a seed gives the
//! same noise on every device and an old seed keeps its noise.

mod mt19937;
mod philox;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use mt19937::CpuNormal;
use philox::CudaNormal;

/// Whose `torch.randn` is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rng {
    /// `torch.Generator("cpu")`: Mersenne Twister and Box-Muller in blocks of 16.
    TorchCpu,
    /// `torch.Generator("cuda")`: Philox 4x32-10, one thread an element.
    #[default]
    TorchCuda,
}

impl Rng {
    /// Every generator, in the order options list them.
    pub const ALL: [Self; 2] = [Self::TorchCpu, Self::TorchCuda];
}

impl fmt::Display for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TorchCpu => "torch-cpu",
            Self::TorchCuda => "torch-cuda",
        })
    }
}

impl FromStr for Rng {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|rng| rng.to_string() == text).ok_or_else(|| {
            Error::request("rng", format!("`{text}` is unknown; use torch-cpu or torch-cuda"))
        })
    }
}

/// A stream of standard normal noise. Every draw advances it.
#[derive(Clone, Debug)]
pub struct Generator {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Cpu(Box<CpuNormal>),
    Cuda(CudaNormal),
    Recorded(std::vec::IntoIter<f32>),
}

impl Generator {
    /// The generator that PyTorch makes with `manual_seed(seed)`.
    pub fn new(rng: Rng, seed: u64) -> Self {
        let source = match rng {
            Rng::TorchCpu => Source::Cpu(Box::new(CpuNormal::new(seed))),
            Rng::TorchCuda => Source::Cuda(CudaNormal::new(seed)),
        };
        Self { source }
    }

    /// Hands out `values` in their order. Past the end every value is NaN, so that nothing computed
    /// from it passes for a result.
    pub fn recorded(values: Vec<f32>) -> Self {
        Self { source: Source::Recorded(values.into_iter()) }
    }

    /// The values of `torch.randn(shape)` in row-major order.
    ///
    /// Only the number of elements matters, but it does matter: drawing twice 8 values is not
    /// drawing 16.
    pub fn normal(&mut self, shape: &[usize]) -> Vec<f32> {
        let len = shape.iter().product();
        match &mut self.source {
            Source::Cpu(cpu) => cpu.draw(len),
            Source::Cuda(cuda) => cuda.draw(len),
            Source::Recorded(values) => {
                values.chain(std::iter::repeat(f32::NAN)).take(len).collect()
            }
        }
    }
}
