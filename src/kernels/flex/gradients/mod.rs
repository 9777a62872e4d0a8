//! Gradients of the fused loops, so that training on the CPU runs the operations of inference.
//!
//! Nothing but the operands is kept for the backward pass: normalised values, attention weights and
//! patches are computed again, which is cheaper than reading them back from memory.

mod attention;
mod conv2d;
mod geglu;
mod group_norm;
mod layer_norm;
mod long_product;
mod project;
mod sums;
mod temporal_attention;
mod temporal_conv;

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn_flex::FlexTensor;

use super::ops::CpuOps;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::group_norm::GroupNormOptions;
use crate::kernels::project::Side;

/// A differentiable operation of `N` operands; the type holds everything that is no tensor.
trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// The result.
    fn forward(&self, operands: [FlexTensor; N]) -> FlexTensor;

    /// The gradients of the operands, given that of the result; those not `wanted` may be left out.
    fn gradients(
        &self,
        operands: [FlexTensor; N],
        gradient: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// The backward pass of an [`Operation`].
#[derive(Debug)]
struct Step<O>(PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = (O, [NodeId; N]);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (operation, saved) = ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node);
        let operands = saved.map(|id| checkpointer.retrieve_node_output::<FlexTensor>(id));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = operation.gradients(operands, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Runs `operation` and records it for the backward pass, if an operand is tracked.
fn record<C: CheckpointStrategy, O: Operation<N>, const N: usize>(
    operation: O,
    operands: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = operands.each_ref().map(|x| x.node());
    let prepared = Backward::<Flex, N>::prepare::<C>(Step::<O>(PhantomData), nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(mut prepared) => {
            let saved = operands.each_ref().map(|x| prepared.checkpoint(x));
            let out = operation.forward(operands.map(|x| x.into_primitive()));
            prepared.finish((operation, saved), out)
        }
        OpsKind::UnTracked(prepared) => {
            prepared.finish(operation.forward(operands.map(|x| x.into_primitive())))
        }
    }
}

impl<C: CheckpointStrategy> CpuOps for Autodiff<Flex, C> {
    fn group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: GroupNormOptions,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(group_norm::GroupNorm(options), [x, weight, bias])
    }

    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(layer_norm::LayerNorm { eps }, [x, weight, bias])
    }

    fn geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, 1>(geglu::Geglu, [x])
    }

    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(attention::Attention { heads }, [q, k, v])
    }

    fn temporal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(temporal_attention::TemporalAttention { heads }, [q, k, v])
    }

    fn conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Conv2dGeometry,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(conv2d::Conv2d(geometry), [x, weight, bias])
    }

    fn temporal_conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        frames: usize,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(temporal_conv::TemporalConv { frames }, [x, weight, bias])
    }

    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        from: Side,
        to: Side,
    ) -> FloatTensor<Self> {
        record::<C, _, 3>(project::Project { from, to }, [x, weight, bias])
    }
}
