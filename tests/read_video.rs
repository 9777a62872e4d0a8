//! Reading videos: what is written comes back, what is damaged is refused.

use std::fs;
use std::path::Path;

use image::ImageEncoder;
use musev::media::{FOLDER_FPS, Format, Frame, Video, decode_video, encode, read_video, write};
use proptest::prelude::*;

const WHITE: [u8; 3] = [255; 3];

/// A moving scene of few colours, which a GIF keeps exactly.
fn scene(width: usize, height: usize, frames: usize, fps: f32) -> Video {
    let picture = |time: usize| {
        let color = |x: usize, y: usize| {
            let disc = (x as f32 - (8 + 3 * time) as f32).hypot(y as f32 - height as f32 / 2.0);
            if disc < 7.0 { [220, 60, 40] } else { [(40 * (x / 10 % 5)) as u8, 120, 150] }
        };
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect();
        Frame::new(width, height, data).unwrap()
    };
    Video::new((0..frames).map(picture).collect(), fps).unwrap()
}

fn psnr(got: &Frame, want: &Frame) -> f64 {
    assert_eq!((got.width, got.height), (want.width, want.height));
    let difference = |(g, w): (&u8, &u8)| (f64::from(*g) - f64::from(*w)).powi(2);
    let squares: f64 = got.data.iter().zip(&want.data).map(difference).sum();
    10.0 * (255.0 * 255.0 * got.data.len() as f64 / squares.max(1e-9)).log10()
}

/// An animated WebP of lossless RGBA parts: left, top, width, height, flags, colour.
fn webp_of_parts(canvas: [u32; 2], parts: &[([u32; 4], u8, [u8; 4])]) -> Vec<u8> {
    fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
        out.extend(kind);
        out.extend((body.len() as u32).to_le_bytes());
        out.extend(body);
        out.extend((body.len() % 2 == 1).then_some(0));
    }
    let u24 = |value: u32| value.to_le_bytes()[..3].to_vec();
    let mut chunks = Vec::new();
    let sides = [u24(canvas[0] - 1), u24(canvas[1] - 1)].concat();
    chunk(&mut chunks, b"VP8X", &[&[0b1_0010, 0, 0, 0], sides.as_slice()].concat());
    chunk(&mut chunks, b"ANIM", &[9, 9, 9, 255, 0, 0]);
    for ([x, y, width, height], flags, color) in parts {
        let mut still = Vec::new();
        let pixels = color.repeat((width * height) as usize);
        image::codecs::webp::WebPEncoder::new_lossless(&mut still)
            .write_image(&pixels, *width, *height, image::ExtendedColorType::Rgba8)
            .unwrap();
        let mut body =
            [u24(x / 2), u24(y / 2), u24(width - 1), u24(height - 1), u24(40), vec![*flags]]
                .concat();
        body.extend(&still[12..]);
        chunk(&mut chunks, b"ANMF", &body);
    }
    let length = (chunks.len() as u32 + 4).to_le_bytes();
    [b"RIFF".as_slice(), &length, b"WEBP", &chunks].concat()
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for (format, fps, read_fps) in
        [(Format::Webp, 23.976, 23.976), (Format::Gif, 12.5, 12.5), (Format::Png, 12.5, FOLDER_FPS)]
    {
        // More than ten frames: the tenth comes after the ninth.
        let video = scene(33, 21, 12, fps);
        // The name says nothing: the content does.
        let path = folder.path().join(format!("video of {format:?}"));
        write(&video, &path, format).unwrap();
        let got = read_video(&path, [1, 2, 3]).unwrap();
        assert_eq!(got.frames, video.frames, "{format:?}");
        assert!((got.fps - read_fps).abs() < 0.05, "{format:?} {}", got.fps);
    }
}

#[test]
fn webp_parts_are_blended_and_disposed_of() {
    const KEEP: u8 = 0b10;
    const KEEP_DISPOSE: u8 = 0b11;
    const BLEND: u8 = 0;
    const BLEND_DISPOSE: u8 = 1;
    let [red, half_blue, clear] = [[200, 0, 0, 255], [0, 0, 200, 128], [0; 4]];
    let parts = [
        ([0, 0, 4, 2], KEEP, red),
        ([2, 0, 2, 2], BLEND_DISPOSE, half_blue),
        ([0, 0, 2, 2], KEEP, clear),
        ([0, 0, 4, 2], BLEND, half_blue),
        ([0, 0, 2, 2], KEEP_DISPOSE, red),
        ([2, 0, 2, 2], BLEND, clear),
    ];
    let video = decode_video("x", &webp_of_parts([4, 2], &parts), [100; 3]).unwrap();
    assert_eq!(video.fps, 25.0);
    let columns = |frame: &Frame| [frame.pixel(0, 1), frame.pixel(3, 1)];
    let got: Vec<_> = video.frames.iter().map(columns).collect();
    let (red, purple, ground, veiled) = ([200, 0, 0], [100, 0, 100], [100; 3], [50, 50, 150]);
    let want = [
        [red, red],
        [red, purple],
        // The second part is gone, the red under it with it; the third leaves nothing of the first.
        [ground, ground],
        [veiled, veiled],
        [red, veiled],
        [ground, veiled],
    ];
    for (got, want) in
        got.as_flattened().as_flattened().iter().zip(want.as_flattened().as_flattened())
    {
        // A level of rounding where colours mix.
        assert!(got.abs_diff(*want) <= 1, "{video:?}");
    }
}

