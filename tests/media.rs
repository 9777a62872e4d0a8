//! Pictures and videos: reading, preparing, writing.

use std::fs;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder};
use musev::media::{
    Filter, Frame, Rect, Video, centre_crop, clip_pixel_values, crop, crop_resize,
    crop_resize_bilinear, crop_resize_planes, decode_frame, gif, grid, grid_shape, match_histogram,
    match_video_to_first_frame, png, read_frame, resize, webp,
};
use proptest::prelude::*;

#[path = "media/formats.rs"]
mod formats;
#[path = "media/labels.rs"]
mod labels;

/// A moving scene: soft colours, a hard edge, and a still background.
fn scene(width: usize, height: usize, frames: usize) -> Video {
    let picture = |time: usize| {
        let color = |x: usize, y: usize| {
            let disc = (x as f32 - (20 + 3 * time) as f32).hypot(y as f32 - height as f32 / 2.0);
            if disc < 12.0 {
                [220, 60, 40]
            } else {
                [(40 + 160 * x / width) as u8, (60 + 120 * y / height) as u8, 150]
            }
        };
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect();
        Frame::new(width, height, data).unwrap()
    };
    Video::new((0..frames).map(picture).collect(), 8.0).unwrap()
}

/// Peak signal-to-noise ratio in decibels.
fn psnr(got: &[u8], want: &[u8]) -> f64 {
    assert_eq!(got.len(), want.len());
    let squares: f64 =
        got.iter().zip(want).map(|(g, w)| (f64::from(*g) - f64::from(*w)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * got.len() as f64 / squares.max(1e-9)).log10()
}

/// Whether `folder` holds nothing but `names`: no temporary file is left over.
fn holds(folder: &Path, names: &[&str]) -> bool {
    let entries = fs::read_dir(folder).unwrap();
    let mut found: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    found == names
}

#[test]
fn a_frame_needs_data_of_its_size() {
    assert!(Frame::new(2, 2, vec![0; 12]).is_ok());
    for (width, height, bytes) in [(2, 2, 11), (0, 2, 0), (usize::MAX, 2, 6)] {
        let error = Frame::new(width, height, vec![0; bytes]).unwrap_err();
        assert!(error.to_string().contains(&format!("{bytes} bytes")), "{error}");
    }
}

#[test]
fn a_video_needs_equal_frames_and_a_frame_rate() {
    let frame = Frame::filled(4, 2, [1, 2, 3]);
    assert!(Video::new(vec![], 4.0).unwrap_err().to_string().contains("no frames"));
    for fps in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e6] {
        let error = Video::new(vec![frame.clone()], fps).unwrap_err();
        assert!(error.to_string().starts_with("fps"), "{error}");
    }
    let error = Video::new(vec![frame.clone(), Frame::filled(2, 4, [0; 3])], 4.0).unwrap_err();
    assert!(error.to_string().contains("frame 1"), "{error}");
    assert_eq!(Video::new(vec![frame; 3], 30.0).unwrap().durations(100.0), [3, 4, 3]);
}

#[test]
fn the_crop_loses_the_last_row_or_column() {
    let cases = [
        ((60, 50), (64, 64), (5, 0, 50, 49)),
        ((50, 60), (64, 64), (0, 5, 49, 50)),
        ((64, 64), (64, 64), (0, 0, 63, 63)),
        ((640, 480), (768, 512), (0, 27, 639, 427)),
        ((1, 1), (8, 8), (0, 0, 1, 1)),
        ((2, 100), (64, 64), (0, 49, 1, 2)),
    ];
    for ((w, h), (tw, th), (x, y, width, height)) in cases {
        assert_eq!(centre_crop(w, h, tw, th), Rect { x, y, width, height }, "{w} x {h}");
    }
}

#[test]
fn resizing_keeps_flat_colours_and_sizes() {
    let flat = Frame::filled(37, 23, [9, 130, 255]);
    for filter in [Filter::Lanczos, Filter::Bicubic] {
        assert_eq!(crop_resize(&flat, 64, 48, filter), Frame::filled(64, 48, [9, 130, 255]));
        assert_eq!(resize(&flat, 5, 7, filter), Frame::filled(5, 7, [9, 130, 255]));
    }
    assert_eq!(crop_resize_bilinear(&flat, 16, 16), Frame::filled(16, 16, [9, 130, 255]));
}

