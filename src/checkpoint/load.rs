//! From [`Weights`] into a module: everything checked first, then tensor by tensor.

use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};

use super::convert::{is_float, to_float, transposed};
use super::entry::TensorInfo;
use super::keys::{KeyRename, matches_glob};
use super::state_dict::{Position, Slot, slots};
use super::weights::{Weights, shortened};
use crate::error::{Error, Result};

/// Buffers that older files carry and no network needs: transformers wrote the positions
/// `0..77` of the CLIP text encoder into its checkpoints until 4.31.
const IGNORED: [&str; 1] = ["*.position_ids"];

/// Whether a tensor is one of those that no network needs.
pub(super) fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|glob| matches_glob(glob, name))
}

/// How weights go into a module.
#[derive(Clone, Debug)]
pub struct LoadOptions<'a> {
    /// The network, as users know it: "unet", "vae", "text_encoder".
    pub part: &'a str,
    /// Renames between module paths and state-dict keys, the `KEYS` of the network.
    pub keys: &'a [KeyRename],
    /// Globs of tensors that may be absent from the file, or from the network. A parameter left
    /// out keeps its initial value.
    pub allow_missing: &'a [String],
    /// Element type of the loaded parameters.
    pub dtype: FloatDType,
}

/// Fills every parameter of `module` on `device` from `weights`.
///
/// Names and shapes are compared before anything is read, and all that is missing, unused or
/// misshapen is listed in one [`Error::Weights`]. Then each tensor is read, converted and handed
/// to the device in turn, so host memory holds one of them at a time. A module that was built but
/// not loaded has allocated nothing.
pub fn load<M: Module>(
    module: M,
    weights: &Weights,
    options: &LoadOptions<'_>,
    device: &Device,
) -> Result<M> {
    let sources = matched(slots(&module, options.keys), weights, options)?;
    let mut loader = Loader {
        weights,
        sources,
        dtype: options.dtype,
        device,
        at: Position::default(),
        failed: None,
    };
    let module = module.to_device(device).map(&mut loader);
    match loader.failed {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Whether `weights` fill `module`: what [`load`] checks before it reads.
///
/// # Errors
/// Lists what is missing, unused or misshapen.
pub fn check<M: Module>(module: &M, weights: &Weights, options: &LoadOptions<'_>) -> Result<()> {
    matched(slots(module, options.keys), weights, options).map(|_| ())
}

/// Where a parameter comes from.
struct Origin {
    name: String,
    transposed: bool,
}

/// The tensor for each parameter path, or the list of everything that does not fit.
fn matched(
    slots: Vec<Slot>,
    weights: &Weights,
    options: &LoadOptions<'_>,
) -> Result<HashMap<String, Origin>> {
    let allowed = |name: &str| options.allow_missing.iter().any(|glob| matches_glob(glob, name));
    let mut report = Report::default();
    let mut sources = HashMap::new();
    let mut used = HashSet::new();
    for Slot { path, names, shape, transposed } in slots {
        let found = names.iter().find_map(|name| Some((name, weights.info(name)?)));
        let Some((name, info)) = found else {
            if !names.iter().any(|name| allowed(name)) {
                report.missing.push(format!("{} {shape:?}", names[0]));
            }
            continue;
        };
        used.insert(name.clone());
        match mismatch(info, &shape) {
            Some(problem) => report.misshapen.push(format!("{name} ({problem})")),
            None => {
                sources.insert(path, Origin { name: name.clone(), transposed });
            }
        }
    }
    for name in weights.names().filter(|name| !used.contains(*name)) {
        if !allowed(name) && !is_ignored(name) {
            let shape = weights.info(name).map(|info| info.shape.clone()).unwrap_or_default();
            report.unused.push(format!("{name} {shape:?}"));
        }
    }
    report.into_result(weights, options.part).map(|()| sources)
}

/// What keeps a stored tensor from filling a parameter of this shape. Trailing dimensions of one
/// do not count: old files keep the attention projections of the VAE as 1x1 convolutions.
pub(super) fn mismatch(info: &TensorInfo, shape: &[usize]) -> Option<String> {
    if !fits(&info.shape, shape) {
        Some(format!("{:?} in the file, {shape:?} in the network", info.shape))
    } else if !is_float(info.dtype) {
        Some(format!("{:?} in the file, a float type in the network", info.dtype))
    } else {
        None
    }
}

/// Whether two shapes are the same up to trailing dimensions of one.
pub(super) fn fits(one: &[usize], other: &[usize]) -> bool {
    let trimmed = |shape: &[usize]| {
        let kept = shape.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
        shape[..kept].to_vec()
    };
    trimmed(one) == trimmed(other)
}

/// Everything that does not fit, for one message.
#[derive(Default)]
struct Report {
    missing: Vec<String>,
    unused: Vec<String>,
    misshapen: Vec<String>,
}

impl Report {
    fn into_result(self, weights: &Weights, part: &str) -> Result<()> {
        let lists = [
            ("missing from the file", &self.missing),
            ("unknown to the network", &self.unused),
            ("of another shape or type", &self.misshapen),
        ];
        let problems: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("\n  {} {what}: {}", names.len(), shortened(names)))
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        let mut reason = format!("{}{}", weights.origin().display(), problems.concat());
        if self.misshapen.is_empty() {
            reason.push_str(
                "\n  if that is intended, --allow-missing PATTERN (with * and ?) lets tensors be \
                 absent on either side",
            );
        } else {
            reason.push_str("\n  the file belongs to another network, or to another size of it");
        }
        Err(Error::Weights { part: part.to_string(), reason })
    }
}

/// Replaces parameters one by one. A read error is kept and stops all further reading.
struct Loader<'a> {
    weights: &'a Weights,
    sources: HashMap<String, Origin>,
    dtype: FloatDType,
    device: &'a Device,
    at: Position,
    failed: Option<Error>,
}

impl Loader<'_> {
    fn read<const D: usize>(&self, origin: &Origin, shape: [usize; D]) -> Result<Tensor<D>> {
        let mut data = self.weights.tensor(&origin.name)?;
        if origin.transposed {
            let [rows, columns] = [shape[1], shape[0]];
            data = transposed(data, [rows, columns]);
        }
        let (bytes, _, dtype) = to_float(data, self.dtype).into_parts();
        let data = burn::tensor::TensorData::from_bytes(bytes, shape, dtype);
        // Weights live as long as the module, so they get memory of their own size instead of a
        // slice of the pool for activations.
        let options = (self.device, DType::from(self.dtype));
        Ok(self
            .device
            .memory_persistent_allocations(data, move |data| Tensor::from_data(data, options)))
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.at.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.at.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let Some(origin) = self.sources.get(&self.at.path()) else {
            // Allowed to be missing: the initial value stays, in the type of all the others.
            let dtype = self.dtype;
            return param.init_mapper(move |tensor| tensor.cast(dtype));
        };
        match self.read(origin, param.lazy_shape().dims()) {
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.failed = Some(error);
                param
            }
        }
    }
}
