//! H.264 video in MP4.
//!
//! The stream is compressed by OpenH264 (cargo feature `h264`), or by the browser, and laid out with
//! its index in front of the pictures, so that players start before the whole file is there.

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{Avc1Box, AvccBox, SampleEntry, UnknownBox, VisualSampleEntryFields};
use shiguredo_mp4::mux::{
    Mp4FileMuxer, Mp4FileMuxerOptions, Sample as PlacedSample, estimate_maximum_moov_box_size,
};
use shiguredo_mp4::{BoxSize, BoxType, TrackKind, Uint};

use super::Video;
use super::yuv::BT709;
use crate::error::{Error, Result};

/// Whether this build can compress for MP4.
pub const IS_AVAILABLE: bool = cfg!(feature = "h264");
/// The longest and the other side of a frame that OpenH264 takes.
pub const MAX_SIDES: (usize, usize) = (3840, 2160);
/// The shortest side that encoders take.
const MIN_SIDE: usize = 16;
/// Every picture lasts so many units of the time scale.
const FRAME_UNITS: u32 = 1000;

/// The bytes of an MP4 file playing `video`.
///
/// Colours are stored as BT.709, limited range, chroma halved in both directions (`yuv420p`), and
/// labelled so. That chroma needs even sides and the encoder 16 pixels: an odd width or height gains
/// one column or row that repeats the last, a shorter one as many as it lacks.
///
/// # Errors
/// When the video is not valid or too large, or musev was built without the feature `h264`.
#[cfg(feature = "h264")]
pub fn encode(video: &Video) -> Result<Vec<u8>> {
    video.check()?;
    let (width, height) = video.size();
    super::Format::Mp4.check_size(width, height)?;
    mux(&super::h264::compress(video)?, video.comment.as_deref())
}

/// Without the feature `h264` there is no encoder: always the error that says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "h264"))]
pub fn encode(_video: &Video) -> Result<Vec<u8>> {
    Err(unavailable())
}

/// What MP4 output fails with where [`IS_AVAILABLE`] is false.
pub(super) fn unavailable() -> Error {
    let reason = "this musev was built without an H.264 encoder: write gif, webp or png, or \
                  rebuild with the cargo feature h264";
    Error::request("format", reason)
}

/// The length at which a side of `pixels` is stored.
pub fn stored_side(pixels: usize) -> usize {
    pixels.max(MIN_SIDE).next_multiple_of(2)
}

/// A compressed H.264 video, ready for its container.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Pixels in a row, even.
    pub width: u16,
    /// Rows, even.
    pub height: u16,
    /// Pictures a second.
    pub fps: f32,
    /// The sequence parameter set: size, profile, colours.
    pub sequence_parameters: Vec<u8>,
    /// The picture parameter set.
    pub picture_parameters: Vec<u8>,
    /// The pictures.
    pub samples: Vec<Sample>,
}

/// One compressed picture.
#[derive(Clone, Debug)]
pub struct Sample {
    /// NAL units, each after its length in four bytes.
    pub data: Vec<u8>,
    /// Whether it needs no other picture.
    pub is_key: bool,
}

impl Stream {
    /// Takes the parameter sets out of an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1),
    /// which is how WebCodecs hands them over.
    ///
    /// # Errors
    /// When it is damaged or counts lengths in other than four bytes.
    pub fn configure(&mut self, record: &[u8]) -> Result<()> {
        let damaged = || Error::request("format", "H.264 encoder: its parameters are damaged");
        let set = |at: usize| -> Option<(Vec<u8>, usize)> {
            let length = u16::from_be_bytes(record.get(at..at + 2)?.try_into().ok()?) as usize;
            Some((record.get(at + 2..at + 2 + length)?.to_vec(), at + 2 + length))
        };
        let [1, _, _, _, length_size, sets, ..] = *record else { return Err(damaged()) };
        if length_size & 3 != 3 || sets & 31 != 1 {
            return Err(damaged());
        }
        let (sequence, after) = set(6).ok_or_else(damaged)?;
        if record.get(after) != Some(&1) {
            return Err(damaged());
        }
        let (picture, _) = set(after + 1).ok_or_else(damaged)?;
        (self.sequence_parameters, self.picture_parameters) = (sequence, picture);
        Ok(())
    }
}

