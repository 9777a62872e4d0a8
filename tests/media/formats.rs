//! Writing: every format, whole or not at all.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::AnimationDecoder;
use musev::Error;
use musev::media::{
    Format, Frame, Video, check_output, decode_frame, decode_video, encode, gif, mp4, output_path,
    png, read_frame, webp, write,
};

use super::{holds, psnr, scene};

#[test]
fn formats_are_told_by_extension() {
    assert_eq!(Format::from_extension(Path::new("a/b.MP4")).unwrap(), Format::Mp4);
    assert_eq!(Format::from_name("images"), Some(Format::Png));
    for name in ["clip.avi", "clip", ".mp4"] {
        let error = Format::from_extension(Path::new(name)).unwrap_err();
        assert!(error.to_string().contains(".mp4, .gif, .webp or .png"), "{error}");
    }
    assert_eq!(output_path(Path::new("a/b.png"), Format::Png), Path::new("a/b"));
    assert_eq!(output_path(Path::new("a/b.gif"), Format::Gif), Path::new("a/b.gif"));
}

#[test]
fn webp_comes_back_without_loss() {
    let video = scene(33, 21, 4);
    let bytes = webp::encode(&video).unwrap();
    let decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(&bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 4);
    for (got, want) in frames.into_iter().zip(&video.frames) {
        assert_eq!(got.delay().numer_denom_ms(), (125, 1));
        let got = image::DynamicImage::from(got.into_buffer()).into_rgb8().into_raw();
        assert_eq!(got, want.data);
    }
    assert_eq!(decode_frame("x", &bytes).unwrap(), video.frames[0], "the first picture is read");
}

#[test]
fn gif_is_near_and_does_not_flicker() {
    let video = scene(96, 64, 5);
    let frames = gif_frames(&gif::encode(&video).unwrap());
    assert_eq!(frames.len(), 5);
    for ((got, delay), want) in frames.iter().zip(&video.frames) {
        // 1/8 s is 12.5 hundredths: 13 and 12 in turn.
        assert!(*delay == 120 || *delay == 130, "{delay}");
        assert!(psnr(got, &want.data) > 32.0, "{}", psnr(got, &want.data));
    }
    assert_eq!(frames.iter().map(|(_, delay)| delay).sum::<u32>(), 630);
    // The right side stands still.
    let still = |pixels: &[u8]| pixels[3 * 80..3 * 96].to_vec();
    assert!(frames.iter().all(|(pixels, _)| still(pixels) == still(&frames[0].0)));
}

#[test]
fn gif_of_few_colours_is_exact() {
    let mut video = Video::new(vec![Frame::filled(9, 7, [1, 2, 3]); 3], 60.0).unwrap();
    video.frames[1].paste(&Frame::filled(2, 2, [200, 0, 9]), 4, 4);
    let frames = gif_frames(&gif::encode(&video).unwrap());
    for ((got, delay), want) in frames.iter().zip(&video.frames) {
        assert_eq!((got, *delay), (&want.data, 20));
    }
}

fn gif_frames(bytes: &[u8]) -> Vec<(Vec<u8>, u32)> {
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    let read = |frame: image::Frame| {
        let delay = frame.delay().numer_denom_ms().0;
        (image::DynamicImage::from(frame.into_buffer()).into_rgb8().into_raw(), delay)
    };
    frames.into_iter().map(read).collect()
}

/// The boxes of an MP4 file that stand in `bytes`: names and contents.
fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = match u32::from_be_bytes(bytes[..4].try_into().unwrap()) {
            1 => u64::from_be_bytes(bytes[8..16].try_into().unwrap()) as usize,
            short => short as usize,
        };
        found.push((bytes[4..8].iter().map(|&b| b as char).collect(), &bytes[8..length]));
        bytes = &bytes[length..];
    }
    found
}

fn inside<'a>(bytes: &'a [u8], name: &str) -> &'a [u8] {
    boxes(bytes).into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn a_comment_stands_in_the_file_and_changes_no_picture() {
    let comment = format!("{{\"prompt\": \"a <cat> & a dog, {}\"}}", "na\u{ef}ve ".repeat(60));
    let plain = scene(64, 48, 5);
    let video = Video { comment: Some(comment.clone()), ..plain.clone() };
    for format in [Format::Mp4, Format::Gif, Format::Webp] {
        let with = encode(&video, format).unwrap();
        let name = format!("video.{}", format.extension());
        let [got, want] = [with.clone(), encode(&plain, format).unwrap()]
            .map(|bytes| decode_video(&name, &bytes, [255; 3]).unwrap().frames);
        assert!(got == want, "{name}");
        let told = match format {
            Format::Mp4 => {
                let tag = inside(inside(inside(&with, "moov"), "udta"), "meta");
                let data = inside(inside(inside(&tag[4..], "ilst"), "\u{a9}cmt"), "data");
                String::from_utf8(data[8..].to_vec()).unwrap()
            }
            Format::Gif => {
                let start = with.windows(2).position(|pair| pair == [0x21, 0xfe]).unwrap() + 2;
                let (mut at, mut text) = (start, Vec::new());
                while with[at] != 0 {
                    text.extend(&with[at + 1..=at + usize::from(with[at])]);
                    at += 1 + usize::from(with[at]);
                }
                String::from_utf8(text).unwrap()
            }
            _ => {
                let mut decoder =
                    image::codecs::webp::WebPDecoder::new(Cursor::new(&with)).unwrap();
                let packet = image::ImageDecoder::xmp_metadata(&mut decoder).unwrap().unwrap();
                let packet = String::from_utf8(packet).unwrap();
                let text = packet.split("x-default\">").nth(1).unwrap().split("</rdf:li>").next();
                text.unwrap().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            }
        };
        assert_eq!(told, comment, "{name}");
    }
}

