//! One case folder: its description, its tensors, and the comparison with what was recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::json;

/// A case folder inside the binary.
#[derive(Debug)]
pub struct EmbeddedCase {
    /// Name of the case.
    pub name: &'static str,
    /// `case.json`.
    pub json: &'static str,
    /// `weights.safetensors`.
    pub weights: &'static [u8],
    /// `inputs.safetensors`.
    pub inputs: &'static [u8],
    /// `outputs.safetensors`.
    pub outputs: &'static [u8],
}

/// Where the files of a case are.
#[derive(Debug)]
enum Source {
    Folder(PathBuf),
    Embedded(&'static EmbeddedCase),
}

/// A case, its tensors not yet read.
#[derive(Debug)]
pub struct Case {
    /// Name of the case.
    pub name: String,
    /// Kind of the case: which part of musev it exercises.
    pub kind: String,
    /// The whole `case.json`.
    pub json: Value,
    source: Source,
}

impl Case {
    /// Reads `case.json` of `folder`.
    ///
    /// # Errors
    /// When the file is missing, is not JSON or names no kind.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("case.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        Self::parse(&text, Source::Folder(folder.to_owned()))
    }

    /// Reads the case inside the binary.
    ///
    /// # Errors
    /// As [`Case::open`].
    pub fn embedded(case: &'static EmbeddedCase) -> Result<Self> {
        Self::parse(case.json, Source::Embedded(case))
    }

    fn parse(text: &str, source: Source) -> Result<Self> {
        let origin = source.file("case.json").display().to_string();
        let json: Value =
            json::from_python(text).map_err(|e| Error::config(origin.clone(), e.to_string()))?;
        let field = |key: &str| {
            json[key]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Error::config(origin.clone(), format!("has no text `{key}`")))
        };
        Ok(Self { name: field("name")?, kind: field("kind")?, source, json })
    }

    /// The largest relative error allowed; 0 for cases of exact values.
    pub fn tolerance(&self) -> f64 {
        self.json["tolerance"]["rel"].as_f64().unwrap_or(0.0)
    }

    /// `config.variant`, for the kinds that have one.
    pub fn variant(&self) -> Option<&str> {
        self.json["config"]["variant"].as_str()
    }

    /// `config.scheduler`, for the kinds that have one.
    pub fn scheduler(&self) -> Option<&str> {
        self.json["config"]["scheduler"].as_str()
    }

    /// `config`, or the part of it at `pointer` (JSON pointer such as `/unet`), as a `T`.
    pub fn config<T: DeserializeOwned>(&self, pointer: &str) -> Result<T> {
        let value = self.json["config"].pointer(pointer).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|e| self.error(format!("config{pointer}: {e}")))
    }

    /// The rows of a case that holds arguments and results instead of tensors.
    pub fn rows(&self) -> Result<&[Value]> {
        self.json["rows"].as_array().map(Vec::as_slice).ok_or_else(|| self.error("has no rows"))
    }

    /// The weights of this case, or of the case named by `weights_from` beside it.
    pub fn weights(&self) -> Result<Weights> {
        match (&self.source, self.json["weights_from"].as_str()) {
            (Source::Folder(folder), Some(other)) => {
                Weights::open(&folder.with_file_name(other).join("weights.safetensors"))
            }
            (source, _) => source.open("weights.safetensors"),
        }
    }

    /// The recorded inputs.
    pub fn inputs(&self) -> Result<Tensors> {
        self.tensors("inputs.safetensors")
    }

    /// The recorded outputs.
    pub fn outputs(&self) -> Result<Tensors> {
        self.tensors("outputs.safetensors")
    }

    /// An error about this case.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::config(self.source.file("case.json").display().to_string(), reason)
    }

    fn tensors(&self, file: &str) -> Result<Tensors> {
        let weights = self.source.open(file)?;
        let names: Vec<String> = weights.names().map(str::to_owned).collect();
        let read = |name: String| Ok((name.clone(), weights.tensor(&name)?));
        let map = names.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Tensors { map, path: self.source.file(file) })
    }
}

