//! What the test suites share.

use musev::Device;

/// The device under test: `MUSEV_DEVICE=cpu` (default) or `wgpu`.
pub(crate) fn device() -> Device {
    match std::env::var("MUSEV_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::flex(),
        Ok("wgpu") => Device::wgpu(Default::default()),
        Ok(other) => panic!("MUSEV_DEVICE={other}: expected cpu or wgpu"),
    }
}
