//! The hash by which downloads are checked, fed piece by piece: files need not fit into memory.

use sha2::Digest;
use wasm_bindgen::prelude::*;

/// A SHA-256 hash in the making.
#[wasm_bindgen]
#[derive(Default)]
pub struct Sha256 {
    inner: sha2::Sha256,
}

#[wasm_bindgen]
impl Sha256 {
    /// The hash of nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The hash of all bytes so far, in hexadecimal digits.
    pub fn hex(&self) -> String {
        self.inner.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
