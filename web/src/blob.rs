//! Files that the browser holds: picked by the visitor, or kept in its private file system.

use std::io;

use js_sys::Uint8Array;
use musev::ReadAt;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;
use web_sys::{Blob, FileReaderSync};

/// A file of the browser, read by position: never more of it is in memory than was asked for.
/// Works in workers only, where reading may block.
#[derive(Debug)]
pub(crate) struct BlobFile {
    size: u64,
    // Handles of the browser belong to the one thread there is.
    handles: SendWrapper<(Blob, FileReaderSync)>,
}

impl BlobFile {
    pub(crate) fn new(blob: Blob) -> Result<Self, JsValue> {
        let size = blob.size() as u64;
        Ok(Self { size, handles: SendWrapper::new((blob, FileReaderSync::new()?)) })
    }

    fn slice(&self, offset: u64, length: usize) -> Result<Uint8Array, JsValue> {
        let (blob, reader) = &*self.handles;
        let slice = blob.slice_with_f64_and_f64(offset as f64, (offset + length as u64) as f64)?;
        let bytes: JsValue = reader.read_as_array_buffer(&slice)?.into();
        Ok(Uint8Array::new(&bytes))
    }
}

impl ReadAt for BlobFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.slice(offset, buffer.len()).map_err(|error| {
            io::Error::other(format!("the browser could not read it: {error:?}"))
        })?;
        if bytes.length() as usize != buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.copy_to(buffer);
        Ok(())
    }
}