/// The bytes of an MP4 file of `stream`: `ftyp`, `moov`, `mdat`, in this order. `comment` becomes
/// its comment tag.
///
/// # Errors
/// When the stream has no parameters or no pictures.
pub fn mux(stream: &Stream, comment: Option<&str>) -> Result<Vec<u8>> {
    let failed = |why: &dyn std::fmt::Display| Error::request("format", format!("mp4: {why}"));
    let tag = comment.map(comment_tag).unwrap_or_default();
    let options = Mp4FileMuxerOptions {
        // The tag needs its room, and what is left the header of a box.
        reserved_moov_box_size: estimate_maximum_moov_box_size(&[stream.samples.len()])
            + tag.len()
            + HEADER,
        ..Default::default()
    };
    let mut muxer = Mp4FileMuxer::with_options(options).map_err(|e| failed(&e))?;
    let mut out = muxer.initial_boxes_bytes().to_vec();
    let timescale = NonZeroU32::new((stream.fps * FRAME_UNITS as f32).round() as u32)
        .expect("a valid video shows at least a hundredth of a frame a second");
    let mut entry = Some(SampleEntry::Avc1(sample_entry(stream)?));
    for sample in &stream.samples {
        let placed = PlacedSample {
            track_kind: TrackKind::Video,
            sample_entry: entry.take(),
            keyframe: sample.is_key,
            timescale,
            duration: FRAME_UNITS,
            composition_time_offset: None,
            data_offset: out.len() as u64,
            data_size: sample.data.len(),
        };
        out.extend(&sample.data);
        muxer.append_sample(&placed).map_err(|e| failed(&e))?;
    }
    let boxes = muxer.finalize().map_err(|e| failed(&e))?;
    if !boxes.is_faststart_enabled() {
        return Err(failed(&"the index does not fit in front of the pictures"));
    }
    for (offset, bytes) in boxes.offset_and_bytes_pairs() {
        out[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    if !tag.is_empty() {
        insert(&mut out, &tag).ok_or_else(|| failed(&"there is no room for the comment"))?;
    }
    Ok(out)
}

fn sample_entry(stream: &Stream) -> Result<Avc1Box> {
    let [_, profile, compatibility, level, ..] = stream.sequence_parameters[..] else {
        return Err(Error::request("format", "H.264 encoder: wrote no parameters"));
    };
    let no_depth_beyond_eight = Some(Uint::new(0));
    Ok(Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: stream.width,
            height: stream.height,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size_minus_one: Uint::new(3),
            sps_list: vec![stream.sequence_parameters.clone()],
            pps_list: vec![stream.picture_parameters.clone()],
            // 4:2:0
            chroma_format: Some(Uint::new(1)),
            bit_depth_luma_minus8: no_depth_beyond_eight,
            bit_depth_chroma_minus8: no_depth_beyond_eight,
            sps_ext_list: Vec::new(),
        },
        unknown_boxes: vec![color()],
    })
}

/// The `colr` box: primaries, transfer and matrix of BT.709, limited range.
fn color() -> UnknownBox {
    let [high, low] = BT709.to_be_bytes();
    let numbers = [high, low, high, low, high, low, 0];
    let payload = [b"nclx".as_slice(), &numbers].concat();
    let box_type = BoxType::Normal(*b"colr");
    let box_size = BoxSize::with_payload_size(box_type, payload.len() as u64);
    UnknownBox { box_type, box_size, payload }
}

/// Bytes of a box's length and name.
const HEADER: usize = 8;

/// A box of `name` around `parts`.
fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let length = (HEADER + payload.len()) as u32;
    [&length.to_be_bytes(), name.as_slice(), &payload].concat()
}

/// The box `udta` with a comment as players of QuickTime and iTunes files show it.
fn comment_tag(comment: &str) -> Vec<u8> {
    const UTF_8: [u8; 4] = [0, 0, 0, 1];
    let data = atom(b"data", &[&UTF_8, &[0; 4], comment.as_bytes()]);
    let list = atom(b"ilst", &[&atom(b"\xa9cmt", &[&data])]);
    let handler = atom(b"hdlr", &[&[0; 8], b"mdirappl", &[0; 9]]);
    atom(b"udta", &[&atom(b"meta", &[&[0; 4], &handler, &list])])
}

/// Puts `tag` at the end of `moov`, into the room reserved behind it.
fn insert(file: &mut [u8], tag: &[u8]) -> Option<()> {
    let length = |file: &[u8], at: usize| {
        Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    let mut at = 0;
    while file.get(at + 4..at + HEADER)? != b"moov" {
        at += length(file, at).filter(|&length| length >= HEADER)?;
    }
    let index = length(file, at)?;
    let end = at + index;
    let room = length(file, end).filter(|_| file[end + 4..end + HEADER] == *b"free")?;
    let left = room.checked_sub(tag.len()).filter(|&left| left >= HEADER)?;
    file[at..at + 4].copy_from_slice(&((index + tag.len()) as u32).to_be_bytes());
    file[end..end + tag.len()].copy_from_slice(tag);
    let rest = end + tag.len();
    file[rest..rest + 4].copy_from_slice(&(left as u32).to_be_bytes());
    file[rest + 4..rest + HEADER].copy_from_slice(b"free");
    Some(())
}
