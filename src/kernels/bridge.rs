//! Where burn's tensors meet the shaders: which device takes which way, and the launch itself.

use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::{CubeBackend, CubeTensor, SourceKernel, into_contiguous};
use burn::backend::{Backend, DispatchDevice, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Shape, Tensor};
use cubecl::prelude::{CubeCount, CubeDim};
use cubecl::server::{Handle, KernelArguments, MetadataBindingInfo};

use super::conv2d::{self, Conv2dGeometry};
use super::group_norm::{self, GroupNormOptions};
use super::guided_step::{self, GuidedStep};
use super::project::{self, Side};
use super::source::Shader;
use super::{attention, temporal_attention, temporal_conv, window_scatter};

/// Whether burn tunes its own operations to the device, and is then hard to beat. In browsers it
/// does not.
pub(super) const BURN_TUNES: bool = cfg!(not(target_family = "wasm"));

/// Whether the shaders serve tensors like `x`: float32 or float16 on a device whose compiler takes
/// WGSL text. CUDA, the compilers to SPIR-V and MSL, and every device that records gradients have
/// none.
pub(super) fn shader_serves<const D: usize>(x: &Tensor<D>) -> bool {
    matches!(x.dtype(), DType::F32 | DType::F16) && runs_shaders(&x.device())
}

/// Whether `device` runs the shaders.
pub fn runs_shaders(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Cube(device) => device.client().name() == "wgpu<wgsl>",
        _ => false,
    }
}

/// The operations with a shader. Arguments and shapes are those of the public functions.
#[backend_extension(Cube, Fusion)]
pub(super) trait ShaderOps: Backend {
    /// See [`super::group_norm`].
    #[fusion(dtype = x, shape = x)]
    fn group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: GroupNormOptions,
    ) -> FloatTensor<Self>;

    /// See [`super::attention`].
    #[fusion(dtype = q, shape = q)]
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// See [`super::project`].
    #[fusion(dtype = x, shape = project::output_shape(x, weight, *from, *to))]
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        from: Side,
        to: Side,
    ) -> FloatTensor<Self>;

    /// See [`super::temporal_attention`].
    #[fusion(dtype = q, shape = q)]
    fn temporal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// See [`super::conv2d`].
    #[fusion(dtype = x, shape = conv2d::output_shape(x, weight, *geometry))]
    fn conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Conv2dGeometry,
    ) -> FloatTensor<Self>;

    /// See [`super::temporal_conv`].
    #[fusion(dtype = x, shape = temporal_conv::output_shape(x, weight))]
    fn temporal_conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        frames: usize,
    ) -> FloatTensor<Self>;

    /// See [`super::window_scatter`].
    #[fusion(meta = |sum, counter, _prediction, _window| (sum.clone(), counter.clone()))]
    fn window_scatter(
        sum: FloatTensor<Self>,
        counter: FloatTensor<Self>,
        prediction: FloatTensor<Self>,
        window: Vec<usize>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// See [`super::guided_step`].
    #[fusion(dtype = latents, shape = latents)]
    fn guided_step(
        latents: FloatTensor<Self>,
        sum: FloatTensor<Self>,
        counter: FloatTensor<Self>,
        step: GuidedStep,
    ) -> FloatTensor<Self>;
}

impl ShaderOps for CubeBackend {
    fn group_norm(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        options: GroupNormOptions,
    ) -> CubeTensor {
        group_norm::launch(x, weight, bias, options)
    }

    fn attention(q: CubeTensor, k: CubeTensor, v: CubeTensor, heads: usize) -> CubeTensor {
        attention::launch(q, k, v, heads)
    }

    fn project(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        from: Side,
        to: Side,
    ) -> CubeTensor {
        project::launch(x, weight, bias, (from, to))
    }

    fn temporal_attention(q: CubeTensor, k: CubeTensor, v: CubeTensor, heads: usize) -> CubeTensor {
        temporal_attention::launch(q, k, v, heads)
    }

    fn conv2d(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        geometry: Conv2dGeometry,
    ) -> CubeTensor {
        conv2d::launch(x, weight, bias, geometry)
    }

    fn temporal_conv(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        frames: usize,
    ) -> CubeTensor {
        temporal_conv::launch(x, weight, bias, frames)
    }

    fn window_scatter(
        sum: CubeTensor,
        counter: CubeTensor,
        prediction: CubeTensor,
        window: Vec<usize>,
    ) -> (CubeTensor, CubeTensor) {
        window_scatter::launch(sum, counter, prediction, window)
    }

    fn guided_step(
        latents: CubeTensor,
        sum: CubeTensor,
        counter: CubeTensor,
        step: GuidedStep,
    ) -> CubeTensor {
        guided_step::launch(latents, sum, counter, step)
    }
}

/// One dispatch: buffers in the order of the shader's bindings, then `sizes` as its uniform.
pub(super) struct Launch<'a> {
    pub(super) shader: Shader,
    pub(super) buffers: Vec<Handle>,
    pub(super) sizes: &'a [u32],
    pub(super) grid: [u32; 3],
}

impl Launch<'_> {
    /// Runs it on the device of `on`.
    pub(super) fn run(self, on: &CubeTensor) {
        let [x, y, z] = self.grid;
        let mut words = self.sizes.to_vec();
        // Uniforms come in vectors of four.
        words.resize(words.len().next_multiple_of(4), 0);
        let info = MetadataBindingInfo::custom(bytemuck::pod_collect_to_vec(&words));
        let buffers = self.buffers.into_iter().map(Handle::binding).collect();
        on.client.launch(
            Box::new(SourceKernel::new(self.shader, CubeDim::new_single())),
            CubeCount::Static(x, y, z),
            KernelArguments::new().with_buffers(buffers).with_info(info),
        );
    }
}

/// The tensors, each laid out as its shape says.
pub(super) fn contiguous<const N: usize>(tensors: [CubeTensor; N]) -> [CubeTensor; N] {
    tensors.map(into_contiguous)
}

/// An uninitialised tensor like `x`, of another shape.
pub(super) fn uninitialised(x: &CubeTensor, shape: Shape) -> CubeTensor {
    let memory = x.client.empty(shape.num_elements() * x.dtype.size());
    CubeTensor::new_contiguous(x.client.clone(), x.device.clone(), shape, memory, x.dtype)
}

/// An uninitialised tensor like `x`.
pub(super) fn uninitialised_like(x: &CubeTensor) -> CubeTensor {
    uninitialised(x, x.shape())
}

/// `count` workgroups as two grid dimensions of at most 65,535; the product may exceed `count`.
pub(super) fn fold(count: usize) -> [u32; 2] {
    const LIMIT: usize = 65_535;
    [count.min(LIMIT) as u32, count.div_ceil(LIMIT) as u32]
}