#[test]
fn bilinear_planes_follow_pytorch() {
    // torch.nn.functional.interpolate(torch.arange(6.).view(1, 1, 2, 3), (4, 4),
    //     mode="bilinear"), given one row and one column more for the crop to lose.
    let plane = [0., 1., 2., 9., 3., 4., 5., 9., 9., 9., 9., 9.];
    let rect = centre_crop(4, 3, 4, 3);
    assert_eq!(rect, Rect { x: 0, y: 0, width: 3, height: 2 });
    let got = crop_resize_planes(&plane, (4, 3), (8, 6));
    let first = [0.0, 0.0625, 0.4375, 0.8125, 1.1875, 1.5625, 1.9375, 2.0];
    assert!(got[..8].iter().zip(first).all(|(g, w)| (g - w).abs() < 1e-6), "{:?}", &got[..8]);
    assert!(got[40..].iter().zip(first).all(|(g, w)| (g - w - 3.0).abs() < 1e-6));
}

#[test]
fn clip_sees_the_middle_of_the_picture() {
    let mut wide = Frame::filled(672, 224, [0, 0, 255]);
    wide.paste(&Frame::filled(224, 224, [255, 0, 0]), 224, 0);
    let values = clip_pixel_values(&wide);
    assert_eq!(values.len(), 3 * 224 * 224);
    let middle = |channel: usize| values[channel * 224 * 224 + 112 * 224 + 112];
    assert!((middle(0) - 1.930_336).abs() < 1e-4, "{}", middle(0));
    assert!((middle(2) + 1.480_219).abs() < 1e-4, "{}", middle(2));
}

#[test]
fn matching_colours_to_oneself_changes_nothing() {
    let mut video = scene(40, 30, 3);
    for frame in &video.frames {
        assert_eq!(&match_histogram(frame, frame), frame);
    }
    video.frames[1] = Frame::filled(40, 30, [7, 7, 7]);
    let first = video.frames[0].clone();
    match_video_to_first_frame(&mut video);
    assert_eq!(video.frames[0], first);
    // A flat picture takes the brightest values, those at the last quantile.
    assert_eq!(video.frames[1].pixel(3, 3), [220, 176, 150]);
}

#[test]
fn a_grid_evens_out_its_rows() {
    assert_eq!(grid_shape(4, 3), (2, 2));
    assert_eq!(grid_shape(5, 3), (2, 3));
    assert_eq!(grid_shape(2, 3), (1, 2));
    let tile = |level: u8| Video::new(vec![Frame::filled(2, 2, [level; 3]); 2], 4.0).unwrap();
    let tiled = grid(&[tile(1), tile(2), tile(3)], 2).unwrap();
    assert_eq!(tiled.size(), (4, 4));
    assert_eq!(tiled.frames.len(), 2);
    assert_eq!(tiled.frames[1].pixel(3, 0), [2; 3]);
    assert_eq!(tiled.frames[1].pixel(0, 3), [3; 3]);
    assert_eq!(tiled.frames[1].pixel(3, 3), [0; 3]);
    assert!(grid(&[], 3).is_err());
    assert!(grid(&[tile(1), scene(2, 2, 2)], 3).is_err());
}

