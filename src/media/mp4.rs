//! H.264 video in MP4.
//!
//! The stream is compressed by OpenH264 (cargo feature `h264`) and laid out with its index in
//! front of the pictures, so that players and browsers start before the whole file is there.

use super::Video;
use crate::error::{Error, Result};

/// Whether this build can write MP4.
pub const IS_AVAILABLE: bool = cfg!(feature = "h264");
/// The longest and the other side of a frame that OpenH264 takes.
pub const MAX_SIDES: (usize, usize) = (3840, 2160);

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
    container::file(&super::h264::compress(video)?)
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

#[cfg(feature = "h264")]
mod container {
    use std::num::NonZeroU32;

    use shiguredo_mp4::boxes::{
        Avc1Box, AvccBox, SampleEntry, UnknownBox, VisualSampleEntryFields,
    };
    use shiguredo_mp4::mux::{
        Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size,
    };
    use shiguredo_mp4::{BoxSize, BoxType, TrackKind, Uint};

    use crate::error::{Error, Result};
    use crate::media::h264::{BT709, Stream};

    /// Every picture lasts so many units of the time scale.
    const FRAME_UNITS: u32 = 1000;

    /// `ftyp`, `moov`, `mdat`, in this order.
    pub(super) fn file(stream: &Stream) -> Result<Vec<u8>> {
        let failed = |why: &dyn std::fmt::Display| Error::request("format", format!("mp4: {why}"));
        let options = Mp4FileMuxerOptions {
            reserved_moov_box_size: estimate_maximum_moov_box_size(&[stream.samples.len()]),
            ..Default::default()
        };
        let mut muxer = Mp4FileMuxer::with_options(options).map_err(|e| failed(&e))?;
        let mut out = muxer.initial_boxes_bytes().to_vec();
        let timescale = NonZeroU32::new((stream.fps * FRAME_UNITS as f32).round() as u32)
            .expect("a valid video shows at least a hundredth of a frame a second");
        let mut entry = Some(SampleEntry::Avc1(sample_entry(stream)?));
        for sample in &stream.samples {
            let placed = Sample {
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
}
