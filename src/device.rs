//! Choosing and starting the device that computes.

use std::fmt;
use std::str::FromStr;

use async_lock::Mutex;
use burn::tensor::wgpu::WgpuInitError;
use burn::tensor::{DType, Device, DeviceKind, FloatDType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What `--device` accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best real GPU, otherwise the CPU.
    #[default]
    Auto,
    /// A GPU through wgpu (Vulkan, Metal, DX12), software adapters included.
    Wgpu(AdapterChoice),
    /// An NVIDIA GPU through CUDA, by index.
    Cuda(usize),
    /// The CPU.
    Cpu,
}

/// Which of the wgpu adapters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best one.
    #[default]
    Best,
    /// The one `musev devices` lists under this number.
    Index(usize),
    /// The first whose name contains this text, letter case aside.
    Name(String),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", None) => Ok(Self::Cuda(0)),
            ("cuda", Some(index)) => index.parse().map(Self::Cuda).map_err(|_| unknown(text)),
            ("wgpu", None) => Ok(Self::Wgpu(AdapterChoice::Best)),
            ("wgpu", Some(name)) if !name.is_empty() => Ok(Self::Wgpu(match name.parse() {
                Ok(index) => AdapterChoice::Index(index),
                Err(_) => AdapterChoice::Name(name.to_owned()),
            })),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> Error {
    Error::Device {
        requested: text.to_owned(),
        reason: "expected auto, cpu, wgpu, wgpu:NUMBER, wgpu:NAME, cuda or cuda:NUMBER".to_owned(),
    }
}

/// Precision in which the networks compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float16 where the device has it and is no CPU, otherwise float32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats; sums are kept in 32 bits.
    F16,
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" | "float32" | "fp32" => Ok(Self::F32),
            "f16" | "float16" | "fp16" => Ok(Self::F16),
            _ => Err(Error::request("dtype", format!("{text} is none of auto, f32, f16"))),
        }
    }
}

/// A started device.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// The device.
    pub device: Device,
    /// What it is, for people: "NVIDIA RTX 4090 (Vulkan)", "CPU (16 threads)".
    pub description: String,
    /// Precision in which networks compute on it.
    pub dtype: FloatDType,
}

impl OpenDevice {
    /// Starts the device that `choice` names, or hands out the one that runs already: whoever asks for the
    /// same one shares it.
    ///
    /// # Errors
    /// When there is no such device, it does not start, or it lacks the precision.
    pub async fn start(choice: &DeviceChoice, precision: Precision) -> Result<Self> {
        let (device, description, is_gpu) = match choice {
            DeviceChoice::Cpu => cpu(),
            DeviceChoice::Cuda(index) => cuda(*index)?,
            DeviceChoice::Wgpu(which) => wgpu(&pick(adapters(), which)?).await?,
            DeviceChoice::Auto => match automatic_adapter(&adapters()) {
                Some(adapter) => wgpu(adapter).await?,
                None => cpu(),
            },
        };
        let has_f16 = device.supports_dtype(FloatDType::F16);
        let dtype = match precision {
            Precision::Auto if is_gpu && has_f16 => FloatDType::F16,
            Precision::Auto | Precision::F32 => FloatDType::F32,
            Precision::F16 if has_f16 => FloatDType::F16,
            Precision::F16 => {
                return Err(Error::Device {
                    requested: description,
                    reason: "it has no 16-bit floats; use --dtype f32".to_owned(),
                });
            }
        };
        tracing::info!(device = %description, ?dtype, "device started");
        Ok(Self { device, description, dtype })
    }

    /// Whether it is the CPU, so that its memory is that of the program.
    pub fn is_cpu(&self) -> bool {
        self.device == Device::flex()
    }

    /// Bytes of a number in [`OpenDevice::dtype`].
    pub fn number_bytes(&self) -> usize {
        DType::from(self.dtype).size()
    }
}

