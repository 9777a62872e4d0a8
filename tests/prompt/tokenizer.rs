//! The tokenizer against transformers' `CLIPTokenizer` (tests/goldens/gen/tokenizer.py).

use std::path::Path;

use musev::prompt::{ClipTokenizer, SpecialTokens};
use serde::Deserialize;

const FOLDER: &str = "tests/goldens/tokenizer";

#[derive(Deserialize)]
struct Row {
    text: String,
    ids: Vec<u32>,
}

fn check(folder: &Path) {
    let tokenizer = ClipTokenizer::open(folder).unwrap();
    let rows = std::fs::read_to_string(folder.join("texts.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&rows).unwrap();
    assert!(rows.len() > 200);
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let got = tokenizer.encode(&row.text).unwrap();
            (got != row.ids).then(|| format!("{:?}: {got:?}, expected {:?}", row.text, row.ids))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn ids_are_those_of_transformers() {
    check(Path::new(FOLDER));
}

/// With `MUSEV_CLIP_TOKENIZER` naming a folder that the script filled from another vocabulary.
#[test]
fn ids_with_another_vocabulary() {
    match std::env::var_os("MUSEV_CLIP_TOKENIZER") {
        Some(folder) => check(Path::new(&folder)),
        None => eprintln!("skipped: MUSEV_CLIP_TOKENIZER names no folder"),
    }
}

#[test]
fn special_tokens() {
    let tokenizer = ClipTokenizer::open(Path::new(FOLDER)).unwrap();
    let size = tokenizer.vocabulary_size() as u32;
    let expected = SpecialTokens { bos: size - 2, eos: size - 1, pad: size - 1 };
    assert_eq!(tokenizer.special_tokens(), expected);
}

#[test]
fn the_model_may_name_another_filling_token() {
    let folder = copy();
    let map = folder.path().join("special_tokens_map.json");
    for pad in [r#"{"pad_token": "!"}"#, r#"{"pad_token": {"content": "!"}}"#] {
        std::fs::write(&map, pad).unwrap();
        assert_eq!(ClipTokenizer::open(folder.path()).unwrap().special_tokens().pad, 0);
    }
}

#[test]
fn runs_carry_their_weights() {
    let tokenizer = ClipTokenizer::open(Path::new(FOLDER)).unwrap();
    let tokens = tokenizer.encode_weighted("a (cat:1.5) a").unwrap();
    let cat = tokenizer.encode("cat").unwrap();
    assert_eq!(tokens.ids[1..tokens.ids.len() - 1], cat);
    assert_eq!(tokens.weights[0], 1.0);
    assert_eq!(tokens.weights[1..=cat.len()], vec![1.5; cat.len()]);
}

#[test]
fn damaged_folders_name_the_file() {
    let empty = tempfile::tempdir().unwrap();
    let error = ClipTokenizer::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("vocab.json") && error.contains("tokenizer.json"), "{error}");

    for (file, content, expected) in [
        ("vocab.json", "{", "vocab.json"),
        ("vocab.json", r#"{"a": 1}"#, ""),
        ("vocab.json", r#"{"a": -1}"#, "vocab.json"),
        ("merges.txt", "#version\na b\na b c\n", "merges.txt: line 3"),
        ("merges.txt", "qq zz\n", "merges.txt"),
        ("special_tokens_map.json", "[", "special_tokens_map.json"),
        ("special_tokens_map.json", r#"{"pad_token": "no such token"}"#, "no such token"),
    ] {
        let folder = copy();
        std::fs::write(folder.path().join(file), content).unwrap();
        let error = ClipTokenizer::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{file} {content}: {error}");
    }

    let folder = copy();
    std::fs::remove_file(folder.path().join("merges.txt")).unwrap();
    let error = ClipTokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("merges.txt"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let error = ClipTokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(Path::new(FOLDER).join(file), folder.path().join(file)).unwrap();
    }
    folder
}
