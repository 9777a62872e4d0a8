//! H.264 compression through OpenH264.

use openh264::OpenH264API;
use openh264::encoder::{
    Complexity, EncodedBitStream, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
    Profile, QpRange, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVBuffer;

use super::{Frame, Video};
use crate::error::{Error, Result};

/// The number of BT.709 for primaries, transfer and matrix alike (ITU-T H.273).
pub(super) const BT709: u16 = 1;

/// The shortest side that OpenH264 takes.
const MIN_SIDE: usize = 16;
/// Quantisers, of 0 (best) to 51: the first at which every picture fits the encoder's buffers is that
/// of the whole video. Only noise takes another than the first.
const QUANTISERS: [u8; 5] = [12, 20, 28, 36, 44];
/// A picture that needs no other comes at least this often: players jump to those.
const SECONDS_BETWEEN_KEYS: f32 = 4.0;

/// A compressed video, ready for a container.
pub(super) struct Stream {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) fps: f32,
    /// The sequence parameter set: size, profile, colours.
    pub(super) sequence_parameters: Vec<u8>,
    pub(super) picture_parameters: Vec<u8>,
    pub(super) samples: Vec<Sample>,
}

/// One compressed picture: NAL units, each after its length in four bytes.
pub(super) struct Sample {
    pub(super) data: Vec<u8>,
    pub(super) is_key: bool,
}

/// Compresses every frame of a valid video whose sides OpenH264 takes.
pub(super) fn compress(video: &Video) -> Result<Stream> {
    let mut reason = String::new();
    for quantiser in QUANTISERS {
        match compress_at(video, quantiser) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(Error::request("format", format!("H.264 encoder: {reason}; webp or gif can be written")))
}

fn compress_at(video: &Video, quantiser: u8) -> Result<Stream, openh264::Error> {
    let (width, height) = video.size();
    let even = |side: usize| side.max(MIN_SIDE).next_multiple_of(2);
    let (width, height) = (even(width), even(height));
    let config = config(video.fps, quantiser);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
    let mut stream = Stream {
        width: width as u16,
        height: height as u16,
        fps: video.fps,
        sequence_parameters: Vec::new(),
        picture_parameters: Vec::new(),
        samples: Vec::with_capacity(video.frames.len()),
    };
    for frame in &video.frames {
        let picture = YUVBuffer::from_vec(bt709(frame, width, height), width, height);
        stream.add(&encoder.encode(&picture)?);
    }
    if stream.samples.iter().any(|sample| sample.data.is_empty()) {
        return Err(openh264::Error::msg("left out a picture"));
    }
    Ok(stream)
}

fn config(fps: f32, quantiser: u8) -> EncoderConfig {
    let keys = (fps * SECONDS_BETWEEN_KEYS).round().max(1.0) as u32;
    EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::High)
        .complexity(Complexity::High)
        // Quality decides, not a bit rate: one quantiser for all. Of the modes in which it does,
        // this one leaves no picture out and prints no warning about it.
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QpRange::new(quantiser, quantiser))
        .skip_frames(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .max_frame_rate(FrameRate::from_hz(fps))
        .intra_frame_period(IntraFramePeriod::from_num_frames(keys))
        .num_threads(1)
        .vui(VuiConfig::bt709())
}

impl Stream {
    fn add(&mut self, encoded: &EncodedBitStream<'_>) {
        let mut data = Vec::new();
        let layers = (0..encoded.num_layers()).filter_map(|index| encoded.layer(index));
        for layer in layers {
            for unit in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let unit = without_start_code(unit);
                match unit.first().map(|header| header & 31) {
                    None => {}
                    Some(7) => self.sequence_parameters = unit.to_vec(),
                    Some(8) => self.picture_parameters = unit.to_vec(),
                    Some(_) => {
                        data.extend((unit.len() as u32).to_be_bytes());
                        data.extend(unit);
                    }
                }
            }
        }
        self.samples.push(Sample { data, is_key: encoded.frame_type() == FrameType::IDR });
    }
}

fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0, 0, 0, 1]).or(unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit)
}

/// The planes Y, U and V of a frame whose last column and row are repeated up to the sides given;
/// limited range, each chroma value the mean of four pixels.
fn bt709(frame: &Frame, width: usize, height: usize) -> Vec<u8> {
    let rgb = |x: usize, y: usize| {
        frame.pixel(x.min(frame.width - 1), y.min(frame.height - 1)).map(f32::from)
    };
    let luma = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let mut planes = vec![0; width * height * 3 / 2];
    let (y_plane, chroma) = planes.split_at_mut(width * height);
    let (u_plane, v_plane) = chroma.split_at_mut(width * height / 4);
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let mut mean = [0.0; 3];
            for (px, py) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
                let pixel = rgb(px, py);
                y_plane[py * width + px] = (16.0 + luma(pixel) * 219.0 / 255.0).round() as u8;
                mean = std::array::from_fn(|channel| mean[channel] + pixel[channel] / 4.0);
            }
            let at = y / 2 * (width / 2) + x / 2;
            let chroma = |difference: f32, range: f32| {
                (128.0 + difference / range * 224.0 / 255.0).round() as u8
            };
            // The colour differences reach 2·(1 - 0.0722) and 2·(1 - 0.2126) times 255.
            u_plane[at] = chroma(mean[2] - luma(mean), 1.8556);
            v_plane[at] = chroma(mean[0] - luma(mean), 1.5748);
        }
    }
    planes
}
