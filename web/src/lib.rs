//! musev in a browser tab: what the page calls. Native builds of this crate are empty.

#![cfg(target_family = "wasm")]

use musev::{DeviceChoice, OpenDevice, Precision};
use wasm_bindgen::prelude::*;

/// The version of the library.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A device of this browser.
#[wasm_bindgen]
pub struct Device {
    inner: OpenDevice,
}

#[wasm_bindgen]
impl Device {
    /// Starts the device that `choice` names: "auto", "wgpu" or "cpu".
    ///
    /// # Errors
    /// A message for the visitor when there is no such device or it does not start.
    pub async fn start(choice: String) -> Result<Device, JsError> {
        let choice: DeviceChoice = choice.parse().map_err(to_js)?;
        let inner = OpenDevice::start(&choice, Precision::Auto).await.map_err(to_js)?;
        Ok(Self { inner })
    }

    /// What the device is, for people.
    pub fn description(&self) -> String {
        self.inner.description.clone()
    }
}

fn to_js(error: musev::Error) -> JsError {
    JsError::new(&error.to_string())
}
