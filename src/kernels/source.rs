//! From a file in `shaders/` to the WGSL text of one variant.
//!
//! A shader is plain WGSL. The types and sizes that specialise it come before it as a prelude of
//! aliases and constants, and a line `#import name` stands for `shaders/include/name.wgsl`. Every
//! variant in use is a line of `shaders/variants.txt`, which the tests validate without a GPU.

use std::fmt::Write as _;

use burn::backend::wgpu::{KernelSource, SourceTemplate};
use burn::tensor::DType;
use cubecl::prelude::{ExecutionMode, KernelId};

const VARIANTS: &str = include_str!("../../shaders/variants.txt");

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../shaders/", $folder, $name, ".wgsl")))),+]
    };
}

const SHADERS: &[(&str, &str)] = files!("":
    "attention", "conv2d", "group_norm_silu", "group_norm_statistics", "guided_step", "project",
    "temporal_attention", "temporal_conv", "window_scatter", "winograd_input", "winograd_output",
    "winograd_product", "winograd_weight");
const INCLUDES: &[(&str, &str)] =
    files!("include/": "gemm", "implicit_gemm", "outer", "reduce", "score_block", "winograd_tile");

/// How a shader may see the buffers it only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAccess {
    /// `read`: in browsers every tensor has a buffer of its own, and a buffer bound twice must not
    /// be writable.
    Read,
    /// `read_write`: natively several tensors share a buffer, and within one dispatch a buffer is
    /// either writable in every binding or in none.
    ReadWrite,
}

impl InputAccess {
    const CURRENT: Self = if cfg!(target_family = "wasm") { Self::Read } else { Self::ReadWrite };
}

/// One variant of one shader; everything its text depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shader {
    name: &'static str,
    /// `Name=type` and `NAME=number`, separated by spaces, as in `variants.txt`.
    prelude: String,
}

impl Shader {
    /// The variant of `name` for elements of `dtype` and these constants.
    pub(super) fn new(name: &'static str, dtype: DType, constants: &[(&str, usize)]) -> Self {
        let elem = match dtype {
            DType::F32 => "f32",
            DType::F16 => "f16",
            other => {
                unreachable!("{name} has no variant for {other:?}: see `bridge::shader_serves`")
            }
        };
        let mut prelude = format!("Elem={elem}");
        for (constant, value) in constants {
            let _ = write!(prelude, " {constant}={value}");
        }
        debug_assert!(
            variants().any(|listed| listed == (name, prelude.as_str())),
            "add `{name}: {prelude}` to shaders/variants.txt"
        );
        Self { name, prelude }
    }
}

impl KernelSource for Shader {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(compose(self.name, &self.prelude, InputAccess::CURRENT))
    }

    fn id(&self) -> KernelId {
        // Unchecked: the loops of a hand-written shader end by themselves, and counting their
        // turns would keep compilers from unrolling them.
        KernelId::new::<Self>().info(self.clone()).mode(ExecutionMode::Unchecked)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// The WGSL text of every variant in `shaders/variants.txt`, by the line that asks for it.
pub fn shader_variants(access: InputAccess) -> Vec<(String, String)> {
    variants()
        .map(|(name, prelude)| (format!("{name}: {prelude}"), compose(name, prelude, access)))
        .collect()
}

fn variants() -> impl Iterator<Item = (&'static str, &'static str)> {
    VARIANTS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "))
}

fn compose(name: &str, prelude: &str, access: InputAccess) -> String {
    let mut text = String::new();
    if prelude.contains("=f16") {
        text.push_str("enable f16;\n");
    }
    for (name, value) in prelude.split(' ').filter_map(|definition| definition.split_once('=')) {
        let _ = match value.parse::<u32>() {
            Ok(value) => writeln!(text, "const {name}: u32 = {value}u;"),
            Err(_) => writeln!(text, "alias {name} = {value};"),
        };
    }
    for line in file(SHADERS, name).lines() {
        text.push_str(line.strip_prefix("#import ").map_or(line, |import| file(INCLUDES, import)));
        text.push('\n');
    }
    match access {
        InputAccess::Read => text,
        InputAccess::ReadWrite => text.replace("var<storage, read>", "var<storage, read_write>"),
    }
}

fn file(files: &[(&str, &'static str)], wanted: &str) -> &'static str {
    let found = files.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| unreachable!("no shader file is named {wanted}")).1
}