/// The CPU as [`OpenDevice::description`] tells it.
pub fn cpu_description() -> String {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    format!("CPU ({threads} thread{plural})")
}

fn cpu() -> (Device, String, bool) {
    (Device::flex(), cpu_description(), false)
}

/// Names of the CUDA devices, in the order of `cuda:NUMBER`; none in builds without CUDA.
#[cfg(feature = "cuda")]
pub fn cuda_devices() -> Vec<String> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    let name = |device: &Device| device.identity().map(|identity| identity.name);
    found.iter().map(|device| name(device).unwrap_or_else(|| "NVIDIA GPU".to_owned())).collect()
}

/// Names of the CUDA devices, in the order of `cuda:NUMBER`; none in builds without CUDA.
#[cfg(not(feature = "cuda"))]
pub fn cuda_devices() -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<(Device, String, bool)> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
    if index >= found {
        return Err(Error::Device {
            requested: format!("cuda:{index}"),
            reason: format!("{found} CUDA devices were found; see musev devices"),
        });
    }
    let device = Device::cuda(index);
    let name = device.identity().map_or_else(|| "NVIDIA GPU".to_owned(), |id| id.name);
    Ok((device, format!("{name} (CUDA)"), true))
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<(Device, String, bool)> {
    Err(Error::Device {
        requested: format!("cuda:{index}"),
        reason: "this build has no CUDA; use --device wgpu, or build with --features cuda"
            .to_owned(),
    })
}

/// A GPU, or a software stand-in, that wgpu can reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Adapter {
    /// Number to name it by: `--device wgpu:NUMBER`.
    pub index: usize,
    /// Name as the driver gives it.
    pub name: String,
    /// What kind of device it is.
    pub kind: AdapterKind,
    /// Graphics API that reaches it: "vulkan", "metal", "dx12".
    pub api: String,
    /// Driver name and version.
    pub driver: String,
    #[serde(skip)]
    selector: Selector,
}

/// What an [`Adapter`] is made of, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A graphics card of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU handed through by a hypervisor.
    Virtual,
    /// The driver does not say.
    Unknown,
    /// A program that imitates a GPU on the processor.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Software => "software",
            Self::Unknown => "unknown",
        })
    }
}

/// How the runtime addresses an adapter: every kind counts from 0 within one graphics API.
#[derive(Clone, Debug, PartialEq)]
struct Selector {
    kind: DeviceKind,
    api: burn::tensor::wgpu::WgpuBackend,
}

impl Adapter {
    fn is_gpu(&self) -> bool {
        self.kind != AdapterKind::Software
    }
}

/// Every adapter that wgpu can reach, in the order of `musev devices`; empty where there is no
/// driver.
#[cfg(not(target_family = "wasm"))]
pub fn adapters() -> Vec<Adapter> {
    use burn::tensor::wgpu::{WgpuBackend, wgpu};
    let apis = [
        (wgpu::Backend::Vulkan, WgpuBackend::Vulkan),
        (wgpu::Backend::Metal, WgpuBackend::Metal),
        (wgpu::Backend::Dx12, WgpuBackend::Dx12),
    ];
    let mut found: Vec<Adapter> = Vec::new();
    for (backend, api) in apis {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let mut counts = [0usize; 3];
        for adapter in pollster::block_on(instance.enumerate_adapters(backend.into())) {
            let info = adapter.get_info();
            let mut next = |slot: usize| {
                counts[slot] += 1;
                counts[slot] - 1
            };
            let (kind, selector) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => {
                    (AdapterKind::Discrete, DeviceKind::DiscreteGpu(next(0)))
                }
                wgpu::DeviceType::IntegratedGpu => {
                    (AdapterKind::Integrated, DeviceKind::IntegratedGpu(next(1)))
                }
                wgpu::DeviceType::VirtualGpu => {
                    (AdapterKind::Virtual, DeviceKind::VirtualGpu(next(2)))
                }
                wgpu::DeviceType::Cpu => (AdapterKind::Software, DeviceKind::Cpu),
                wgpu::DeviceType::Other => (AdapterKind::Unknown, DeviceKind::DefaultDevice),
            };
            found.push(Adapter {
                index: found.len(),
                name: info.name,
                kind,
                api: backend.to_str().to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                selector: Selector { kind: selector, api },
            });
        }
    }
    found
}

