//! The data of training: emoji, their captions, and vocabularies.
#![cfg(feature = "train")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use musev::media::{Format, Frame, Video, encode};
use musev::prompt::ClipTokenizer;
use musev::training::emoji::{base, caption, held_out, name, parse, unpack, write_captions};
use musev::training::{TrainConfig, TrainEvent, train};
use musev::{Device, MIN_VOCABULARY_SIZE, VOCABULARY_SIZE, Vocabulary, read_captions};
use proptest::prelude::*;

#[test]
fn captions_say_what_is_seen_and_done() {
    for (codepoints, expected) in [
        ("1f44b", "a hand, waving"),
        ("1f44b-1f3fd", "a hand with medium skin, waving"),
        ("1f3c3", "a person, running"),
        ("1f3c3-1f3fb-200d-2640-fe0f", "a woman with light skin, running"),
        ("1f493", "a beating heart, beating"),
        ("1f609", "a winking face, winking"),
        ("1f618", "a face, blowing a kiss"),
        ("1f62d", "a loudly crying face, crying loudly"),
        ("1f468-1f3ff-200d-1f9b1", "a man with dark skin and curly hair, winking and smiling"),
        ("1f9d4-1f3fb-200d-2642-fe0f", "a man with light skin and a beard, winking and smiling"),
        ("1f469-200d-1f33e", "a woman farmer, holding a fork"),
        ("1f935-1f3fe-200d-2640-fe0f", "a woman in a tuxedo with medium-dark skin, nodding"),
        ("1f469-200d-1f469-200d-1f467", "a family of a woman, a woman and a girl, nodding"),
        ("1f46c-1f3fb", "two men with light skin, holding hands"),
        ("1f558", "a clock showing nine o'clock, turning its hands"),
        ("1f567", "a clock showing twelve thirty, turning its hands"),
        ("1f419", "an octopus, waving its arms"),
        ("1f984", "a unicorn face, shaking its mane"),
    ] {
        let caption = caption(codepoints, true);
        assert_eq!((caption.text.as_str(), caption.is_named), (expected, true), "{codepoints}");
    }
    for (codepoints, expected) in [
        ("1f1eb-1f1f7", "the flag of France"),
        ("1f3f4-e0067_e0062_e0073_e0063_e0074", "the flag of Scotland"),
        ("1f34e", "a red apple"),
        ("1f44b", "a waving hand"),
    ] {
        assert_eq!(caption(codepoints, false).text, expected, "{codepoints}");
    }
}

#[test]
fn unknown_emoji_get_a_caption_all_the_same() {
    for (codepoints, expected) in [
        ("1f44b-200d-1f34e", "a waving hand and a red apple"),
        ("10ffff", "an emoji"),
        ("x", "an emoji"),
    ] {
        let caption = caption(codepoints, true);
        assert_eq!((caption.text.as_str(), caption.is_named), (expected, false));
    }
}

#[test]
fn variants_share_a_base() {
    for (expected, variants) in [
        ("1f44b", &["1f44b", "1f44b-1f3fb", "1f44b-1f3ff"][..]),
        (
            "1f9d1",
            &[
                "1f468",
                "1f469-1f3fb",
                "1f9d1",
                "1f468-1f3fb-200d-1f9b0",
                "1f469-200d-1f9b3",
                "1f471-200d-2640-fe0f",
                "1f9d4-1f3fd-200d-2642-fe0f",
            ],
        ),
        ("1f3c3", &["1f3c3", "1f3c3-200d-2642-fe0f", "1f3c3-1f3fb-200d-2640-fe0f-200d-27a1-fe0f"]),
        ("1f9d1-200d-1f33e", &["1f468-200d-1f33e", "1f469-1f3fd-200d-1f33e", "1f9d1-200d-1f33e"]),
        ("1f46b", &["1f46b", "1f46c-1f3fb", "1f46d", "1f469-1f3fb-200d-1f91d-200d-1f468-1f3ff"]),
        ("1f491", &["1f491-1f3fb", "1f468-200d-2764-fe0f-200d-1f468"]),
        ("1f48f", &["1f48f", "1f469-200d-2764-fe0f-200d-1f48b-200d-1f468"]),
        ("1f46a", &["1f46a", "1f469-200d-1f467-200d-1f466"]),
        ("1f385", &["1f385-1f3fb", "1f936", "1f9d1-1f3fe-200d-1f384"]),
        ("1f550", &["1f550", "1f55b", "1f567"]),
        ("2764", &["2764-fe0f", "1f499", "1f90d"]),
        ("2764-200d-1f525", &["2764-fe0f-200d-1f525"]),
        ("1f91d", &["1f91d", "1f91d-1f3fb", "1faf1-1f3fb-200d-1faf2-1f3ff"]),
        ("2640-fe0f", &["2640-fe0f"]),
    ] {
        for variant in variants {
            assert_eq!(base(variant), expected, "{variant}");
            assert_eq!(base(expected), expected);
        }
    }
}

