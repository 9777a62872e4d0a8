//! Convolution with windows of three by Winograd's minimal filtering F(2, 3), in both directions of
//! a picture or along the frames of a clip (Lavin and Gray, arXiv 1509.09308): 16 products for the
//! four outputs of a 3x3 window in place of 36, and 4 for two frames in place of 6.
//!
//! Four shaders: filters from the weight, input from the tiles of x, their products, and y from
//! these. What passes between them is float32 whatever the tensors are.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::DType;
use cubecl::server::Handle;

use super::bridge::{Launch, fold};
use super::gemm::{TILE_ROWS, Tiling};
use super::source::Shader;

/// About the bytes that each of the three intermediate buffers may take; what needs more runs in parts.
const SCRATCH: usize = 64 << 20;
/// Invocations of a workgroup, where they are independent.
const WORKGROUP: usize = 64;
/// With fewer channels the transforms take longer than the products.
const MIN_CHANNELS: usize = 32;
/// What the filters of one frequency cost, as [`Tiling::cost`] counts.
const COST_OF_FILTERS: usize = 8;

/// A window of three with one row of zeros around what it slides over, in each of its directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// 3x3 over pictures `[images, channels, rows, columns]`.
    Square,
    /// 3x1 over clips `[images, rows, channels, columns]`, whose frames are the rows.
    Frames,
}

impl Window {
    /// `WIDTH` of the shaders, columns of the window.
    const fn width(self) -> usize {
        match self {
            Self::Square => 3,
            Self::Frames => 1,
        }
    }

    /// `ACROSS` of the shaders, frequencies of a row of a tile.
    const fn frequencies_across(self) -> usize {
        match self {
            Self::Square => 4,
            Self::Frames => 1,
        }
    }

    const fn frequencies(self) -> usize {
        4 * self.frequencies_across()
    }