#[test]
fn gif_frames_are_put_together() {
    let mut bytes = Vec::new();
    let mut encoder =
        gif::Encoder::new(&mut bytes, 4, 1, &[200, 0, 0, 0, 0, 200, 0, 0, 0]).unwrap();
    for (left, pixels, dispose, delay) in [
        (0, vec![0, 0, 0, 0], gif::DisposalMethod::Keep, 4),
        (1, vec![1, 1], gif::DisposalMethod::Previous, 4),
        (2, vec![1, 2], gif::DisposalMethod::Background, 0),
        (0, vec![2], gif::DisposalMethod::Keep, 12),
    ] {
        let frame = gif::Frame {
            left,
            width: pixels.len() as u16,
            height: 1,
            delay,
            dispose,
            transparent: Some(2),
            buffer: pixels.into(),
            ..Default::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    let video = decode_video("x", &bytes, WHITE).unwrap();
    let (r, b, w) = ([200, 0, 0], [0, 0, 200], WHITE);
    let rows: Vec<Vec<u8>> = video.frames.iter().map(|frame| frame.data.clone()).collect();
    assert_eq!(rows[0], [r, r, r, r].concat());
    assert_eq!(rows[1], [r, b, b, r].concat());
    assert_eq!(rows[2], [r, r, b, r].concat());
    assert_eq!(rows[3], [r, r, w, w].concat());
    // 40, 40, 100 for the impossible 0, and 120 ms.
    assert!((video.fps - 4000.0 / 300.0).abs() < 1e-3, "{}", video.fps);
}

#[test]
fn a_picture_is_a_video_of_one_frame() {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&[200, 100, 0, 255, 200, 100, 0, 0], 2, 1, image::ExtendedColorType::Rgba8)
        .unwrap();
    let video = decode_video("a.png", &bytes, [7, 8, 9]).unwrap();
    assert_eq!(video.frames, [Frame::new(2, 1, vec![200, 100, 0, 7, 8, 9]).unwrap()]);
    assert_eq!(video.fps, FOLDER_FPS);
}

#[test]
fn a_folder_is_read_in_the_order_of_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, level: u8| {
        let frame = Frame::filled(3, 2, [level; 3]);
        fs::write(folder.path().join(name), musev::media::png::encode(&frame).unwrap()).unwrap();
    };
    for (name, level) in [("f10.png", 10), ("f9.PNG", 9), ("f009b.png", 11), ("a.jpg", 1)] {
        save(name, level);
    }
    save(".hidden.png", 99);
    fs::write(folder.path().join("f1.txt"), "a caption").unwrap();
    let video = read_video(folder.path(), WHITE).unwrap();
    let levels: Vec<u8> = video.frames.iter().map(|frame| frame.data[0]).collect();
    assert_eq!(levels, [1, 9, 11, 10]);

    let other = Frame::filled(2, 2, [0; 3]);
    fs::write(folder.path().join("g.png"), musev::media::png::encode(&other).unwrap()).unwrap();
    let error = read_video(folder.path(), WHITE).unwrap_err().to_string();
    assert!(error.contains("g.png") && error.contains("2 x 2 pixels"), "{error}");
}

#[test]
fn bad_videos_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = encode(&scene(24, 18, 3, 8.0), Format::Webp).unwrap();
    let mut huge = whole.clone();
    huge[24..30].fill(0xff);
    let mut no_frames = whole[..12 + 18].to_vec();
    no_frames[4..8].copy_from_slice(&22u32.to_le_bytes());
    let mut outside = whole.clone();
    outside[12 + 18 + 14 + 8] = 200;
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty.webp", &[], "is empty"),
        ("text.mp4", b"not a video at all", "is no video musev reads"),
        ("cut.webp", &whole[..whole.len() - 9], "is no whole webp video"),
        ("huge.webp", &huge, "too large"),
        ("none.webp", &no_frames, "is no whole webp video"),
        ("outside.webp", &outside, "is no whole webp video"),
        ("cut.gif", b"GIF89a\x04\0\x04\0\x80\0", "is no whole gif video"),
        ("cut.mp4", b"\0\0\0\x18ftypisom\0\0\0\0", "mp4"),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_video(&path, WHITE).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(error.to_lowercase().contains(expected), "{error}");
    }
    // In the folder the first picture is read first.
    for (path, expected) in [(Path::new("/none"), "cannot read"), (folder.path(), "cut.gif")] {
        let error = read_video(path, WHITE).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let bare = tempfile::tempdir().unwrap();
    let error = read_video(bare.path(), WHITE).unwrap_err().to_string();
    assert!(error.contains("without pictures"), "{error}");
}