/// The clips' bases that are held out, as committed.
#[test]
fn the_list_of_held_out_emoji_is_that_of_the_hash() {
    let list = fs::read_to_string("configs/train/held_out.txt").unwrap();
    let mut listed = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (emoji, comment) = line.split_once("  # ").unwrap();
        assert_eq!(base(emoji), emoji, "{line}");
        assert!(held_out(emoji), "{line}");
        assert_eq!(name(emoji), Some(comment));
        listed.push(emoji);
    }
    assert!(listed.is_sorted() && listed.len() > 40);
    let listed: BTreeSet<&str> = listed.into_iter().collect();
    // All of these have clips.
    for emoji in ["1f44b", "1f3c3", "1f44d", "1f450", "1f600", "1f602", "1f9e1", "1f9d1", "1f408"] {
        assert_eq!(held_out(&base(emoji)), listed.contains(base(emoji).as_str()), "{emoji}");
    }
}

/// An npm package of emoji.
fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written by hand: the builder refuses names that lead out of the folder.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn webp(frames: usize) -> Vec<u8> {
    let video = Video::new(vec![Frame::filled(4, 4, [9; 3]); frames], 8.0).unwrap();
    encode(&video, Format::Webp).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn packages_are_unpacked_and_captioned() {
    let folder = tempfile::tempdir().unwrap();
    let still = b"RIFF\x04\0\0\0WEBP";
    let moving = webp(2);
    let archive = package(&[
        ("package/package.json", b"{}"),
        ("package/assets/1f44b.webp", &moving),
        ("package/assets/1f34e.webp", still),
        ("package/assets/../../1f44c.webp", &moving),
        ("package/assets/readme.webp", &moving),
        ("../1f44d.webp", &moving),
    ]);
    assert_eq!(unpack("p", archive.as_slice(), folder.path()).unwrap(), 2 + 1);
    let fetched = write_captions(folder.path()).unwrap();
    assert_eq!((fetched.clips, fetched.stills, fetched.unnamed), (2, 1, 0));
    let clips = folder.path().join("clips");
    assert_eq!(names(&clips), ["1f44b.txt", "1f44b.webp", "1f44c.txt", "1f44c.webp"]);
    assert_eq!(names(&folder.path().join("stills")), ["1f34e.txt", "1f34e.webp"]);
    assert_eq!(names(folder.path()), ["clips", "stills"]);
    assert_eq!(fs::read_to_string(clips.join("1f44b.txt")).unwrap(), "a hand, waving\n");

    // What is there stays: a caption that was changed, too.
    fs::write(clips.join("1f44b.txt"), "hello\n").unwrap();
    fs::write(clips.join("1f44b.webp"), "mine").unwrap();
    unpack("p", archive.as_slice(), folder.path()).unwrap();
    write_captions(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(clips.join("1f44b.txt")).unwrap(), "hello\n");
    assert_eq!(fs::read(clips.join("1f44b.webp")).unwrap(), b"mine");
}

#[test]
fn damaged_packages_leave_no_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let moving = webp(20);
    let whole = package(&[
        ("package/assets/1f44b.webp", &moving),
        ("package/assets/1f44c.webp", &[&moving[..], &[7; 4000]].concat()),
    ]);
    for length in (0..whole.len()).step_by(7) {
        let error = unpack("p@1", &whole[..length], folder.path());
        if let Err(error) = error {
            assert!(error.to_string().contains("p@1: is no whole npm package"), "{error}");
        }
        for name in names(&folder.path().join("clips")) {
            let bytes = fs::read(folder.path().join("clips").join(&name)).unwrap();
            assert!(bytes.starts_with(&moving), "{name} after {length} bytes");
        }
    }
    let nothing = package(&[("package/readme.md", b"")]);
    let error = unpack("p@1", nothing.as_slice(), folder.path()).unwrap_err().to_string();
    assert!(error.contains("no emoji"), "{error}");
}

