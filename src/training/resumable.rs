//! Optimisers whose state can be read on any machine.

use burn::optim::{Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

/// An optimiser whose saved state is read onto the CPU, from where the next update takes it to the
/// weights. burn alone reads it onto its default device, a GPU that not every machine has.
#[derive(Clone)]
pub(super) struct Resumable<O>(pub(super) O);

/// A state that is read onto the CPU.
#[derive(Clone)]
pub(super) struct State<S>(S);

impl<O: Optimizer> Optimizer for Resumable<O> {
    type State<const D: usize> = State<O::State<D>>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let state = state.map(|State(state)| state);
        let (weight, state) = self.0.step(learning_rate, weight, gradient, state);
        (weight, state.map(State))
    }

    fn to_device<const D: usize>(State(state): Self::State<D>, device: &Device) -> Self::State<D> {
        State(O::to_device(state, device))
    }
}

impl<S: RecordState> RecordState for State<S> {
    fn state_flatten(&self, prefix: &str, sink: &mut StateSink) {
        self.0.state_flatten(prefix, sink);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        S::state_unflatten(prefix, source, &Device::flex()).map(State)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::{RecordState, StateSink, StateSource};
    use burn::tensor::Device;

    use super::State;

    #[test]
    fn a_state_is_read_onto_the_cpu() {
        struct Asked(Device);
        impl RecordState for Asked {
            fn state_flatten(&self, _: &str, _: &mut StateSink) {}

            fn state_unflatten(_: &str, _: &mut StateSource, device: &Device) -> Option<Self> {
                Some(Self(device.clone()))
            }
        }
        let gpu = Device::wgpu(Default::default());
        let State(Asked(device)) =
            RecordState::state_unflatten("", &mut StateSource::default(), &gpu).unwrap();
        assert_eq!(device, Device::flex());
    }
}