#[test]
fn a_stream_takes_its_parameters_from_a_decoder_configuration_record() {
    let (sequence, picture) = ([0x67, 66, 0, 31, 9].as_slice(), [0x68, 1].as_slice());
    let mut record = vec![1, 66, 0, 31, 0xff, 0xe1, 0, 5];
    record.extend(sequence);
    record.extend([1, 0, 2]);
    record.extend(picture);
    let empty = || mp4::Stream {
        width: 16,
        height: 16,
        fps: 8.0,
        sequence_parameters: Vec::new(),
        picture_parameters: Vec::new(),
        samples: Vec::new(),
    };
    let mut stream = empty();
    stream.configure(&record).unwrap();
    assert_eq!((&*stream.sequence_parameters, &*stream.picture_parameters), (sequence, picture));
    for end in 0..record.len() {
        assert!(empty().configure(&record[..end]).is_err(), "{end}");
    }
    assert!(mp4::mux(&empty(), None).is_err());
}

#[test]
fn every_format_is_written_whole_and_replaces_the_last() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL.into_iter().filter(|format| format.check_size(1, 1).is_ok()) {
        let path = folder.path().join(format!("clip.{}", format.extension()));
        for frames in [3, 2] {
            write(&scene(32, 24, frames), &path, format).unwrap();
        }
    }
    for index in 0..2 {
        let file = folder.path().join("clip").join(png::file_name(index));
        assert_eq!(read_frame(&file).unwrap(), scene(32, 24, 2).frames[index]);
    }
    assert!(holds(&folder.path().join("clip"), &["0000.png", "0001.png"]));
    assert_eq!(gif_frames(&fs::read(folder.path().join("clip.gif")).unwrap()).len(), 2);
    let whole = [&["clip", "clip.gif"][..], &["clip.mp4"; cfg!(feature = "h264") as usize]];
    assert!(holds(folder.path(), &[whole.concat(), vec!["clip.webp"]].concat()));
}

#[test]
fn outputs_that_would_destroy_something_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let video = scene(16, 16, 2);
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("diary.txt"), "dear").unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for (path, format) in [(&taken, Format::Png), (&taken, Format::Gif), (&file, Format::Png)] {
        let error = write(&video, path, format).unwrap_err();
        assert!(matches!(error, Error::Media { .. }), "{error}");
        assert!(check_output(path, format, (16, 16)).is_err());
    }
    assert!(holds(folder.path(), &["file", "taken"]));
    assert!(holds(&taken, &["diary.txt"]));
}

#[test]
fn impossible_outputs_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let video = scene(16, 16, 2);
    let absent = folder.path().join("absent/clip.gif");
    for path in [absent.as_path(), Path::new("/"), &folder.path().join("n".repeat(300))] {
        assert!(write(&video, path, Format::Gif).is_err(), "{}", path.display());
        assert!(check_output(path, Format::Gif, (16, 16)).is_err());
    }
    let path = folder.path().join("clip.webp");
    assert!(check_output(&path, Format::Webp, (20_000, 16)).is_err());
    assert!(check_output(&path, Format::Webp, (16, 16)).is_ok());
    let wide = Video::new(vec![Frame::filled(16_384, 1, [0; 3])], 4.0).unwrap();
    let error = write(&wide, &path, Format::Webp).unwrap_err();
    assert!(error.to_string().contains("16383 x 16383"), "{error}");
    assert!(encode(&video, Format::Png).is_err());
    let empty = Video { frames: Vec::new(), fps: 4.0, comment: None };
    for format in Format::ALL {
        assert!(write(&empty, &folder.path().join("empty"), format).is_err());
    }
    assert!(holds(folder.path(), &[]));
}

/// Writing fails half way, as on a full disk: the shell lets no file grow beyond 8 KiB.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_older_file() {
    const TARGET: &str = "MUSEV_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(TARGET) {
        let folder = Path::new(&folder);
        let mut state = 1u32;
        let noise = (0..3 * 128 * 128).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let video =
            Video::new(vec![Frame::new(128, 128, noise.collect()).unwrap(); 2], 4.0).unwrap();
        for name in ["clip.gif", "clip.webp", "frames.png"] {
            let path = folder.join(name);
            let error = write(&video, &path, Format::from_extension(&path).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clip.gif"), "old").unwrap();
    let limited =
        "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact a_full_disk_leaves_the_older_file";
    let run = std::process::Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(TARGET, folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(holds(folder.path(), &["clip.gif"]));
    assert_eq!(fs::read(folder.path().join("clip.gif")).unwrap(), b"old");
}