    /// Columns of y in a tile; rows are 2.
    const fn tile_columns(self) -> usize {
        match self {
            Self::Square => 2,
            Self::Frames => 1,
        }
    }
}

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution {
    pub(super) window: Window,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// Pictures or clips.
    pub(super) images: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Convolution {
    /// Whether this way is shorter than one product with every tap of the window.
    pub(super) fn pays(&self) -> bool {
        let pixels = self.images * self.rows * self.columns;
        let taps = 3 * self.window.width();
        let direct = taps * Tiling::new(self.out_channels, pixels).cost;
        let products = Tiling::new(self.out_channels, self.tiles()).cost;
        let winograd = self.window.frequencies() * (products + COST_OF_FILTERS);
        self.in_channels.min(self.out_channels) >= MIN_CHANNELS && winograd < direct
    }

    /// Fills `y` with the convolution of `x`; all are contiguous.
    pub(super) fn launch(
        &self,
        x: &CubeTensor,
        weight: &CubeTensor,
        bias: &CubeTensor,
        y: &CubeTensor,
    ) {
        let most = SCRATCH / size_of::<f32>() / self.window.frequencies();
        let channel_parts: Vec<_> =
            Part::split(self.out_channels, most / self.in_channels).collect();
        let widest = self.in_channels.max(channel_parts[0].len);
        for tiles in Part::split(self.tiles(), most / widest) {
            let v = self.inputs(x, tiles);
            for &channels in &channel_parts {
                let u = self.filters(weight, channels);
                let m = self.products(x, [&u, &v], [channels.len, tiles.len]);
                self.outputs([&m, &bias.handle], y, channels, tiles);
            }
        }
    }

    fn filters(&self, weight: &CubeTensor, channels: Part) -> Handle {
        let [pairs, first_pair] =
            [channels.len, channels.first].map(|channels| channels * self.in_channels);
        let u = self.scratch(weight, pairs);
        Launch {
            shader: self.transform("winograd_weight", weight.dtype),
            buffers: vec![weight.handle.clone(), u.clone()],
            sizes: &[pairs, first_pair].map(|size| size as u32),
            grid: spread(pairs),
        }
        .run(weight);
        u
    }

    fn inputs(&self, x: &CubeTensor, tiles: Part) -> Handle {
        let len = self.in_channels * tiles.len;
        let v = self.scratch(x, len);
        let channels = Part { first: 0, len: self.in_channels };
        Launch {
            shader: self.transform("winograd_input", x.dtype),
            buffers: vec![x.handle.clone(), v.clone()],
            sizes: &self.tile_sizes(channels, tiles, self.in_channels),
            grid: spread(len),
        }
        .run(x);
        v
    }

    fn products(
        &self,
        on: &CubeTensor,
        [u, v]: [&Handle; 2],
        [channels, tiles]: [usize; 2],
    ) -> Handle {
        let m = self.scratch(on, channels * tiles);
        let Tiling { tile_columns, grid: [x, y, _], .. } = Tiling::new(channels, tiles);
        Launch {
            shader: Shader::new("winograd_product", DType::F32, &[("TILE_N", tile_columns)]),
            buffers: vec![u.clone(), v.clone(), m.clone()],
            sizes: &[channels, self.in_channels, tiles].map(|size| size as u32),
            // A part has too few tiles for a folded grid.
            grid: [x, y, self.window.frequencies() as u32],
        }
        .run(on);
        m
    }

    fn outputs(&self, [m, bias]: [&Handle; 2], y: &CubeTensor, channels: Part, tiles: Part) {
        Launch {
            shader: self.transform("winograd_output", y.dtype),
            buffers: vec![m.clone(), bias.clone(), y.handle.clone()],
            sizes: &self.tile_sizes(channels, tiles, self.out_channels),
            grid: spread(channels.len * tiles.len),
        }
        .run(y);
    }

    /// `Sizes` of `winograd_tile` for a tensor of `all_channels`.
    fn tile_sizes(&self, channels: Part, tiles: Part, all_channels: usize) -> [u32; 11] {
        let Self { window, rows, columns, .. } = *self;
        let [channel_step, row_step] = match window {
            Window::Square => [rows * columns, columns],
            Window::Frames => [columns, all_channels * columns],
        };
        [
            channels.len,
            channels.first,
            tiles.len,
            tiles.first,
            self.tiles_down(),
            self.tiles_across(),
            rows,
            columns,
            all_channels * rows * columns,
            channel_step,
            row_step,
        ]
        .map(|size| size as u32)
    }

    fn transform(&self, name: &'static str, dtype: DType) -> Shader {
        let constants = [
            ("WIDTH", self.window.width()),
            ("ACROSS", self.window.frequencies_across()),
            ("WORKGROUP", WORKGROUP),
        ];
        Shader::new(name, dtype, &constants)
    }

    fn tiles(&self) -> usize {
        self.images * self.tiles_down() * self.tiles_across()
    }

    fn tiles_down(&self) -> usize {
        self.rows.div_ceil(2)
    }

    fn tiles_across(&self) -> usize {
        self.columns.div_ceil(self.window.tile_columns())
    }

    /// Memory for `len` values of every frequency.
    fn scratch(&self, on: &CubeTensor, len: usize) -> Handle {
        on.client.empty(self.window.frequencies() * len * size_of::<f32>())
    }
}

/// A stretch of channels or tiles.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: usize,
    len: usize,
}

impl Part {
    /// `count` things in about equal parts of at most about `most`.
    fn split(count: usize, most: usize) -> impl Iterator<Item = Self> {
        let parts = count.div_ceil(most.max(1));
        let len = count.div_ceil(parts).next_multiple_of(TILE_ROWS);
        (0..count).step_by(len).map(move |first| Self { first, len: len.min(count - first) })
    }
}

/// The grid of `count` independent invocations.
fn spread(count: usize) -> [u32; 3] {
    let [x, y] = fold(count.div_ceil(WORKGROUP));
    [x, y, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(images: usize, channels: [usize; 2], side: usize) -> bool {
        let [in_channels, out_channels] = channels;
        let (window, rows, columns) = (Window::Square, side, side);
        Convolution { window, in_channels, out_channels, images, rows, columns }.pays()
    }

    #[test]
    fn pays_for_the_unet_but_not_where_there_is_little_to_multiply() {
        assert!(square(13, [1280, 1280], 4));
        assert!(square(13, [2560, 1280], 8));
        assert!(square(1, [320, 320], 32));
        assert!(!square(13, [4, 320], 32), "few channels");
        assert!(!square(1, [1280, 1280], 4), "few pixels");
    }

    #[test]
    fn parts_cover_everything_once() {
        for (count, most) in [(1, 1), (1280, 819), (100, 64), (3328, 3276), (65, 7)] {
            let mut next = 0;
            for part in Part::split(count, most) {
                assert_eq!(part.first, next);
                assert!(part.len > 0 && part.len <= most.next_multiple_of(TILE_ROWS));
                next += part.len;
            }
            assert_eq!(next, count);
        }
    }
}
