//! Learned words: their files, and what diffusers makes of them
//! (`tests/goldens/gen/textual_inversion.py`).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use musev::checkpoint::{EmbeddingChoice, LoadOptions, TextualInversion, Weights, load};
use musev::models::clip::text::{self, CLIPTextConfig};
use musev::prompt::{ClipTokenizer, EmbeddingVectors, chunk_prompts};
use serde::Deserialize;

use crate::{f32s, golden, safetensors, write};

const ROWS: &str = "text_model.embeddings.token_embedding.weight";
const WIDTH: usize = 32;

fn file(name: &str) -> PathBuf {
    golden("textual_inversion").join(name)
}

fn open(name: &str, token: Option<&str>) -> TextualInversion {
    let token = token.map(str::to_owned);
    TextualInversion::open(&EmbeddingChoice { path: file(name), token }).unwrap()
}

fn refused(path: &Path) -> String {
    let choice = EmbeddingChoice { path: path.to_path_buf(), token: None };
    TextualInversion::open(&choice).unwrap_err().to_string()
}

fn weights() -> Weights {
    Weights::open(&file("text_encoder.safetensors")).unwrap()
}

fn values(weights: &Weights, name: &str) -> Vec<f32> {
    weights.tensor(name).unwrap().convert::<f32>().try_to_vec().unwrap()
}

/// A prompt of the maker, and the ids that transformers gives it.
#[derive(Deserialize)]
struct Row {
    prompt: String,
    vectors: String,
    ids: Vec<u32>,
}

/// The tokenizer with the three words of the maker.
fn tokenizer(vectors: EmbeddingVectors) -> ClipTokenizer {
    let mut tokenizer = ClipTokenizer::open(&golden("tokenizer")).unwrap();
    for (word, count) in [("blurhand", 3), ("<toy>", 1), ("softlight", 2)] {
        let rows = (tokenizer.vocabulary_size(), count);
        tokenizer.add_placeholder(word, rows, vectors).unwrap();
    }
    tokenizer
}

#[test]
fn every_format_gives_its_token_and_vectors() {
    for (name, token, count) in [
        ("blurhand.pt", "blurhand", 3),
        ("parameters.pt", "parameters", 3),
        ("learned_embeds.bin", "<toy>", 1),
        ("softlight.safetensors", "softlight", 2),
    ] {
        let inversion = open(name, None);
        let found = (inversion.token.as_str(), inversion.count(), inversion.width());
        assert_eq!(found, (token, count, WIDTH), "{name}");
        assert_eq!(open(name, Some("other")).token, "other");
    }
}

#[test]
fn vectors_become_rows_below_those_of_the_model() {
    let model = weights();
    let old = values(&model, ROWS);
    let inversions = [open("blurhand.pt", None), open("learned_embeds.bin", None)];
    let more = model.with_rows(ROWS, &inversions).unwrap();
    assert_eq!(more.info(ROWS).unwrap().shape, [old.len() / WIDTH + 4, WIDTH]);
    let learned = [
        values(&Weights::open(&file("blurhand.pt")).unwrap(), "string_to_param.*"),
        values(&Weights::open(&file("learned_embeds.bin")).unwrap(), "<toy>"),
    ];
    assert_eq!(values(&more, ROWS), [old, learned.concat()].concat());
    // Both ways to write the vectors are the same vectors.
    let parameters = Weights::open(&file("parameters.pt")).unwrap();
    assert_eq!(values(&parameters, "string_to_param.*"), learned[0]);
}

