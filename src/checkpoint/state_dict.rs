//! What a module holds, spelt as its PyTorch state dict.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::keys::{KeyRename, names_of};

/// Names and shapes of a module's tensors as PyTorch has them, in the module's order. Nothing is
/// allocated: parameters know their shape before they are initialised.
pub fn state_dict<M: Module>(module: &M, keys: &[KeyRename]) -> Vec<(String, Vec<usize>)> {
    let named =
        |slot: Slot| (slot.names.into_iter().next().expect("a name is always given"), slot.shape);
    slots(module, keys).into_iter().map(named).collect()
}

/// One parameter of a module.
pub(super) struct Slot {
    /// Its path in the module.
    pub(super) path: String,
    /// State-dict names: the name, then older spellings.
    pub(super) names: Vec<String>,
    /// Its shape in PyTorch.
    pub(super) shape: Vec<usize>,
    /// PyTorch keeps a linear layer's weight as `[out, in]`, burn as `[in, out]`.
    pub(super) transposed: bool,
}

/// The float parameters of a module; no network here has others.
pub(super) fn slots<M: Module>(module: &M, keys: &[KeyRename]) -> Vec<Slot> {
    let mut collector = Collector { keys, at: Position::default(), slots: Vec::new() };
    module.visit(&mut collector);
    collector.slots
}

/// Where a traversal stands in the module tree. Names of enum variants are not part of a path.
#[derive(Default)]
pub(super) struct Position {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Position {
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.push(name.to_string());
        }
        self.containers.push(container.to_string());
    }

    pub(super) fn exit(&mut self) {
        let container = self.containers.pop().expect("every exit follows its enter");
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    pub(super) fn path(&self) -> String {
        self.path.join(".")
    }

    /// State-dict names of the parameter here: the name, then older spellings.
    pub(super) fn names(&self, keys: &[KeyRename]) -> Vec<String> {
        names_of(&self.path, keys)
    }

    pub(super) fn is_linear_weight(&self) -> bool {
        let in_linear =
            self.containers.last().is_some_and(|container| container == "Struct:Linear");
        in_linear && self.path.last().is_some_and(|name| name == "weight")
    }
}

struct Collector<'a> {
    keys: &'a [KeyRename],
    at: Position,
    slots: Vec<Slot>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.at.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.at.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let transposed = D == 2 && self.at.is_linear_weight();
        let mut shape = param.lazy_shape().to_vec();
        if transposed {
            shape.reverse();
        }
        let names = self.at.names(self.keys);
        self.slots.push(Slot { path: self.at.path(), names, shape, transposed });
    }
}
