//! Reading H.264 video in MP4: boxes by shiguredo_mp4, pictures by OpenH264.

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::{Avc1Box, SampleEntry};
use shiguredo_mp4::codec_string;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

use super::read::check_size;
use super::read_video::Frames;
use super::{Frame, Video};
use crate::error::{Error, Result};

/// What starts a NAL unit in the stream that OpenH264 takes.
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Videos of more rows are taken for BT.709 where they do not say; smaller ones for BT.601.
const LAST_SD_ROW: usize = 576;

/// The frames of the first video track, in the order they are shown.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Video> {
    let damaged = |why: &dyn std::fmt::Display| {
        Error::media(name, format!("is no whole mp4 video: {why}; save it anew"))
    };
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
    let tracks = demuxer.tracks().map_err(|e| damaged(&e))?;
    let track = tracks.iter().find(|track| track.kind == TrackKind::Video);
    let track = track.map(|track| (track.track_id, f64::from(track.timescale.get())));
    let (track, timescale) = track.ok_or_else(|| Error::media(name, "holds no video track"))?;

    let mut stream = Stream::new(name).map_err(|e| damaged(&e))?;
    let (mut units, mut samples) = (0u64, 0u64);
    while let Some(sample) = demuxer.next_sample().map_err(|e| damaged(&e))? {
        if sample.track.track_id != track {
            continue;
        }
        if let Some(entry) = sample.sample_entry {
            stream.configure(entry)?;
        }
        let start = usize::try_from(sample.data_offset).unwrap_or(usize::MAX);
        let data = start.checked_add(sample.data_size).and_then(|end| bytes.get(start..end));
        stream.decode(data.ok_or_else(|| damaged(&"it is cut off"))?)?;
        units += u64::from(sample.duration);
        samples += 1;
    }
    if samples == 0 {
        let reason = "holds no pictures in its index; save fragmented MP4 as an ordinary one";
        return Err(Error::media(name, reason));
    }
    let rate = samples as f64 * timescale / units.max(1) as f64;
    stream.finish()?.video(Some((rate as f32).clamp(0.01, 1000.0)))
}

/// The codec of the first video track, where it is another than H.264.
#[cfg(not(target_family = "wasm"))]
pub(super) fn foreign_codec(bytes: &[u8]) -> Option<String> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
    let tracks = demuxer.tracks().ok()?;
    let track = tracks.iter().find(|track| track.kind == TrackKind::Video)?.track_id;
    while let Some(sample) = demuxer.next_sample().ok()? {
        if sample.track.track_id != track {
            continue;
        }
        return match sample.sample_entry? {
            SampleEntry::Avc1(_) => None,
            entry => Some(name_of(entry)),
        };
    }
    None
}

fn name_of(entry: &SampleEntry) -> String {
    let codec = codec_string::from_sample_entry(entry);
    codec.unwrap_or_else(|_| "something musev does not know".to_owned())
}

/// A stream on its way through the decoder.
struct Stream<'a> {
    name: &'a str,
    decoder: Decoder,
    /// Parameter sets that go before the next sample, each after a start code.
    parameters: Vec<u8>,
    length_bytes: usize,
    colors: Option<Colors>,
    frames: Frames<'a>,
}

