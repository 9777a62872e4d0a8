//! From a module to the bytes of a file of weights.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{FloatDType, Tensor, TensorData};
use safetensors::tensor::{Dtype, TensorView};

use super::convert::{to_float, transposed};
use super::keys::KeyRename;
use super::state_dict::Position;

/// The parameters of `module`, named and laid out as PyTorch has them: what
/// [`load`](super::load) reads. Names begin with `prefix`.
pub fn tensors<M: Module>(
    module: &M,
    keys: &[KeyRename],
    prefix: &str,
) -> Vec<(String, TensorData)> {
    let mut reader = Reader { keys, prefix, at: Position::default(), tensors: Vec::new() };
    module.visit(&mut reader);
    reader.tensors
}

/// `tensors` as a safetensors file, in `dtype`.
///
/// # Panics
/// When `dtype` is float64, which no checkpoint has.
pub fn to_safetensors(tensors: Vec<(String, TensorData)>, dtype: FloatDType) -> Vec<u8> {
    let kind = match dtype {
        FloatDType::F16 => Dtype::F16,
        FloatDType::BF16 => Dtype::BF16,
        FloatDType::F32 => Dtype::F32,
        other => panic!("{other:?} is no type of checkpoints"),
    };
    let tensors: Vec<(String, TensorData)> =
        tensors.into_iter().map(|(name, data)| (name, to_float(data, dtype))).collect();
    let views = tensors.iter().map(|(name, data)| {
        let shape = data.shape().to_vec();
        let view = TensorView::new(kind, shape, data.as_bytes());
        (name.as_str(), view.expect("the bytes are those of the shape"))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).expect("names and shapes fit into a header")
}

struct Reader<'a> {
    keys: &'a [KeyRename],
    prefix: &'a str,
    at: Position,
    tensors: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.at.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.at.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let names = self.at.names(self.keys);
        let name = names.into_iter().next().expect("a name is always given");
        let mut data = param.val().into_data();
        if D == 2 && self.at.is_linear_weight() {
            let [rows, columns] = [data.shape()[0], data.shape()[1]];
            data = transposed(data, [rows, columns]);
        }
        self.tensors.push((format!("{}{name}", self.prefix), data));
    }
}