#[test]
fn bad_pictures_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let good = png::encode(&scene(20, 10, 1).frames[0]).unwrap();
    let mut huge = good.clone();
    // Width and height in the header, and the checksum that goes with them.
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let sum = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&sum.to_be_bytes());
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty.png", &[], "is empty"),
        ("text.png", b"not a picture at all", "PNG, JPEG, WebP, GIF or BMP"),
        ("cut.png", &good[..good.len() / 2], "is no whole png picture"),
        ("huge.png", &huge, "100000 x 100000"),
        ("scan.tiff", b"II*\0\x08\0\0\0", "PNG, JPEG, WebP, GIF or BMP"),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_frame(&path).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    let error = read_frame(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is a folder"), "{error}");
    let error = read_frame(&folder.path().join("none.png")).unwrap_err().to_string();
    assert!(error.contains("none.png") && error.starts_with("cannot read"), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn transparency_shows_white() {
    let pixels = [200, 100, 0, 255, 200, 100, 0, 128, 200, 100, 0, 0];
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&pixels, 3, 1, ExtendedColorType::Rgba8)
        .unwrap();
    let frame = decode_frame("a.png", &bytes).unwrap();
    assert_eq!(frame.data, [200, 100, 0, 227, 177, 127, 255, 255, 255]);
}

#[test]
fn photographs_are_turned_upright() {
    let mut jpeg = Vec::new();
    let mut lying = Frame::filled(32, 16, [0, 0, 0]);
    lying.paste(&Frame::filled(16, 16, [255; 3]), 0, 0);
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(&lying.data, 32, 16, ExtendedColorType::Rgb8)
        .unwrap();
    // EXIF, little-endian, one entry: orientation (0x112) is 6, a quarter turn clockwise.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut marker = vec![0xff, 0xe1, 0, exif.len() as u8 + 2];
    marker.extend(exif);
    jpeg.splice(2..2, marker);
    let frame = decode_frame("a.jpg", &jpeg).unwrap();
    assert_eq!((frame.width, frame.height), (16, 32));
    assert!(frame.pixel(8, 4)[0] > 250 && frame.pixel(8, 28)[0] < 5);
}

#[cfg(feature = "h264")]
mod h264 {
    use musev::media::mp4;
    use openh264::decoder::Decoder;
    use openh264::formats::YUVSource;
    use shiguredo_mp4::boxes::SampleEntry;
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

    use super::*;

    /// What a player finds: size, picture times in seconds, pictures as RGB.
    fn play(file: &[u8]) -> ((u16, u16), Vec<f64>, Vec<Vec<u8>>) {
        let mut demuxer = Mp4FileDemuxer::new();
        demuxer.handle_input(Input { position: 0, data: file });
        assert_eq!(demuxer.tracks().unwrap().len(), 1);
        let mut decoder = Decoder::new().unwrap();
        let (mut size, mut times, mut pictures) = ((0, 0), Vec::new(), Vec::new());
        while let Some(sample) = demuxer.next_sample().unwrap() {
            let mut stream = Vec::new();
            if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
                size = (entry.visual.width, entry.visual.height);
                for set in entry.avcc_box.sps_list.iter().chain(&entry.avcc_box.pps_list) {
                    stream.extend([0, 0, 0, 1]);
                    stream.extend(set);
                }
            }
            assert!(sample.keyframe || !times.is_empty());
            times.push(sample.timestamp as f64 / f64::from(sample.track.timescale.get()));
            let mut data = &file[sample.data_offset as usize..][..sample.data_size];
            while let Some((length, rest)) = data.split_at_checked(4) {
                let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                stream.extend([0, 0, 0, 1]);
                stream.extend(&rest[..length]);
                data = &rest[length..];
            }
            pictures.push(rgb(&decoder.decode(&stream).unwrap().unwrap()));
        }
        (size, times, pictures)
    }

    /// BT.709, limited range.
    fn rgb(picture: &impl YUVSource) -> Vec<u8> {
        let (width, height) = picture.dimensions();
        let (y_stride, u_stride, v_stride) = picture.strides();
        let color = |x: usize, y: usize| {
            let luma = (f32::from(picture.y()[y * y_stride + x]) - 16.0) * 255.0 / 219.0;
            let u = (f32::from(picture.u()[y / 2 * u_stride + x / 2]) - 128.0) * 255.0 / 224.0;
            let v = (f32::from(picture.v()[y / 2 * v_stride + x / 2]) - 128.0) * 255.0 / 224.0;
            [luma + 1.5748 * v, luma - 0.187_324 * u - 0.468_124 * v, luma + 1.8556 * u]
                .map(|value| value.round() as u8)
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect()
    }

    fn luma(rgb: &[u8]) -> Vec<u8> {
        let mix = |p: &[u8]| {
            0.2126 * f32::from(p[0]) + 0.7152 * f32::from(p[1]) + 0.0722 * f32::from(p[2])
        };
        rgb.chunks_exact(3).map(|pixel| mix(pixel).round() as u8).collect()
    }

    /// The mean colour of every two by two pixels.
    fn fours(rgb: &[u8], width: usize) -> Vec<u8> {
        let mean = |rows: &[u8], at: usize| {
            let level = |row: usize, column: usize| {
                u32::from(rows[3 * row * width + 6 * (at / 3) + 3 * column + at % 3])
            };
            ((level(0, 0) + level(0, 1) + level(1, 0) + level(1, 1) + 2) / 4) as u8
        };
        rgb.chunks_exact(6 * width)
            .flat_map(|rows| (0..3 * width / 2).map(move |at| mean(rows, at)))
            .collect()
    }

    #[test]
    fn plays_what_was_written() {
        let mut video = scene(64, 48, 40);
        video.fps = 23.976;
        let file = mp4::encode(&video).unwrap();
        let (size, times, pictures) = play(&file);
        assert_eq!((size, pictures.len()), ((64, 48), 40));
        for (index, time) in times.iter().enumerate() {
            assert!((time - index as f64 / 23.976).abs() < 1e-6);
        }
        for (got, want) in pictures.iter().zip(&video.frames) {
            // Brightness keeps every pixel; of colour there is one value for four.
            let bright = psnr(&luma(got), &luma(&want.data));
            let colors = psnr(&fours(got, 64), &fours(&want.data, 64));
            assert!(bright > 45.0 && colors > 40.0, "{bright} {colors}");
        }
        let place = |name: &[u8]| file.windows(4).position(|bytes| bytes == name).unwrap();
        assert!(place(b"moov") < place(b"mdat"), "the index comes first");
        assert!(place(b"colr") < place(b"mdat"));
    }

    #[test]
    fn odd_and_short_sides_are_padded() {
        for (width, height) in [(33, 21), (1, 1), (16, 17), (250, 6)] {
            let video =
                Video::new(vec![Frame::filled(width, height, [90, 140, 200]); 2], 0.5).unwrap();
            let (size, times, pictures) = play(&mp4::encode(&video).unwrap());
            let even = [width, height].map(|side| side.max(16).next_multiple_of(2));
            assert_eq!([usize::from(size.0), usize::from(size.1)], even);
            assert_eq!(times, [0.0, 2.0]);
            let flat = Frame::filled(even[0], even[1], [90, 140, 200]);
            assert!(psnr(&pictures[1], &flat.data) > 40.0);
        }
    }

    /// What a network with random weights makes; OpenH264 has no room for it at the best quality.
    #[test]
    fn noise_is_written_too() {
        let mut state = 1u32;
        let mut level = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for side in [16, 128, 200] {
            let mut noise = || {
                let data = (0..3 * side * side).map(|_| level()).collect();
                Frame::new(side, side, data).unwrap()
            };
            let video = Video::new((0..10).map(|_| noise()).collect(), 8.0).unwrap();
            let (_, _, pictures) = play(&mp4::encode(&video).unwrap());
            assert_eq!(pictures.len(), 10);
            for (got, want) in pictures.iter().zip(&video.frames) {
                let found = psnr(&luma(got), &luma(&want.data));
                assert!(found > 15.0, "{side}: {found} dB");
            }
        }
    }

    #[test]
    fn frames_beyond_the_encoder_are_refused() {
        let wide = Video::new(vec![Frame::filled(4000, 2, [0; 3])], 4.0).unwrap();
        let error = mp4::encode(&wide).unwrap_err().to_string();
        assert!(error.contains("3840 x 2160"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn crops_lie_inside(w in 1usize..5000, h in 1usize..5000, tw in 1usize..3000, th in 1usize..3000) {
        let rect = centre_crop(w, h, tw, th);
        prop_assert!(rect.width >= 1 && rect.height >= 1);
        prop_assert!(rect.x + rect.width <= w && rect.y + rect.height <= h);
    }

    #[test]
    fn resizing_gives_the_size_asked_for(
        w in 1usize..40, h in 1usize..40, tw in 1usize..40, th in 1usize..40, seed in any::<u8>()
    ) {
        let data = (0..3 * w * h).map(|i| (i * 31 + usize::from(seed)) as u8).collect();
        let frame = Frame::new(w, h, data).unwrap();
        let resized = [
            crop_resize(&frame, tw, th, Filter::Lanczos),
            crop_resize(&frame, tw, th, Filter::Bicubic),
            crop_resize_bilinear(&frame, tw, th),
        ];
        for got in resized {
            prop_assert_eq!((got.width, got.height, got.data.len()), (tw, th, 3 * tw * th));
        }
        let whole = Rect { x: 0, y: 0, width: w, height: h };
        prop_assert_eq!(crop(&frame, whole), frame);
    }

    #[test]
    fn lossless_formats_return_every_byte(w in 1usize..30, h in 1usize..30, noise in any::<u64>()) {
        let next = |i: usize| (noise.wrapping_mul(i as u64 * 2 + 1) >> 40) as u8;
        let frame = Frame::new(w, h, (0..3 * w * h).map(next).collect()).unwrap();
        prop_assert_eq!(&decode_frame("x", &png::encode(&frame).unwrap()).unwrap(), &frame);
        let video = Video::new(vec![frame.clone(); 2], 4.0).unwrap();
        prop_assert_eq!(&decode_frame("x", &webp::encode(&video).unwrap()).unwrap(), &frame);
    }

    #[test]
    fn damaged_pictures_never_panic(
        format in 0usize..4, cut in 0.0f64..1.0, hit in 0.0f64..1.0, value in any::<u8>()
    ) {
        let video = scene(24, 18, 2);
        let mut bytes = match format {
            0 => png::encode(&video.frames[0]).unwrap(),
            1 => gif::encode(&video).unwrap(),
            2 => webp::encode(&video).unwrap(),
            _ => {
                let mut jpeg = Vec::new();
                image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
                    .encode(&video.frames[0].data, 24, 18, ExtendedColorType::Rgb8)
                    .unwrap();
                jpeg
            }
        };
        let length = bytes.len();
        let _ = decode_frame("cut", &bytes[..(length as f64 * cut) as usize]);
        bytes[(length as f64 * hit) as usize] = value;
        let _ = decode_frame("hit", &bytes);
    }
}
