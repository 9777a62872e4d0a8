//! What is wrong with a task file, and whether the error says so.

use std::path::Path;

use musev::config::{NegativePrompts, TaskFile, fission};
use serde_json::{Map, Value};

use crate::tasks::tasks;

#[test]
fn wrong_files_say_what_is_wrong() {
    let prompt = "- prompt: p\n  name: n\n";
    for (text, expected) in [
        ("- prompt: [a\n- b", &["t.yaml", "line"][..]),
        ("- prompt: 'a\n", &["t.yaml", "line"]),
        ("- prompt: p\n  prompt: q\n", &["t.yaml", "duplicate"]),
        ("prompt: p", &["list of tasks"]),
        ("", &["t.yaml"]),
        ("- just text\n", &["item 0", "key: value"]),
        ("- name: n\n", &["task `n`", "no `prompt`"]),
        ("- prompt: null\n  name: n\n", &["task `n`", "no `prompt`"]),
        ("- prompt: 5\n", &["`prompt`", "a text", "5"]),
        ("- prompt: p\n  name: [x]\n", &["`name`"]),
        (&format!("{prompt}  hight: 5\n"), &["task `n`", "`hight`", "`height`"]),
        (&format!("{prompt}  zzzzzz: 5\n"), &["`zzzzzz`", "condition_images"]),
        (&format!("{prompt}  height: tall\n"), &["task `n`", "`height`", "whole number", "tall"]),
        (&format!("{prompt}  height: -64\n"), &["`height`", "whole number"]),
        (&format!("{prompt}  height: 0\n"), &["`height`", "whole number"]),
        (&format!("{prompt}  height: 64.5\n"), &["`height`", "whole number"]),
        (&format!("{prompt}  width: 1e300\n"), &["`width`", "whole number"]),
        (&format!("{prompt}  img_length_ratio: 0\n"), &["`img_length_ratio`", "above 0"]),
        (&format!("{prompt}  img_length_ratio: 'inf'\n"), &["`img_length_ratio`"]),
        (&format!("{prompt}  motion_speed: [8]\n"), &["`motion_speed`", "a number"]),
        (&format!("{prompt}  w_ind_noise: 1.5\n"), &["`w_ind_noise`", "from 0 to 1"]),
        (&format!("{prompt}  img_weight: -1\n"), &["`img_weight`", "from 0 to 1"]),
        (&format!("{prompt}  redraw_condition_image: maybe\n"), &["true or false", "maybe"]),
        (&format!("{prompt}  condition_images: 5\n"), &["`condition_images`", "a path"]),
        (&format!("{prompt}  condition_images: [a, 5]\n"), &["`condition_images`", "a path"]),
        (&format!("{prompt}  condition_images: ''\n"), &["`condition_images`", "a path"]),
        (&format!("{prompt}  condition_images_index: x\n"), &["`condition_images_index`"]),
        (&format!("{prompt}  negative_prompt: 5\n"), &["`negative_prompt`", "a text"]),
        (&format!("{prompt}  refer_image: ${{.nope}}\n"), &["0.refer_image", "no `0.nope`"]),
        (&format!("{prompt}  refer_image: ${{.refer_image}}\n"), &["refers to itself"]),
        (&format!("{prompt}  style: ${{.sex}}\n  sex: ${{.style}}\n"), &["refers to itself"]),
        (&format!("{prompt}  style: ${{.sex\n"), &["never closed"]),
        (&format!("{prompt}  style: ${{oc.env:HOME}}\n"), &["resolvers are not supported"]),
        (&format!("{prompt}  style: ${{....x}}\n"), &["names no value"]),
    ] {
        let error = tasks("t.yaml", text).expect_err(text);
        for part in expected {
            assert!(error.contains(part), "{text}\n{error}\nlacks {part}");
        }
    }
}

#[test]
fn syntax_errors_name_the_line() {
    let error = tasks("t.yaml", "- prompt: p\n  name: n\n  height: [1\n").unwrap_err();
    assert!(error.contains("line 4") || error.contains("line 3"), "{error}");
    let error = tasks("t.csv", "name,prompt\na,b\nc,d,e\n").unwrap_err();
    assert!(error.contains("line: 3") || error.contains("line 3"), "{error}");
}

#[test]
fn bombs_are_refused() {
    let mut aliases = "- &a0 {prompt: p}\n".to_owned();
    for i in 1..30 {
        aliases.push_str(&format!("- &a{i} [*a{0}, *a{0}, *a{0}, *a{0}]\n", i - 1));
    }
    tasks("t.yaml", &aliases).unwrap_err();

    let mut references = "- prompt: ${.b0}\n  b30: xxxxxxxx\n".to_owned();
    for i in 0..30 {
        references.push_str(&format!("  b{i}: ${{.b{0}}}${{.b{0}}}\n", i + 1));
    }
    let error = tasks("t.yaml", &references).unwrap_err();
    assert!(error.contains("too much text"), "{error}");

    let mut chain = "- prompt: ${.b0}\n".to_owned();
    for i in 0..100_000 {
        chain.push_str(&format!("  b{i}: ${{.b{}}}\n", i + 1));
    }
    let error = tasks("t.yaml", &chain).unwrap_err();
    assert!(error.contains("references in a row"), "{error}");

    let deep = format!("- prompt: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    tasks("t.yaml", &deep).unwrap_err();

    let error = tasks("t.yaml", &"# comment\n".repeat(1 << 20)).unwrap_err();
    assert!(error.contains("larger than"), "{error}");

    let alternatives: String = (0..12).map(|i| format!("  {i}k: a|b|c\n")).collect();
    let keys: String = (0..12).map(|i| format!("{{{i}k}}")).collect();
    let error = tasks("t.yaml", &format!("- prompt: '{keys}'\n{alternatives}")).unwrap_err();
    assert!(error.contains("combinations"), "{error}");
    let task: Map<String, Value> = (0..100).map(|i| (i.to_string(), Value::from("a|b"))).collect();
    fission(&[task]).unwrap_err();
}

#[test]
fn files_that_are_no_task_files() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in [
        ("t.txt", &b"- prompt: p"[..], ".yaml"),
        ("t", b"- prompt: p", ".yaml"),
        ("t.yaml", b"\xff\xfe\x00", "UTF-8"),
        ("t.csv", b"\xff\xfe\x00", "UTF-8"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = TaskFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    }
    let error = TaskFile::open(Path::new("no/such/file.yaml")).unwrap_err().to_string();
    assert!(error.contains("no/such/file.yaml"), "{error}");
}

#[test]
fn negative_prompts() {
    let table = NegativePrompts::builtin().unwrap();
    assert_eq!(table.get("Empty").unwrap(), "");
    assert!(table.get("V2").unwrap().starts_with("badhandv4, ng_deepnegative_v1_75t, (((mult"));
    let error = table.get("V9").unwrap_err().to_string();
    assert!(error.contains("Empty, V1, V2, V3, V4, V5"), "{error}");
    let literal = NegativePrompts::open(Path::new("None")).unwrap();
    assert_eq!(literal.get("bad, worse").unwrap(), "bad, worse");

    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.yaml");
    std::fs::write(&own, "Mine: ugly\n").unwrap();
    assert_eq!(NegativePrompts::open(&own).unwrap().get("Mine").unwrap(), "ugly");
    std::fs::write(&own, "Mine: [ugly]\n").unwrap();
    let error = NegativePrompts::open(&own).unwrap_err().to_string();
    assert!(error.contains("own.yaml"), "{error}");
}
