//! Control maps against those of the original's detectors.

use std::collections::BTreeSet;

use musev::detectors::Canny;
use musev::{Detector, DetectorKind, Frame, Resolutions};

fn golden(name: &str) -> Frame {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/detectors");
    let path = std::path::Path::new(folder).join(format!("{name}.png"));
    musev::read_frame(&path).expect("the golden is there")
}

fn map(kind: DetectorKind, resolutions: Resolutions, seed: u64, frame: &Frame) -> Frame {
    let detector = Detector::new(kind, resolutions, seed).expect("this detector is built");
    pollster::block_on(detector.detect(frame)).expect("no device is needed")
}

#[test]
fn edges_are_those_of_opencv() {
    for name in ["photograph", "noise", "steps", "disc"] {
        let edges = Canny::default().edges(&golden(name));
        assert!(edges == golden(&format!("{name}_edges")), "{name} differs");
        let white = edges.data.iter().filter(|level| **level == 255).count();
        assert!(white > 300 && white < edges.data.len() / 2, "{name}: {white}");
    }
}

#[test]
fn detectors_resize_as_the_original_does() {
    let photograph = golden("photograph");
    let resolutions = Resolutions { detect: 128, image: 192 };
    let canny = map(DetectorKind::Canny, resolutions, 0, &photograph);
    assert!(canny == golden("photograph_canny_128_192"));
    assert_eq!(map(DetectorKind::Tile, resolutions, 0, &photograph), photograph);
}

#[test]
fn content_is_shuffled_as_the_original_would_with_these_random_numbers() {
    let photograph = golden("photograph");
    let resolutions = Resolutions { detect: 192, image: 128 };
    let ours = map(DetectorKind::Content, resolutions, 5, &photograph);
    let theirs = golden("photograph_content_192_128");
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height));
    let far = ours.data.iter().zip(&theirs.data).map(|(a, b)| a.abs_diff(*b));
    // Floats of another order of operations: a level where the sum lies between two.
    assert!(far.clone().max() <= Some(1), "{:?}", far.max());
    assert!(far.filter(|far| *far > 0).count() < theirs.data.len() / 100);
    let other = map(DetectorKind::Content, resolutions, 6, &photograph);
    assert!(other != ours, "the seed has no say");
    assert!(map(DetectorKind::Content, resolutions, 5, &photograph) == ours);
}

#[test]
fn single_pixels_and_lines_have_no_edges() {
    for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2)] {
        let frame = Frame::filled(width, height, [255; 3]);
        assert_eq!(Canny::default().edges(&frame), Frame::filled(width, height, [0; 3]));
    }
}

#[test]
fn every_name_is_known_once_and_has_a_controlnet() {
    let names: BTreeSet<&str> = DetectorKind::ALL.into_iter().map(DetectorKind::name).collect();
    assert_eq!(names.len(), 26);
    for kind in DetectorKind::ALL {
        assert_eq!(kind.name().parse::<DetectorKind>().expect("it is a name"), kind);
        assert!(kind.controlnet().contains("sd"), "{kind}");
    }
    assert_eq!("dwpose-body-hand".parse::<DetectorKind>().ok(), Some(DetectorKind::DwposeBodyHand));
    let unknown = "canni".parse::<DetectorKind>().expect_err("it is no name").to_string();
    assert!(unknown.contains("controlnet-name") && unknown.contains("dwpose_body_hand"));
}

#[test]
fn a_detector_to_come_says_so() {
    for kind in DetectorKind::ALL {
        let made = Detector::new(kind, Resolutions::default(), 0);
        if DetectorKind::built().contains(&kind) {
            assert!(made.is_ok(), "{kind}");
        } else {
            let message = made.expect_err("it is to come").to_string();
            assert!(message.contains(kind.name()) && message.contains("canny, tile, content"));
            assert!(message.contains("video-is-middle"), "{message}");
        }
    }
    let tiny = Resolutions { detect: 10, image: 512 };
    let refused = Detector::new(DetectorKind::Canny, tiny, 0).expect_err("it is too small");
    assert!(refused.to_string().contains("detect-resolution"));
}