impl<'a> Stream<'a> {
    fn new(name: &'a str) -> Result<Self, openh264::Error> {
        // Pictures may be shown in another order than they are stored: they are taken as they come
        // out, and the last ones at the end.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        Ok(Self {
            name,
            decoder: Decoder::with_api_config(OpenH264API::from_source(), config)?,
            parameters: Vec::new(),
            length_bytes: 4,
            colors: None,
            frames: Frames::of(name),
        })
    }

    /// Takes the description of the samples that follow.
    fn configure(&mut self, entry: &SampleEntry) -> Result<()> {
        let SampleEntry::Avc1(entry) = entry else {
            let codec = name_of(entry);
            let reason =
                format!("is compressed as {codec}; H.264 in MP4 is read, so convert it first");
            return Err(Error::media(self.name, reason));
        };
        check_size(self.name, u32::from(entry.visual.width), u32::from(entry.visual.height))?;
        self.length_bytes = usize::from(entry.avcc_box.length_size_minus_one.get()) + 1;
        self.colors = Colors::labelled(entry);
        for set in entry.avcc_box.sps_list.iter().chain(&entry.avcc_box.pps_list) {
            self.parameters.extend(START_CODE);
            self.parameters.extend(set);
        }
        Ok(())
    }

    /// Decodes a sample: NAL units, each after its length.
    fn decode(&mut self, mut sample: &[u8]) -> Result<()> {
        let mut stream = std::mem::take(&mut self.parameters);
        while !sample.is_empty() {
            let unit = sample.split_at_checked(self.length_bytes).and_then(|(length, rest)| {
                let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                rest.split_at_checked(length)
            });
            let Some((unit, rest)) = unit else {
                return Err(Error::media(self.name, "is no whole mp4 video: a picture is damaged"));
            };
            stream.extend(START_CODE);
            stream.extend(unit);
            sample = rest;
        }
        let picture = self.decoder.decode(&stream).map_err(|_| refused(self.name))?;
        match picture {
            Some(picture) => self.frames.push(rgb(&picture, self.colors), self.name),
            None => Ok(()),
        }
    }

    /// The frames with those that the decoder held back.
    fn finish(mut self) -> Result<Frames<'a>> {
        let rest = self.decoder.flush_remaining().map_err(|_| refused(self.name))?;
        for picture in &rest {
            self.frames.push(rgb(picture, self.colors), self.name)?;
        }
        Ok(self.frames)
    }
}

/// What is told instead of OpenH264's bare numbers.
fn refused(name: &str) -> Error {
    let reason = "is damaged, or of a kind of H.264 that OpenH264 does not decode (interlaced, \
                  4:2:2, 4:4:4 or 10 bits): convert it to progressive 4:2:0";
    Error::media(name, reason)
}

/// How brightness and colour differences make red, green and blue (ITU-T H.273).
#[derive(Clone, Copy)]
struct Colors {
    /// The parts that red and blue have in brightness.
    red: f32,
    blue: f32,
    is_full_range: bool,
}

impl Colors {
    const BT601: Self = Self { red: 0.299, blue: 0.114, is_full_range: false };
    const BT709: Self = Self { red: 0.2126, blue: 0.0722, is_full_range: false };
    const BT2020: Self = Self { red: 0.2627, blue: 0.0593, is_full_range: false };

    /// What the `colr` box says, if there is one that says anything.
    fn labelled(entry: &Avc1Box) -> Option<Self> {
        let label =
            entry.unknown_boxes.iter().find(|label| label.box_type.as_bytes() == b"colr")?;
        let numbers = label.payload.strip_prefix(b"nclx")?;
        let [_, _, _, _, high, low, range, ..] = numbers else { return None };
        let colors = match u16::from_be_bytes([*high, *low]) {
            1 => Self::BT709,
            5 | 6 => Self::BT601,
            9 => Self::BT2020,
            _ => return None,
        };
        Some(Self { is_full_range: range >> 7 == 1, ..colors })
    }

    fn pixel(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let (base, luma, chroma) =
            if self.is_full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let y = (f32::from(y) - base) * 255.0 / luma;
        let [u, v] = [u, v].map(|value| (f32::from(value) - 128.0) * 255.0 / chroma);
        let red = y + 2.0 * (1.0 - self.red) * v;
        let blue = y + 2.0 * (1.0 - self.blue) * u;
        let green = (y - self.red * red - self.blue * blue) / (1.0 - self.red - self.blue);
        [red, green, blue].map(|value| value.round() as u8)
    }
}

fn rgb(picture: &DecodedYUV<'_>, colors: Option<Colors>) -> Frame {
    let (width, height) = picture.dimensions();
    let (stride, chroma_stride, _) = picture.strides();
    let unlabelled = if height > LAST_SD_ROW { Colors::BT709 } else { Colors::BT601 };
    let colors = colors.unwrap_or(unlabelled);
    let color = |x: usize, y: usize| {
        let chroma = y / 2 * chroma_stride + x / 2;
        colors.pixel(picture.y()[y * stride + x], picture.u()[chroma], picture.v()[chroma])
    };
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect();
    Frame { width, height, data }
}