const CAPTIONS: [&str; 4] = [
    "a hand with medium skin, waving",
    "a hand with dark skin, waving quickly",
    "a woman with a kite, running",
    "the flag of Türkiye",
];

#[test]
fn a_vocabulary_is_read_and_spells_any_text() {
    let folder = tempfile::tempdir().unwrap();
    for size in [MIN_VOCABULARY_SIZE, 600, VOCABULARY_SIZE] {
        let vocabulary = Vocabulary::train(CAPTIONS.into_iter(), size).unwrap();
        assert!(vocabulary.size() <= size);
        vocabulary.write(folder.path()).unwrap();
        let files = ["merges.txt", "tokenizer_config.json", "vocab.json"];
        assert_eq!(names(folder.path()), files);
        let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
        assert_eq!(tokenizer.vocabulary_size(), vocabulary.size());
        let special = tokenizer.special_tokens();
        let last = vocabulary.size() as u32 - 1;
        assert_eq!((special.bos, special.eos, special.pad), (last - 1, last, last));
        for text in ["", "a hand", "Ünïcödé 猫 🐈!", "\u{1}\u{7f}\u{10ffff}", "wave-wave 42's"]
        {
            let ids = tokenizer.encode(text).unwrap();
            // Nothing is unknown: those would be the end token.
            assert!(ids.iter().all(|id| *id < last - 1), "{text:?} {ids:?}");
        }
    }
    let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
    for text in ["waving", "skin", "slowly", "the", "laughing"] {
        assert_eq!(tokenizer.encode(text).unwrap().len(), 1, "{text}");
    }
    let error = Vocabulary::train(CAPTIONS.into_iter(), 513).unwrap_err().to_string();
    assert!(error.contains("513") && error.contains("514"), "{error}");
}

#[test]
fn the_same_captions_give_the_same_vocabulary() {
    let train = |captions: &[&str]| Vocabulary::train(captions.iter().copied(), 1500).unwrap();
    let first = train(&CAPTIONS);
    assert_eq!(first, train(&CAPTIONS));
    let mut turned = CAPTIONS;
    turned.reverse();
    assert_eq!(first, train(&turned), "the order of captions does not matter");
    assert_ne!(first, train(&CAPTIONS[..3]));
}

