//! A network in an ONNX file.

use std::path::{Path, PathBuf};

use rten::{Model, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use crate::error::{Error, Result};
use crate::media::Frame;

/// The middle of what a byte can be: pictures are made to lie around 0.
const MEAN: f32 = 127.5;

/// A network that takes one picture.
pub(super) struct Network {
    path: PathBuf,
    model: Model,
}

impl Network {
    /// Opens an ONNX file.
    ///
    /// # Errors
    /// When it cannot be read, or takes more than one picture.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let model = Model::load(bytes).map_err(|error| {
            let reason = format!("is no network in ONNX that can be run: {error}");
            Error::checkpoint(path, reason)
        })?;
        let network = Self { path: path.to_path_buf(), model };
        match network.model.input_ids().len() {
            1 => Ok(network),
            count => Err(network.wrong(&format!("takes {count} inputs, not one picture"))),
        }
    }

    /// An error that says how the file is another network than the one that was expected.
    pub(super) fn wrong(&self, how: &str) -> Error {
        let reason = format!("{how}; expected the files of InsightFace's pack buffalo_l");
        Error::checkpoint(&self.path, reason)
    }

    /// # Errors
    /// When it has not `count` outputs, as `kind` has.
    pub(super) fn expect_outputs(&self, count: usize, kind: &str) -> Result<()> {
        match self.model.output_ids().len() {
            found if found == count => Ok(()),
            found => Err(self.wrong(&format!("has {found} outputs; {kind} has {count}"))),
        }
    }

    /// What it says of `frame`, with 127.5 subtracted and divided by `scale`: the numbers of each
    /// output.
    ///
    /// # Errors
    /// When it does not take such a picture.
    pub(super) fn run(&self, frame: &Frame, scale: f32) -> Result<Vec<Vec<f32>>> {
        let failed = |error: &dyn std::fmt::Display| {
            let (width, height) = (frame.width, frame.height);
            self.wrong(&format!("cannot be run on a {width} x {height} picture: {error}"))
        };
        let shape = [1, 3, frame.height, frame.width];
        let input = Tensor::from_data(&shape, planes(frame, scale));
        let input: ValueOrView<'_> = input.into();
        let inputs = vec![(self.model.input_ids()[0], input)];
        let outputs = self.model.run(inputs, self.model.output_ids(), None);
        let numbers = |value: rten::Value| -> Result<Vec<f32>> {
            let tensor: Option<Tensor<f32>> = value.into_tensor();
            Ok(tensor.ok_or_else(|| failed(&"an output holds no floats"))?.to_vec())
        };
        outputs.map_err(|error| failed(&error))?.into_iter().map(numbers).collect()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The planes that the network sees: blue, green, red (Q-33, see the module).
fn planes(frame: &Frame, scale: f32) -> Vec<f32> {
    let plane = |channel: usize| {
        frame.data.chunks_exact(3).map(move |pixel| (f32::from(pixel[channel]) - MEAN) / scale)
    };
    [2, 1, 0].into_iter().flat_map(plane).collect()
}
