//! The operations as an extension of burn's CPU backend.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::attention::{self, Inputs};
use super::gemm::{Bias, Product};
use super::norm;
use super::operands::{Planes, Rows};
use super::patches::{Neighbours, Patches};
use super::project::{Entries, Matrix, project};
use super::temporal_attention;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::group_norm::GroupNormOptions;
use crate::kernels::project::Side;

/// Values that a task copies.
const COPY: usize = 1 << 16;

/// The fused operations. Arguments and shapes are those of the public functions.
#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
pub(in crate::kernels) trait CpuOps: Backend {
    /// See [`crate::kernels::group_norm`].
    fn group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: GroupNormOptions,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::layer_norm`].
    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::geglu`].
    fn geglu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`crate::kernels::attention`].
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::temporal_attention`].
    fn temporal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::conv2d`].
    fn conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Conv2dGeometry,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::temporal_conv`].
    fn temporal_conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        frames: usize,
    ) -> FloatTensor<Self>;

    /// See [`crate::kernels::project`]; an empty `bias` stands for none.
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        from: Side,
        to: Side,
    ) -> FloatTensor<Self>;
}

impl CpuOps for Flex {
    fn group_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: GroupNormOptions,
    ) -> FlexTensor {
        let shape = x.layout().shape();
        let (n, c) = (shape[0], shape[1]);
        let positions = shape.num_elements() / (n * c).max(1);
        let (weight, bias) = (weight.to_contiguous(), bias.to_contiguous());
        modified(x, |x| {
            norm::group_norm(x, [n, c, positions], scalars(&weight), scalars(&bias), options);
        })
    }

    fn layer_norm(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, eps: f64) -> FlexTensor {
        let (weight, bias) = (weight.to_contiguous(), bias.to_contiguous());
        modified(x, |x| norm::layer_norm(x, scalars(&weight), scalars(&bias), eps))
    }

    fn geglu(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let mut shape = x.layout().shape().clone();
        let last = shape.num_dims() - 1;
        shape[last] /= 2;
        let c = shape[last];
        filled(shape, |out| norm::geglu(scalars(&x), c, out))
    }

    fn attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, heads: usize) -> FlexTensor {
        let (q, k, v) = (q.to_contiguous(), k.to_contiguous(), v.to_contiguous());
        let [batch, queries, channels] = q.layout().shape().dims();
        let keys = k.layout().shape()[1];
        let sizes = attention::Sizes { batch, queries, keys, channels, heads };
        let inputs = Inputs { q: scalars(&q), k: scalars(&k), v: scalars(&v) };
        filled(q.layout().shape().clone(), |out| attention::attention(inputs, sizes, out))
    }

    fn temporal_attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, heads: usize) -> FlexTensor {
        let (q, k, v) = (q.to_contiguous(), k.to_contiguous(), v.to_contiguous());
        let [clips, frames, pixels, channels] = q.layout().shape().dims();
        let sizes = temporal_attention::Sizes { clips, frames, pixels, channels, heads };
        filled(q.layout().shape().clone(), |out| {
            let inputs = [scalars(&q), scalars(&k), scalars(&v)];
            temporal_attention::temporal_attention(inputs, sizes, out);
        })
    }

    fn conv2d(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        geometry: Conv2dGeometry,
    ) -> FlexTensor {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let [n, channels, height, width] = x.layout().shape().dims();
        let [channels_out, _, kernel, _] = weight.layout().shape().dims();
        let Conv2dGeometry { stride, pad_begin, pad_end } = geometry;
        let out_size = |size: usize| (size + pad_begin + pad_end - kernel) / stride + 1;
        let (out_height, out_width) = (out_size(height), out_size(width));
        let depth = channels * kernel * kernel;
        let rows = Rows::Contiguous { data: scalars(&weight), stride: depth };
        let bias = Bias::Row(scalars(&bias));
        let data = scalars(&x);
        filled(Shape::new([n, channels_out, out_height, out_width]), |out| {
            if kernel == 1 && stride == 1 && pad_begin + pad_end == 0 {
                let columns = Planes { data, depth, stride: height * width };
                Product { rows, row_count: channels_out, depth, columns, bias }.run(
                    n,
                    out_height * out_width,
                    out,
                );
            } else {
                let columns =
                    Patches { data, channels, height, width, kernel, stride, pad_begin, out_width };
                Product { rows, row_count: channels_out, depth, columns, bias }.run(
                    n,
                    out_height * out_width,
                    out,
                );
            }
        })
    }

    fn temporal_conv(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        frames: usize,
    ) -> FlexTensor {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let [n, channels, height, width] = x.layout().shape().dims();
        let [channels_out, _, taps, _, _] = weight.layout().shape().dims();
        let depth = channels * taps;
        let product = Product {
            rows: Rows::Contiguous { data: scalars(&weight), stride: depth },
            row_count: channels_out,
            depth,
            columns: Neighbours { data: scalars(&x), channels, frames, taps },
            bias: Bias::Row(scalars(&bias)),
        };
        filled(Shape::new([n, channels_out, height, width]), |out| {
            product.run(n, height * width, out);
        })
    }

    fn project(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        from: Side,
        to: Side,
    ) -> FlexTensor {
        let (x, bias) = (x.to_contiguous(), bias.to_contiguous());
        let [n, a, b] = x.layout().shape().dims();
        let (positions, depth) = match from {
            Side::Tokens => (a, b),
            Side::Pixels => (b, a),
        };
        let channels = weight.layout().shape()[1];
        let (weight, transposed) = as_it_lies(weight);
        let shape = match to {
            Side::Tokens => [n, positions, channels],
            Side::Pixels => [n, channels, positions],
        };
        filled(Shape::new(shape), |out| {
            let entries = Entries { data: scalars(&x), n, positions, side: from };
            let matrix = Matrix { data: scalars(&weight), depth, channels, transposed };
            let bias = Some(scalars(&bias)).filter(|bias| !bias.is_empty());
            project(entries, matrix, bias, to, out);
        })
    }
}

/// The values of a contiguous tensor.
pub(super) fn scalars(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("operands are contiguous, and f32 where this route is taken")
}

/// A new tensor that `fill` writes.
pub(super) fn filled(shape: Shape, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    tensor(values, shape)
}

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// A contiguous tensor with the values of a matrix, and whether it is the transposed one: the weight
/// of a 1×1 convolution is a transposed view, and serves as it lies.
pub(super) fn as_it_lies(matrix: FlexTensor) -> (FlexTensor, bool) {
    let view = matrix.transpose(0, 1);
    let transposed = view.layout().is_contiguous();
    (if transposed { view } else { matrix.to_contiguous() }, transposed)
}

/// `x` after `change`, in its own memory if nobody else uses it.
fn modified(mut x: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let layout = x.layout();
    let whole = layout.num_elements() * size_of::<f32>() == x.bytes().len();
    if whole && layout.is_contiguous() && x.is_unique() {
        change(x.storage_mut());
        return x;
    }
    let x = x.to_contiguous();
    filled(x.layout().shape().clone(), |out| {
        out.par_chunks_mut(COPY).zip(scalars(&x).par_chunks(COPY)).for_each(|(to, from)| {
            to.copy_from_slice(from);
        });
        change(out);
    })
}