impl Source {
    /// What errors call the file `name`.
    fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Embedded(case) => Path::new(case.name).join(name),
        }
    }

    /// The tensors of the file `name`.
    fn open(&self, name: &str) -> Result<Weights> {
        let path = self.file(name);
        match self {
            Self::Folder(_) => Weights::open(&path),
            Self::Embedded(case) => {
                let bytes = match name {
                    "weights.safetensors" => case.weights,
                    "inputs.safetensors" => case.inputs,
                    _ => case.outputs,
                };
                Weights::from_bytes(&path.to_string_lossy(), bytes.to_vec())
            }
        }
    }
}

/// The tensors of one file of a case.
#[derive(Debug)]
pub struct Tensors {
    map: BTreeMap<String, TensorData>,
    path: PathBuf,
}

impl Tensors {
    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// The tensor `name` as recorded.
    pub fn data(&self, name: &str) -> Result<&TensorData> {
        self.map
            .get(name)
            .ok_or_else(|| Error::checkpoint(&self.path, format!("has no tensor {name}")))
    }

    /// The tensor `name` as float32 on `device`.
    pub fn float<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>> {
        let data = self.data(name)?;
        if data.shape().num_dims() != D {
            let reason = format!("tensor {name} has shape {:?}, not {D} axes", data.shape());
            return Err(Error::checkpoint(&self.path, reason));
        }
        Ok(Tensor::from_data(data.clone().convert::<f32>(), device))
    }

    /// The tensor `name` as integers on `device`.
    pub fn int<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D, Int>> {
        Ok(Tensor::from_data(self.data(name)?.clone().convert::<i32>(), device))
    }

    /// All values of the tensor `name`.
    pub fn values(&self, name: &str) -> Result<Vec<f32>> {
        self.data(name)?
            .clone()
            .convert::<f32>()
            .try_to_vec::<f32>()
            .map_err(|e| Error::checkpoint(&self.path, format!("tensor {name}: {e:?}")))
    }

    /// Compares `got` with the tensor `name`.
    pub async fn compare<const D: usize>(&self, name: &str, got: Tensor<D>) -> Result<Comparison> {
        let data = got.into_data_async().await.map_err(|e| Error::Device {
            requested: "readback".to_owned(),
            reason: format!("{e:?}"),
        })?;
        let want = self.data(name)?;
        if data.shape() != want.shape() {
            return Ok(Comparison {
                output: format!("{name}: shape {:?}, expected {:?}", data.shape(), want.shape()),
                error: f64::INFINITY,
            });
        }
        let got: Vec<f32> = data.convert::<f32>().iter::<f32>().collect();
        self.compare_values(name, &got)
    }

    /// Compares the values `got`, in row-major order, with the tensor `name`.
    pub fn compare_values(&self, name: &str, got: &[f32]) -> Result<Comparison> {
        Ok(Comparison { output: name.to_owned(), error: relative_error(got, &self.values(name)?) })
    }
}

/// How far one output is from what was recorded.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Name of the output.
    pub output: String,
    /// `max|got - want| / max|want|`; infinite where shapes differ or a value is not a number.
    pub error: f64,
}

impl Comparison {
    /// The comparison of exact values: error 0 when `got` equals `want`, else 1.
    pub fn exact<T: PartialEq>(output: impl Into<String>, got: &T, want: &T) -> Self {
        Self { output: output.into(), error: f64::from(u8::from(got != want)) }
    }
}

fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    if got.len() != want.len() || got.iter().any(|v| !v.is_finite()) {
        return f64::INFINITY;
    }
    let scale = want.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let difference =
        got.iter().zip(want).fold(0.0f64, |m, (g, w)| m.max((f64::from(*g) - f64::from(*w)).abs()));
    if difference == 0.0 { 0.0 } else { difference / scale.max(f64::MIN_POSITIVE) }
}