#[test]
fn captions_are_found_beside_clips() {
    let folder = tempfile::tempdir().unwrap();
    let clips = folder.path().join("clips");
    fs::create_dir(&clips).unwrap();
    let error = read_captions(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no captions"), "{error}");
    fs::write(clips.join("b.txt"), "second").unwrap();
    fs::write(clips.join("b.webp"), "no text").unwrap();
    fs::write(clips.join(".c.txt.1.part"), "half").unwrap();
    fs::write(folder.path().join("a.txt"), "first").unwrap();
    assert_eq!(read_captions(folder.path()).unwrap(), ["first", "second"]);
    fs::write(clips.join("c.txt"), vec![b'a'; 1 << 17]).unwrap();
    let error = read_captions(folder.path()).unwrap_err().to_string();
    assert!(error.contains("c.txt") && error.contains("sentence"), "{error}");
    fs::write(clips.join("c.txt"), [0xff]).unwrap();
    assert!(read_captions(folder.path()).unwrap_err().to_string().contains("c.txt"));
    assert!(read_captions(Path::new("/none")).unwrap_err().to_string().contains("/none"));
}

/// Opens the clips in `root`, for a run that ends there: its model has no autoencoder. Whether they
/// were decoded, and the error.
fn open_clips(root: &Path) -> (bool, String) {
    for part in ["text_encoder", "tokenizer", "vae", "unet", "scheduler"] {
        fs::create_dir_all(root.join("model").join(part)).unwrap();
    }
    let path = root.join("run.yaml");
    let text = format!(
        "stage: denoiser\nmodel: {root}/model\noutput: {root}/out\nsteps: 1\nbatch_size: 1\n\
         data: {{folder: {root}/clips, cache: {root}/cache, size: 8, max_frames: 4}}\n",
        root = root.display(),
    );
    fs::write(&path, text).unwrap();
    let config = TrainConfig::read(&path).unwrap();
    let mut is_decoded = false;
    let end = train(&config, &Device::flex(), &mut |event| {
        is_decoded |= matches!(event, TrainEvent::Read { .. });
        ControlFlow::Continue(())
    });
    (is_decoded, end.unwrap_err().to_string())
}

#[test]
fn clips_are_decoded_anew_when_they_change_and_captions_read_each_time() {
    let root = tempfile::tempdir().unwrap();
    let [clips, cache] = ["clips", "cache"].map(|name| root.path().join(name));
    fs::create_dir(&clips).unwrap();
    for name in ["a", "b"] {
        fs::write(clips.join(name).with_extension("webp"), webp(2)).unwrap();
        fs::write(clips.join(name).with_extension("txt"), "a box").unwrap();
    }
    let decodes = || {
        // Latents beside the frames, which are of no use any more once these change.
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("latents.bin"), "latents").unwrap();
        let (is_decoded, error) = open_clips(root.path());
        assert!(error.contains("train that stage first"), "{error}");
        assert_eq!(is_decoded, !cache.join("latents.bin").exists(), "stale latents are removed");
        is_decoded
    };
    assert!(decodes());
    assert!(!decodes(), "nothing changed");

    fs::write(clips.join("a.txt"), "another box").unwrap();
    assert!(!decodes(), "captions are no part of the frames");
    let index = fs::read_to_string(cache.join("frames.json")).unwrap();
    assert!(!index.contains("box"), "{index}");
    fs::remove_file(clips.join("a.txt")).unwrap();
    let (_, error) = open_clips(root.path());
    assert!(error.contains("a.txt"), "{error}");
    fs::write(clips.join("a.txt"), "a box").unwrap();

    fs::write(clips.join("a.webp"), webp(3)).unwrap();
    assert!(decodes(), "a clip was replaced");
    for ending in ["webp", "txt"] {
        let at = |name: &str| clips.join(name).with_extension(ending);
        fs::rename(at("b"), at("c")).unwrap();
    }
    assert!(decodes(), "a clip was renamed");
    fs::create_dir(clips.join("d")).unwrap();
    fs::write(clips.join("d.txt"), "a box").unwrap();
    fs::write(clips.join("d/1.webp"), webp(1)).unwrap();
    assert!(decodes(), "a folder was added");
    fs::write(clips.join("d/2.webp"), webp(1)).unwrap();
    assert!(decodes(), "a picture was added to a folder");
    assert!(!decodes());

    // As it was written when captions and the number of files were in it.
    let mut old: serde_json::Value =
        serde_json::from_slice(&fs::read(cache.join("frames.json")).unwrap()).unwrap();
    old["key"]["files"] = 3.into();
    for clip in old["clips"].as_array_mut().unwrap() {
        clip["caption"] = "an old caption".into();
    }
    fs::write(cache.join("frames.json"), old.to_string()).unwrap();
    assert!(decodes(), "an index of the old form");
    assert!(!decodes());
}

proptest! {
    #[test]
    fn any_file_name_has_a_base_and_a_caption(text in ".{0,40}", points in prop::collection::vec(any::<char>(), 0..6)) {
        let spelt: Vec<String> = points.iter().map(|c| format!("{:x}", u32::from(*c))).collect();
        for name in [text, spelt.join("-")] {
            let once = base(&name);
            prop_assert_eq!(base(&once), once.clone());
            prop_assert!(!caption(&name, true).text.is_empty());
            let _ = (held_out(&once), parse(&name));
        }
    }

    #[test]
    fn damaged_archives_never_panic(place in 0.0f64..1.0, value in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = package(&[("package/assets/1f44b.webp", &webp(2))]);
        let at = (bytes.len() as f64 * place) as usize;
        bytes[at] = value;
        let _ = unpack("p", bytes.as_slice(), folder.path());
    }
}