/// A browser lists no adapters: the one it will choose stands for all.
#[cfg(target_family = "wasm")]
pub fn adapters() -> Vec<Adapter> {
    vec![Adapter {
        index: 0,
        name: "the browser's adapter".to_owned(),
        kind: AdapterKind::Unknown,
        api: "webgpu".to_owned(),
        driver: String::new(),
        selector: Selector {
            kind: DeviceKind::DefaultDevice,
            api: burn::tensor::wgpu::WgpuBackend::Auto,
        },
    }]
}

/// The adapter that [`DeviceChoice::Auto`] takes: the best real GPU; `None` stands for the CPU.
pub fn automatic_adapter(adapters: &[Adapter]) -> Option<&Adapter> {
    best(adapters).filter(|adapter| adapter.is_gpu())
}

fn best(adapters: &[Adapter]) -> Option<&Adapter> {
    adapters.iter().min_by_key(|adapter| adapter.kind)
}

fn pick(adapters: Vec<Adapter>, which: &AdapterChoice) -> Result<Adapter> {
    let names: Vec<_> = adapters.iter().map(|a| format!("{}: {}", a.index, a.name)).collect();
    let (requested, found) = match which {
        AdapterChoice::Best => ("wgpu".to_owned(), best(&adapters).cloned()),
        AdapterChoice::Index(index) => (format!("wgpu:{index}"), adapters.get(*index).cloned()),
        AdapterChoice::Name(name) => {
            let wanted = name.to_lowercase();
            let mut matching = adapters.iter().filter(|a| a.name.to_lowercase().contains(&wanted));
            (format!("wgpu:{name}"), matching.next().cloned())
        }
    };
    found.ok_or_else(|| Error::Device {
        requested,
        reason: if names.is_empty() {
            "no graphics adapter was found; install a Vulkan driver, or use --device cpu".to_owned()
        } else {
            format!("no such adapter; there are {}", names.join(", "))
        },
    })
}

/// Adapters that have started: each can do so only once in a process.
static STARTED: Mutex<Vec<(Selector, Device)>> = Mutex::new(Vec::new());

async fn wgpu(adapter: &Adapter) -> Result<(Device, String, bool)> {
    let description = format!("{} ({})", adapter.name, adapter.api);
    let mut started = STARTED.lock().await;
    let running = started.iter().find(|(selector, _)| *selector == adapter.selector);
    let device = match running {
        Some((_, device)) => device.clone(),
        None => {
            let device = start_wgpu(adapter).await.map_err(|error| Error::Device {
                requested: description.clone(),
                reason: format!("it did not start: {error}; use --device cpu"),
            })?;
            started.push((adapter.selector.clone(), device.clone()));
            device
        }
    };
    Ok((device, description, adapter.is_gpu()))
}

async fn start_wgpu(adapter: &Adapter) -> std::result::Result<Device, WgpuInitError> {
    #[cfg(not(target_family = "wasm"))]
    if !adapter.is_gpu() {
        tune_at_once();
    }
    let Selector { kind, api } = adapter.selector.clone();
    Device::wgpu_options().device_kind(kind).graphics_api(api).init_async().await
}

/// Keeps cubecl from measuring what an adapter can do before it tunes: minutes of work for a program that
/// imitates one. At the level `full` alone it does not. Without effect once a device has started, and
/// where the environment names a level.
#[cfg(not(target_family = "wasm"))]
fn tune_at_once() {
    use cubecl::config::autotune::AutotuneLevel;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    if std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_none() {
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.autotune.level = AutotuneLevel::Full;
        CubeClRuntimeConfig::try_set(config);
    }
}
