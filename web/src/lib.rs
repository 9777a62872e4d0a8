//! musev in a browser tab: what the page's worker calls. Native builds of this crate are empty.

#![cfg(target_family = "wasm")]

mod blob;
mod clip;
mod events;
mod picture;
mod sha256;
mod wish;

use std::path::Path;
use std::sync::Arc;

use js_sys::Function;
use musev::{DeviceChoice, Files, ModelFiles, ModelSpec, OpenDevice, Pipeline, ReadAt};
use serde_json::json;
use wasm_bindgen::prelude::*;
use web_sys::Blob;

use blob::BlobFile;
use events::Listener;

pub use clip::{Clip, Mp4};
pub use picture::Picture;
pub use sha256::Sha256;
use wish::Wish;

unsafe extern "C" {
    /// The constructors of statics (the runtime registers its operations so), put together by the
    /// linker. Where nothing calls this, the linker has every call into the module do so.
    fn __wasm_call_ctors();
}

/// Runs when the module is instantiated.
#[wasm_bindgen(start)]
fn start() {
    // SAFETY: it takes and gives nothing, and is called once, before anything else.
    unsafe { __wasm_call_ctors() }
}

/// The version of the library.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Tells `listener` of a failure that nothing can be done about: after it the worker is useless.
#[wasm_bindgen]
pub fn on_panic(listener: Function) {
    let listener = send_wrapper::SendWrapper::new(listener);
    std::panic::set_hook(Box::new(move |info| {
        // Nothing is left to tell if this fails too.
        let _ = listener.call1(&JsValue::NULL, &info.to_string().into());
    }));
}

/// A started device.
#[wasm_bindgen]
pub struct Device {
    inner: OpenDevice,
}

#[wasm_bindgen]
impl Device {
    /// Starts the device that `choice` names ("wgpu" or "cpu") in `precision` ("auto", "f32", "f16").
    ///
    /// # Errors
    /// A message for the visitor when there is no such device or it does not start.
    pub async fn start(choice: String, precision: String) -> Result<Device, JsError> {
        let choice: DeviceChoice = choice.parse()?;
        Ok(Self { inner: OpenDevice::start(&choice, precision.parse()?).await? })
    }

    /// The precision in which networks compute: "f32" or "f16".
    #[wasm_bindgen(getter)]
    pub fn precision(&self) -> String {
        format!("{:?}", self.inner.dtype).to_lowercase()
    }

    /// Tests the device: every shader against its twin, the shapes of the denoiser against the CPU.
    /// `listener` hears of each check, as JSON.
    pub async fn self_test(&self, listener: Function) {
        let listener = Listener::new(listener);
        musev::self_test(&self.inner, &mut |report| {
            // A listener that throws misses a line; the checks go on.
            let _ = listener.tell(&json!(report), None);
        })
        .await;
    }
}

/// The files of a model, nothing of its weights read yet.
#[wasm_bindgen]
pub struct Model {
    files: ModelFiles,
}

#[wasm_bindgen]
impl Model {
    /// The model whose files are `blobs`, which stand at `paths` in a folder called `name`.
    ///
    /// # Errors
    /// Names what is missing or damaged.
    pub fn open(name: &str, paths: Vec<String>, blobs: Vec<Blob>) -> Result<Model, JsValue> {
        let mut held: Vec<(String, Arc<dyn ReadAt>)> = Vec::new();
        for (path, blob) in paths.into_iter().zip(blobs) {
            held.push((format!("{name}/{path}"), Arc::new(BlobFile::new(blob)?)));
        }
        let files = Files::held(held);
        let open = || ModelFiles::open_in(&files, &ModelSpec::whole_in(&files, Path::new(name))?);
        Ok(Self { files: open().map_err(JsError::from)? })
    }

    /// What it is run with where the visitor says nothing, as JSON.
    pub fn settings(&self) -> String {
        json!(self.files.settings).to_string()
    }

    /// What the video that `wish` describes needs, as JSON, on a device that computes in numbers of
    /// `number_bytes` bytes.
    ///
    /// # Errors
    /// Names the setting that cannot work.
    pub fn memory_plan(&self, wish: &str, number_bytes: usize) -> Result<String, JsError> {
        let video = Wish::parse(wish)?.video(&self.files.settings, None)?;
        let plan = self.files.memory_plan(&video, number_bytes)?;
        let (device, cpu) = (plan.device_peak(), plan.cpu_peak());
        Ok(json!({ "plan": plan, "device_peak": device, "cpu_peak": cpu }).to_string())
    }
}

/// A model on a device, ready to make videos.
#[wasm_bindgen]
pub struct Studio {
    name: String,
    settings: musev::ModelSettings,
    pipeline: Pipeline,
}

#[wasm_bindgen]
impl Studio {
    /// Puts `model` on `device`; `listener` hears of each network.
    ///
    /// # Errors
    /// Names the tensor or setting that does not fit.
    pub fn open(model: &Model, device: &Device, listener: Function) -> Result<Studio, JsError> {
        let mut listener = Listener::new(listener);
        let pipeline = Pipeline::open(&model.files, &[], &device.inner, &mut listener)?;
        let (name, settings) = (model.files.name.clone(), model.files.settings.clone());
        Ok(Self { name, settings, pipeline })
    }

    /// Makes the video that `wish` describes, as JSON; `listener` hears how far it is.
    ///
    /// # Errors
    /// Names the setting that cannot work; or says what the device could not do.
    pub async fn generate(
        &self,
        wish: String,
        picture: Option<Picture>,
        listener: Function,
    ) -> Result<Clip, JsError> {
        let wish = Wish::parse(&wish)?;
        let request = wish.video(&self.settings, picture)?;
        let mut listener = Listener::new(listener);
        listener.previews = wish.preview;
        let mut video = self.pipeline.text2video(&request, &mut listener).await?;
        video.comment = Some(request.summary(&self.name));
        Ok(Clip { video })
    }
}
