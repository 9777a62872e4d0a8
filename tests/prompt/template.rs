//! Templates of prompts.

use musev::prompt::{fill_template, template_keys};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn fill(task: Value) -> Result<Vec<String>, String> {
    let task: Map<String, Value> = serde_json::from_value(task).unwrap();
    let name = task.get("template_name").and_then(Value::as_str);
    fill_template(task["prompt"].as_str().unwrap(), name, &task).map_err(|e| e.to_string())
}

fn one(task: Value) -> String {
    let mut filled = fill(task).unwrap();
    assert_eq!(filled.len(), 1);
    filled.remove(0)
}

#[test]
fn recorded_prompts() {
    let case = std::fs::read_to_string("tests/cases/prompt_template/case.json").unwrap();
    let case: Value = serde_json::from_str(&case).unwrap();
    for row in case["rows"].as_array().unwrap() {
        let want: Vec<String> = serde_json::from_value(row["prompts"].clone()).unwrap();
        assert_eq!(fill(row["task"].clone()).unwrap(), want);
    }
}

#[test]
fn only_templates_have_their_commas_normalised() {
    assert_eq!(one(json!({"prompt": "a,b ,,  c"})), "a,b ,,  c");
    assert_eq!(one(json!({"prompt": "a,b ,,  c{x}", "x": ""})), "a, b , c");
    assert_eq!(one(json!({"prompt": ""})), "");
}

#[test]
fn keys_print_their_values() {
    for (value, text) in [
        (json!(1.8), "1.8"),
        (json!(2), "2"),
        (json!(true), "True"),
        (json!(null), ""),
        (json!("a,b"), "a, b"),
    ] {
        assert_eq!(one(json!({"prompt": "{x}", "x": value})), text);
    }
    assert_eq!(one(json!({"prompt": "{{x}} {x}", "x": 1})), "{x} 1");
}

#[test]
fn attributes_say_what_they_are() {
    assert_eq!(one(json!({"prompt": "{hair}", "hair": "long,red"})), "long hair, red hair");
    assert_eq!(one(json!({"prompt": "{age}", "age": 20})), "20-year-old");
    assert_eq!(one(json!({"prompt": "{sex}", "sex": "girl"})), "girl");
    assert_eq!(one(json!({"prompt": "{eyes}", "eyes": ""})), "");
    let filled = fill(json!({"prompt": "x {render}", "render": "HD,Epic"})).unwrap();
    assert_eq!(
        filled,
        ["x 8k, highly detailed", "x artstation, epic environment, highly detailed, 8k, HD"]
    );
}

#[test]
fn a_portrait_joins_its_attributes_in_order() {
    let task = json!({
        "prompt": "a portrait of {}", "template_name": "portrait",
        "hair": "red", "age": 20, "sex": "girl", "eyes": "", "keywords": "best quality",
    });
    assert_eq!(one(task), "a portrait of 20-year-old, girl, red hair, best quality");
}

#[test]
fn wrong_templates_say_why() {
    for (task, expected) in [
        (json!({"prompt": "{x}"}), "no key `x`"),
        (json!({"prompt": "{x", "x": 1}), "without its counterpart"),
        (json!({"prompt": "x} {y}", "y": 1}), "without its counterpart"),
        (json!({"prompt": "{x{y}}", "x": 1, "y": 1}), "without its counterpart"),
        (json!({"prompt": "{x}", "x": [1]}), "a text or a number"),
        (json!({"prompt": "{}"}), "template_name: portrait"),
        (json!({"prompt": "{}", "template_name": "landscape"}), "template_name: portrait"),
        (json!({"prompt": "{} {x}", "x": 1, "template_name": "portrait"}), "a single {}"),
        (json!({"prompt": "{render}", "render": "Nice"}), "EpicHD"),
    ] {
        let error = fill(task.clone()).unwrap_err();
        assert!(error.contains(expected), "{task}: {error}");
    }
}

#[test]
fn keys_of_a_template() {
    assert_eq!(template_keys("{a} {{b}} {} {c}"), ["a", "", "c"]);
    assert!(template_keys("{a").is_empty());
}

proptest! {
    #[test]
    fn no_text_panics(prompt in r"[{}xy, é]{0,30}", value in any::<String>()) {
        let _ = fill(json!({"prompt": prompt, "x": value, "template_name": "portrait"}));
    }

    #[test]
    fn filled_commas_are_normal(text in r"[a ,]{0,30}") {
        let filled = one(json!({"prompt": "{x}", "x": text}));
        prop_assert!(!filled.contains(",,") && !filled.contains(",  "));
    }
}
