//! Cases of the preparation and colour correction of pictures.

use burn::tensor::TensorData;

use super::{Case, Comparison, Tensors};
use crate::error::{Error, Result};
use crate::media::{
    Filter, Frame, clip_pixel_values, crop_resize, crop_resize_planes, match_histogram,
};

/// Centre crop and resize of a picture, of float planes, and CLIP's preparation after both.
pub(super) fn image_preprocess(case: &Case) -> Result<Vec<Comparison>> {
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let height: usize = case.config("/target_height")?;
    let width: usize = case.config("/target_width")?;

    let picture = frames(case, inputs.data("image")?, 1.0)?.remove(0);
    let first = crop_resize(&picture, width, height, Filter::Lanczos);
    let second = crop_resize(&first, width, height, Filter::Bicubic);

    let [.., rows, columns] = inputs.data("video_float")?.shape()[..] else {
        return Err(case.error("video_float has no rows and columns"));
    };
    let video = inputs.values("video_float")?;
    let video = crop_resize_planes(&video, (columns, rows), (width, height));
    Ok(vec![
        compare_levels(&outputs, "lanczos_v2", &first)?,
        compare_levels(&outputs, "second_crop_bicubic", &second)?,
        outputs.compare_values("bilinear_v1", &video)?,
        outputs.compare_values("clip_pixel_values", &clip_pixel_values(&second))?,
    ])
}

/// The colours of a video matched to those of one frame.
pub(super) fn hist_match(case: &Case) -> Result<Vec<Comparison>> {
    let (inputs, outputs) = (case.inputs()?, case.outputs()?);
    let reference = frames(case, inputs.data("reference")?, 255.0)?.remove(0);
    let matched: Vec<Frame> = frames(case, inputs.data("video")?, 255.0)?
        .iter()
        .map(|frame| match_histogram(frame, &reference))
        .collect();
    let values = |channel: usize| {
        let frames = matched.iter();
        frames.flat_map(move |frame| frame.data.iter().skip(channel).step_by(3))
    };
    let got: Vec<f32> = (0..3).flat_map(values).map(|value| f32::from(*value) / 255.0).collect();
    Ok(vec![outputs.compare_values("out", &got)?])
}

/// The frames of `[.., 3, h, w]` or `[1, 3, t, h, w]`: values times `scale`, truncated.
fn frames(case: &Case, data: &TensorData, scale: f32) -> Result<Vec<Frame>> {
    let (count, height, width) = match data.shape()[..] {
        [3, height, width] => (1, height, width),
        [1, 3, count, height, width] => (count, height, width),
        _ => return Err(case.error(format!("{:?} are no RGB pictures", data.shape()))),
    };
    let values: Vec<f32> = data.clone().convert::<f32>().iter::<f32>().collect();
    let pixels = height * width;
    let level = |frame: usize, pixel: usize, channel: usize| {
        (values[(channel * count + frame) * pixels + pixel] * scale) as u8
    };
    let frame = |index: usize| {
        let data = (0..pixels).flat_map(|at| (0..3).map(move |c| level(index, at, c))).collect();
        Frame::new(width, height, data)
    };
    (0..count).map(frame).collect::<Result<Vec<_>, Error>>()
}

/// Compares a picture, one grey level of difference counting as none.
fn compare_levels(outputs: &Tensors, name: &str, frame: &Frame) -> Result<Comparison> {
    let want = outputs.values(name)?;
    let planes = (0..3).flat_map(|channel| frame.data.iter().skip(channel).step_by(3));
    let got: Vec<f32> = planes
        .map(|level| f32::from(*level))
        .zip(&want)
        .map(|(got, want)| if (got - want).abs() <= 1.0 { *want } else { got })
        .collect();
    outputs.compare_values(name, &got)
}
