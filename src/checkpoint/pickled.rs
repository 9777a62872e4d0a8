//! The values of a pickle, how many there may be, and the few callables that may make them.

use burn::tensor::{BoolStore, DType};

/// Most items ever put into containers: about 30 for each of 30 000 tensors.
const MAX_CONTENTS: usize = 1 << 20;

/// Most dimensions of a tensor: its shape is copied for each of its names.
pub(super) const MAX_DIMENSIONS: usize = 16;

/// What the machine computes with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Something that is of no use to a state dict: None, floats, bytes, huge integers.
    Other,
    Int(i64),
    Text(&'a str),
    Callable(Callable),
    /// An index into the arena.
    Node(usize),
}

/// The callables a program may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Callable {
    OrderedDict,
    /// PyTorch's module of named parameters, in which older code keeps learned vectors: read as the
    /// dict of its parameters.
    ParameterDict,
    RebuildTensor,
    RebuildParameter,
    /// Something of a training run, which stands for nothing: never called, whatever it is given.
    Inert,
    /// A storage class, which stands for the type of its elements.
    Storage(DType),
}

/// A container, or something a callable made.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<StoredTensor<'a>>),
}

/// The elements that one or more tensors share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: DType,
    pub(super) elements: usize,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(super) struct StoredTensor<'a> {
    pub(super) storage: Storage<'a>,
    /// In elements, as are the strides.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// How many items were ever put into containers. Each is an instruction of at least one byte, and
/// what `torch.save` has copied takes several; more items than bytes are copies of copies.
#[derive(Default)]
pub(super) struct Contents(usize);

impl Contents {
    /// Counts `items` that are about to be put somewhere, when `read` bytes of the program are read.
    pub(super) fn add(&mut self, items: usize, read: usize) -> Result<(), String> {
        self.0 = self.0.saturating_add(items);
        let most = read.min(MAX_CONTENTS);
        if self.0 > most { Err(format!("containers of more than {most} items")) } else { Ok(()) }
    }
}

/// The callable of that name, or an error that says what the file asked for.
pub(super) fn callable(module: &str, name: &str) -> Result<Callable, String> {
    let storage = |dtype| Ok(Callable::Storage(dtype));
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Callable::OrderedDict),
        ("torch.nn.modules.container", "ParameterDict") => Ok(Callable::ParameterDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Callable::RebuildParameter),
        // Modules hold an empty set; checkpoints of PyTorch Lightning counters of numpy and the class
        // of a callback.
        ("__builtin__" | "builtins", "set")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | ("numpy", "dtype")
        | ("_codecs", "encode")
        | ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint") => {
            Ok(Callable::Inert)
        }
        ("torch", "DoubleStorage") => storage(DType::F64),
        ("torch", "FloatStorage") => storage(DType::F32),
        ("torch", "HalfStorage") => storage(DType::F16),
        ("torch", "BFloat16Storage") => storage(DType::BF16),
        ("torch", "LongStorage") => storage(DType::I64),
        ("torch", "IntStorage") => storage(DType::I32),
        ("torch", "ShortStorage") => storage(DType::I16),
        ("torch", "CharStorage") => storage(DType::I8),
        ("torch", "ByteStorage") => storage(DType::U8),
        ("torch", "BoolStorage") => storage(DType::Bool(BoolStore::Native)),
        _ => Err(format!(
            "it asks for the Python object {module}.{name}, and nothing in a weights file is ever \
             executed; save the state dict alone, best as safetensors"
        )),
    }
}
