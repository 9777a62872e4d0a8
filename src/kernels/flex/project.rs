//! Linear maps of the channels of tokens or pixels: four layouts, no transposed copies.

use super::gemm::{Bias, Product};
use super::operands::{Columns, Planes, Rows, Tokens};
use crate::kernels::project::Side;

/// A weight matrix as it lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    /// Channels in.
    pub(super) depth: usize,
    /// Channels out.
    pub(super) channels: usize,
    /// Whether it is stored `[channels, depth]` rather than `[depth, channels]`.
    pub(super) transposed: bool,
}

/// `n` entries of `positions` tokens or pixels each.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) data: &'a [f32],
    pub(super) n: usize,
    pub(super) positions: usize,
    pub(super) side: Side,
}

/// Maps the channels of all positions into `out`, laid out as `to` says.
pub(super) fn project(x: Entries, matrix: Matrix, bias: Option<&[f32]>, to: Side, out: &mut [f32]) {
    let Entries { data, n, positions, side } = x;
    let Matrix { data: weight, depth, channels, transposed } = matrix;
    // As columns, an operand is packed; as rows, it is read in place.
    let run = Run { depth, out };
    match to {
        Side::Tokens => {
            let rows = match side {
                Side::Tokens => Rows::Contiguous { data, stride: depth },
                Side::Pixels => Rows::Pixels { data, width: positions },
            };
            let bias = bias.map_or(Bias::None, Bias::Column);
            let size = [n * positions, 1, channels];
            if transposed {
                run.product(rows, Tokens { data: weight, stride: depth }, bias, size);
            } else {
                run.product(rows, Planes { data: weight, depth, stride: channels }, bias, size);
            }
        }
        Side::Pixels => {
            let rows = if transposed {
                Rows::Contiguous { data: weight, stride: depth }
            } else {
                Rows::Pixels { data: weight, width: channels }
            };
            let bias = bias.map_or(Bias::None, Bias::Row);
            let size = [channels, n, positions];
            match side {
                Side::Tokens => run.product(rows, Tokens { data, stride: depth }, bias, size),
                Side::Pixels => {
                    run.product(rows, Planes { data, depth, stride: positions }, bias, size);
                }
            }
        }
    }
}

struct Run<'a> {
    depth: usize,
    out: &'a mut [f32],
}

impl Run<'_> {
    fn product<C: Columns>(
        self,
        rows: Rows,
        columns: C,
        bias: Bias,
        [row_count, images, width]: [usize; 3],
    ) {
        Product { rows, row_count, depth: self.depth, columns, bias }.run(images, width, self.out);
    }
}
