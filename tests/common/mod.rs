//! What the test suites share.

use std::sync::LazyLock;

use musev::{AdapterChoice, Device, DeviceChoice, OpenDevice, Precision};

/// The device under test: `MUSEV_DEVICE=cpu` (default) or `wgpu`.
pub(crate) fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(start);
    DEVICE.clone()
}

/// Starts the device under test.
pub(crate) fn start() -> Device {
    match std::env::var("MUSEV_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::flex(),
        Ok("wgpu") => {
            let choice = DeviceChoice::Wgpu(AdapterChoice::Best);
            pollster::block_on(OpenDevice::start(&choice, Precision::F32)).expect("wgpu").device
        }
        Ok(other) => panic!("MUSEV_DEVICE={other}: expected cpu or wgpu"),
    }
}