#[test]
fn ids_and_states_are_those_of_diffusers() {
    let inversions = ["blurhand.pt", "learned_embeds.bin", "softlight.safetensors"];
    let inversions = inversions.map(|name| open(name, None));
    let weights = weights().with_rows(ROWS, &inversions).unwrap();
    let vocabulary = weights.info(ROWS).unwrap().shape[0];
    let config = CLIPTextConfig {
        vocab_size: vocabulary,
        hidden_size: WIDTH,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        ..Default::default()
    };
    let device = Device::flex();
    let options = LoadOptions {
        part: "text_encoder",
        keys: text::KEYS,
        allow_missing: &[],
        dtype: FloatDType::F32,
    };
    let model = load(config.init(&device), &weights, &options, &device).unwrap();
    let expected = Weights::open(&file("states.safetensors")).unwrap();
    let rows = std::fs::read_to_string(file("ids.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.len(), 6);
    for (at, row) in rows.iter().enumerate() {
        let tokenizer = tokenizer(row.vectors.parse().unwrap());
        assert_eq!(tokenizer.vocabulary_size(), vocabulary);
        // The maker asked transformers alone, which knows no brackets.
        let prompt = row.prompt.replace('(', "\\(").replace(')', "\\)");
        let prompt = tokenizer.encode_weighted(&prompt).unwrap();
        let chunks = chunk_prompts(&prompt, None, tokenizer.special_tokens()).prompt;
        let ids = &chunks.windows[0];
        assert_eq!(ids.as_slice(), row.ids, "{}, {}", row.prompt, row.vectors);
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, 77]), &device);
        let states = model.forward(ids).last_hidden_state.into_data();
        let states: Vec<f32> = states.try_to_vec().unwrap();
        let expected = values(&expected, &format!("{}{}", row.vectors, at / 2));
        let far = states.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 2e-5, "{}, {}: {far}", row.prompt, row.vectors);
    }
}

#[test]
fn every_vector_of_a_word_has_its_weight() {
    let ids = |prompt: &str| tokenizer(EmbeddingVectors::All).encode_weighted(prompt).unwrap();
    let first = ClipTokenizer::open(&golden("tokenizer")).unwrap().vocabulary_size() as u32;
    let weighted = ids("(blurhand:1.5)softlight");
    assert_eq!(weighted.ids, [first, first + 1, first + 2, first + 4, first + 5]);
    assert_eq!(weighted.weights, [1.5, 1.5, 1.5, 1.0, 1.0]);
}

#[test]
fn words_that_are_tokens_already_are_refused() {
    let mut tokenizer = tokenizer(EmbeddingVectors::First);
    let mut add = |word: &str| {
        let rows = (tokenizer.vocabulary_size(), 1);
        tokenizer.add_placeholder(word, rows, EmbeddingVectors::First).unwrap_err()
    };
    assert!(add("a").contains("\"a\" is a token of the vocabulary already"));
    assert!(add("<|endoftext|>").contains("vocabulary already"));
    assert!(add("blurhand_2").contains("token of another embedding"));
    assert!(add("a (b)").contains("could not stand in a prompt"));
}

#[test]
fn what_is_no_learned_word_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file_of = |name: &str, tensors: &[(&str, &str, &[usize], Vec<u8>)]| {
        refused(&write(folder.path(), name, &safetensors(tensors)))
    };
    let vector = || f32s(&[1.0, 2.0]);
    let error = refused(&file("text_encoder.safetensors"));
    assert!(error.contains("is no textual inversion") && error.contains("tensors:"), "{error}");
    let xl = [("clip_g", "F32", [1, 2].as_slice(), vector()), ("clip_l", "F32", &[2], vector())];
    assert!(file_of("xl.safetensors", &xl).contains("Stable Diffusion XL"));
    let error = file_of("cube.safetensors", &[("<a>", "F32", &[1, 1, 2], vector())]);
    assert!(error.contains("<a> is [1, 1, 2]") && error.contains("cube.safetensors"), "{error}");
    let whole = [("emb_params", "I32", [1, 2].as_slice(), vec![0; 8])];
    assert!(file_of("whole.safetensors", &whole).contains("not of a float type"));
    let error = file_of("none.safetensors", &[("emb_params", "F32", &[0, 2], vec![])]);
    assert!(error.contains("expected one vector"), "{error}");
    assert!(refused(&folder.path().join("missing.pt")).contains("missing.pt"));
}

#[test]
fn another_width_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = safetensors(&[("emb_params", "F32", &[1, 2], f32s(&[1.0, 2.0]))]);
    let choice =
        EmbeddingChoice { path: write(folder.path(), "a.safetensors", &bytes), token: None };
    let narrow = TextualInversion::open(&choice).unwrap();
    let error = weights().with_rows(ROWS, &[narrow]).unwrap_err().to_string();
    let expected = "have 2 channels, those of the text encoder 32";
    assert!(error.contains("a.safetensors") && error.contains(expected), "{error}");
}