#[test]
fn too_many_frames_are_refused() {
    // Each frame is 30 bytes on disk and 50 MB in memory.
    let part = ([0, 0, 1, 1], 0, [0, 0, 0, 255]);
    let bytes = webp_of_parts([8192, 8192], &[part; 9]);
    let error = decode_video("bomb.webp", &bytes, WHITE).unwrap_err().to_string();
    assert!(error.contains("bomb.webp") && error.contains("too long"), "{error}");
}

#[cfg(feature = "h264")]
mod h264 {
    use super::*;

    /// Soft colours: chroma is halved in H.264, so that hard edges lose some of it.
    fn soft(width: usize, height: usize, frames: usize) -> Video {
        let picture = |time: usize| {
            let color = |x: usize, y: usize| {
                let wave = ((x + 2 * time) as f32 / 9.0).sin() * 60.0;
                [(120.0 + wave) as u8, (60 + 120 * y / height) as u8, (200.0 - wave) as u8]
            };
            let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y)));
            Frame::new(width, height, pixels.collect()).unwrap()
        };
        Video::new((0..frames).map(picture).collect(), 23.976).unwrap()
    }

    #[test]
    fn mp4_comes_back_nearly() {
        let video = soft(64, 48, 40);
        let got = decode_video("x", &encode(&video, Format::Mp4).unwrap(), WHITE).unwrap();
        assert_eq!(got.frames.len(), 40);
        assert!((got.fps - 23.976).abs() < 0.01, "{}", got.fps);
        for (got, want) in got.frames.iter().zip(&video.frames) {
            assert!(psnr(got, want) > 40.0, "{}", psnr(got, want));
        }
    }

    #[test]
    fn pale_and_dark_colours_survive() {
        for color in [[0; 3], WHITE, [255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 140, 200]] {
            let video = Video::new(vec![Frame::filled(32, 16, color); 2], 8.0).unwrap();
            let got = decode_video("x", &encode(&video, Format::Mp4).unwrap(), WHITE).unwrap();
            let near = |(got, want): (&u8, &u8)| got.abs_diff(*want) <= 4;
            assert!(got.frames[1].data.iter().zip(&video.frames[1].data).all(near), "{color:?}");
        }
    }

    #[test]
    fn other_codecs_are_named() {
        let mut bytes = encode(&soft(32, 32, 1), Format::Mp4).unwrap();
        let at = bytes.windows(4).position(|name| name == b"avc1").unwrap();
        // The brand of the file is first, the sample entry last.
        let entry = at + 4 + bytes[at + 4..].windows(4).position(|n| n == b"avc1").unwrap();
        bytes[entry..entry + 4].copy_from_slice(b"mp4v");
        let error = decode_video("old.mp4", &bytes, WHITE).unwrap_err().to_string();
        assert!(error.contains("old.mp4") && error.contains("H.264"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lossless_webp_returns_every_byte(w in 1usize..30, h in 1usize..30, noise in any::<u64>()) {
        let level = |i: usize| (noise.wrapping_mul(i as u64 * 2 + 1) >> 40) as u8;
        let frame = |t: usize| Frame::new(w, h, (t..t + 3 * w * h).map(level).collect()).unwrap();
        let video = Video::new((0..3).map(frame).collect(), 10.0).unwrap();
        let got = decode_video("x", &encode(&video, Format::Webp).unwrap(), WHITE).unwrap();
        prop_assert_eq!(got, video);
    }

    #[test]
    fn damaged_videos_never_panic(
        format in 0usize..3, cut in 0.0f64..1.0, hits in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..6)
    ) {
        let formats = [Format::Gif, Format::Webp, Format::Mp4];
        let format = formats[format];
        prop_assume!(format.check_size(1, 1).is_ok());
        let mut bytes = encode(&scene(24, 18, 3, 8.0), format).unwrap();
        let length = bytes.len();
        let _ = decode_video("cut", &bytes[..(length as f64 * cut) as usize], WHITE);
        for (place, value) in hits {
            bytes[(length as f64 * place) as usize] = value;
        }
        let _ = decode_video("hit", &bytes, WHITE);
    }

    #[test]
    fn damaged_parts_never_panic(hits in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..6)) {
        let parts = [([0, 0, 4, 4], 0, [9, 9, 9, 99]), ([2, 2, 2, 2], 1, [1, 2, 3, 4])];
        let mut bytes = webp_of_parts([4, 4], &parts);
        let length = bytes.len();
        for (place, value) in hits {
            bytes[(length as f64 * place) as usize] = value;
        }
        let _ = decode_video("hit", &bytes, WHITE);
    }
}
