//! Gradients of attention along the frames of every pixel; the formula is that of attention.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::Operation;
use super::attention::{Backward, HeadSizes};
use crate::kernels::flex::attention::Inputs;
use crate::kernels::flex::ops::{CpuOps, scalars, tensor};
use crate::kernels::flex::shared::Shared;
use crate::kernels::flex::temporal_attention::Sizes;

/// See [`crate::kernels::temporal_attention`]; operands are queries, keys and values.
#[derive(Clone, Debug)]
pub(super) struct TemporalAttention {
    pub(super) heads: usize,
}

impl Operation<3> for TemporalAttention {
    fn forward(&self, [q, k, v]: [FlexTensor; 3]) -> FlexTensor {
        Flex::temporal_attention(q, k, v, self.heads)
    }

    fn gradients(
        &self,
        operands: [FlexTensor; 3],
        gradient: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let operands = operands.map(|x| x.to_contiguous());
        let gradient = gradient.to_contiguous();
        let shape = gradient.layout().shape().clone();
        let [clips, frames, pixels, channels] = shape.dims();
        let sizes = Sizes { clips, frames, pixels, channels, heads: self.heads };
        let [q, k, v] = operands.each_ref().map(scalars);
        let mut out = [(); 3].map(|()| vec![0.0; shape.num_elements()]);
        let shared = out.each_mut().map(|values| Shared::new(values));
        sizes.groups().for_each(|group| {
            let [q, k, v, gradient] = [q, k, v, scalars(&gradient)].map(|x| group.gather(x));
            let mut local = [(); 3].map(|()| vec![0.0; group.len()]);
            let sizes = HeadSizes {
                queries: frames,
                keys: frames,
                width: channels / self.heads,
                stride: group.stride(),
            };
            Backward {
                inputs: Inputs { q: &q, k: &k, v: &v },
                gradient: &gradient,
                out: &local.each_mut().map(|values| Shared::new(values)),
                sizes,
            }
            .run(group.heads().map(|start| [start; 2]));
            for (local, out) in local.iter().zip(&shared) {
                // SAFETY: groups share no pixels.
                unsafe { group.scatter(local, out) };
            }
        });
        out.map(|values| Some(tensor(values, shape.clone())))
    }
}
