//! References between values, as OmegaConf resolves them.

use musev::config::interpolation::resolve;
use proptest::prelude::*;
use serde_json::{Value, json};

fn resolved(root: Value) -> Value {
    resolve(&root, "test").unwrap()
}

#[test]
fn references_find_their_values() {
    let root = json!([
        {"a": 1.5, "b": "${.a}", "c": "x${.a}y${.n}", "n": null, "d": {"e": "${..a}", "f": "${.e}"}},
        {"a": "${0.a}", "b": "${[0].d.e}", "c": ["p", "${.0}", "${..b}"], "t": true, "u": "${.t}!"},
    ]);
    let want = json!([
        {"a": 1.5, "b": 1.5, "c": "x1.5yNone", "n": null, "d": {"e": 1.5, "f": 1.5}},
        {"a": 1.5, "b": 1.5, "c": ["p", "p", 1.5], "t": true, "u": "True!"},
    ]);
    assert_eq!(resolved(root), want);
}

#[test]
fn references_nest() {
    let root = json!({"a": {"x": 1, "y": 2}, "k": "y", "v": "${a.${k}}", "w": "${a.${.k}}"});
    assert_eq!(resolved(root)["v"], 2);
    let root = json!({"a": {"x": 1}, "k": "x", "v": "${.a.${.k}}", "b": "${a}", "c": "${b.x}"});
    let root = resolved(root);
    assert_eq!((&root["v"], &root["b"], &root["c"]), (&json!(1), &json!({"x": 1}), &json!(1)));
}

#[test]
fn an_escaped_reference_is_text() {
    assert_eq!(resolved(json!({"a": "\\${b}"}))["a"], "${b}");
    assert_eq!(resolved(json!({"a": "{b} $c $ {"}))["a"], "{b} $c $ {");
}

#[test]
fn wrong_references_say_where() {
    for (root, expected) in [
        (json!({"a": "${b}"}), "there is no `b`"),
        (json!({"a": "${a}"}), "refers to itself"),
        (json!({"a": "${b}", "b": "${c}", "c": "x${a}"}), "refers to itself"),
        (json!({"a": {"b": "${a}"}}), "refers to itself"),
        (json!({"a": {"b": "${..a.b}"}}), "refers to itself"),
        (json!({"a": "${"}), "never closed"),
        (json!({"a": "${}"}), "names no value"),
        (json!({"a": "${...b}"}), "names no value"),
        (json!({"a": "x${b}", "b": [1]}), "list or mapping"),
        (json!({"a": "${b.c}", "b": 1}), "there is no `b.c`"),
        (json!({"a": "${b.7}", "b": [1]}), "there is no `b.7`"),
        (json!({"a": "${env:HOME}"}), "resolvers"),
    ] {
        let error = resolve(&root, "test").unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("`a"), "{root}: {error}");
    }
}

proptest! {
    #[test]
    fn no_reference_panics(a in r"[${}.ab\[\]\\: 0]{0,20}", b in r"[${}.ab]{0,12}") {
        let _ = resolve(&json!({"a": a, "b": [b, {"a": "${..0}"}]}), "test");
    }
}
