//! Words on the frames.

use musev::media::{Frame, Video, write_info};

/// Frame 0 of a grey video of 7 frames with `label` on it, and frame 6.
fn labelled(width: usize, height: usize, label: &str) -> [Frame; 2] {
    let grey = Frame::filled(width, height, [90; 3]);
    let mut video = Video::new(vec![grey; 7], 8.0).unwrap();
    write_info(&mut video, label);
    [video.frames[0].clone(), video.frames[6].clone()]
}

/// The rows of `frame` as text: ink `#`, outline `.`, and the grey ground a space.
fn drawing(frame: &Frame, rows: std::ops::Range<usize>) -> Vec<String> {
    let letter = |color: [u8; 3]| match color {
        [255, 255, 255] => '#',
        [0, 0, 0] => '.',
        [90, 90, 90] => ' ',
        other => panic!("{other:?} is no colour of a label"),
    };
    rows.map(|y| (0..frame.width).map(|x| letter(frame.pixel(x, y))).collect()).collect()
}

#[test]
fn a_label_and_the_number_are_white_in_black() {
    let [first, last] = labelled(12, 40, "T");
    let letter = [
        "            ",
        " ........   ",
        " .######.   ",
        " .#.##.#.   ",
        " ...##...   ",
        "   .##.     ",
        "   .##.     ",
        "  ..##..    ",
        "  .####.    ",
        "  ......    ",
    ];
    assert_eq!(drawing(&first, 0..10), letter);
    assert_eq!(drawing(&last, 0..20), drawing(&first, 0..20));
    let blank = " ".repeat(12);
    assert!(drawing(&first, 10..29).iter().all(|row| *row == blank));
    assert_ne!(drawing(&first, 29..40), drawing(&last, 29..40));
}

#[test]
fn labels_are_numbered_from_0() {
    let number = |frame: &Frame| drawing(frame, 29..39);
    let [first, last] = labelled(12, 40, "");
    for (frame, digit) in [(first, "0"), (last, "6")] {
        let [labelled, _] = labelled(12, 40, digit);
        assert_eq!(number(&frame), drawing(&labelled, 1..11), "{digit}");
    }
}

#[test]
fn labels_grow_with_the_frame() {
    for (height, scale) in [(383, 1), (384, 2), (512, 2), (768, 3)] {
        let [small, _] = labelled(24, 64, "Ab");
        let [large, _] = labelled(24 * scale, height, "Ab");
        for y in 0..11 * scale {
            for x in 0..24 * scale {
                let want = small.pixel(x / scale, y / scale);
                assert_eq!(large.pixel(x, y), want, "{height}: {x}, {y}");
            }
        }
    }
}

#[test]
fn labels_fall_back_to_a_question_mark() {
    let same = |a: &str, b: &str| labelled(64, 32, a) == labelled(64, 32, b);
    for (label, shown) in [("猫", "?"), ("a🐈b", "a?b"), ("\u{7}", "?"), ("a\tb", "a b")] {
        assert!(same(label, shown), "{label:?}");
    }
    for label in ["é", "ß", "Ω", "あ"] {
        assert!(!same(label, "?") && !same(label, " "), "{label:?}");
    }
}

#[test]
fn labels_are_cut_at_the_edges() {
    let long = "a label of many words ".repeat(50);
    for (width, height) in [(1, 1), (1, 40), (40, 1), (3, 3), (9, 9), (11, 300), (24, 40)] {
        let [cut, _] = labelled(width, height, &long);
        let [wide, _] = labelled(width + 200, height, &long);
        for y in 0..height {
            for x in 0..width {
                assert_eq!(cut.pixel(x, y), wide.pixel(x, y), "{width} x {height}: {x}, {y}");
            }
        }
    }
}
