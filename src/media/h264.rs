//! H.264 compression through OpenH264.

use openh264::OpenH264API;
use openh264::encoder::{
    Complexity, EncodedBitStream, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
    Profile, QpRange, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVBuffer;

use super::Video;
use super::mp4::{Sample, Stream, stored_side};
use super::yuv::bt709;
use crate::error::{Error, Result};

/// Quantisers, of 0 (best) to 51: the first at which every picture fits the encoder's buffers is that
/// of the whole video. Only noise takes another than the first.
const QUANTISERS: [u8; 5] = [12, 20, 28, 36, 44];
/// A picture that needs no other comes at least this often: players jump to those.
const SECONDS_BETWEEN_KEYS: f32 = 4.0;

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
    let (width, height) = (stored_side(width), stored_side(height));
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
        add(&mut stream, &encoder.encode(&picture)?);
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

/// Adds a compressed picture, and keeps the parameters that come with it.
fn add(stream: &mut Stream, encoded: &EncodedBitStream<'_>) {
    let mut data = Vec::new();
    let layers = (0..encoded.num_layers()).filter_map(|index| encoded.layer(index));
    for layer in layers {
        for unit in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
            let unit = without_start_code(unit);
            match unit.first().map(|header| header & 31) {
                None => {}
                Some(7) => stream.sequence_parameters = unit.to_vec(),
                Some(8) => stream.picture_parameters = unit.to_vec(),
                Some(_) => {
                    data.extend((unit.len() as u32).to_be_bytes());
                    data.extend(unit);
                }
            }
        }
    }
    stream.samples.push(Sample { data, is_key: encoded.frame_type() == FrameType::IDR });
}

fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0, 0, 0, 1]).or(unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit)
}
