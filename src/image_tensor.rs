//! Pictures to tensors and back: value ranges and layouts.

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::media::Frame;

/// Frames of equal size as values in [-1, 1], the range of the VAE.
///
/// # Shapes
/// - output: `[t, 3, height, width]`
pub fn from_frames(frames: &[Frame], device: &Device) -> Tensor<4> {
    let (height, width) = frames.first().map_or((0, 0), |frame| (frame.height, frame.width));
    let area = height * width;
    let mut values = vec![0.0f32; frames.len() * 3 * area];
    for (frame, planes) in frames.iter().zip(values.chunks_exact_mut(3 * area)) {
        for (position, pixel) in frame.data.chunks_exact(3).enumerate() {
            for (channel, &level) in pixel.iter().enumerate() {
                planes[channel * area + position] = f32::from(level) / 255.0 * 2.0 - 1.0;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [frames.len(), 3, height, width]), device)
}

/// Values in [0, 1] as frames: scaled by 255 and truncated, as the original saves them.
///
/// # Shapes
/// - `images`: `[t, 3, height, width]`
///
/// # Errors
/// When the device fails while the values are read back.
pub async fn to_frames(images: Tensor<4>) -> Result<Vec<Frame>> {
    let [_, _, height, width] = images.dims();
    let values = read(images).await?;
    let area = height * width;
    let frame = |planes: &[f32]| {
        let level = |index: usize| (planes[index] * 255.0).clamp(0.0, 255.0) as u8;
        let data = (0..area)
            .flat_map(|position| (0..3).map(move |channel| channel * area + position))
            .map(level)
            .collect();
        Frame { width, height, data }
    };
    Ok(values.chunks_exact(3 * area).map(frame).collect())
}

/// All values of `tensor`, row-major, as float32.
///
/// # Errors
/// When the device fails: out of memory, or lost.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let failed = |reason: String| Error::Device { requested: "readback".to_owned(), reason };
    let data = tensor.into_data_async().await.map_err(|error| failed(error.to_string()))?;
    data.convert::<f32>().try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
}
