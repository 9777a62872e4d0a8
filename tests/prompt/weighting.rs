//! The weighting grammar.

use musev::prompt::parse_weights;
use proptest::prelude::*;

fn parse(prompt: &str) -> Vec<(String, f32)> {
    parse_weights(prompt).into_iter().map(|run| (run.text, run.weight)).collect()
}

fn runs(expected: &[(&str, f32)]) -> Vec<(String, f32)> {
    expected.iter().map(|&(text, weight)| (text.to_owned(), weight)).collect()
}

#[test]
fn recorded_runs() {
    let case = std::fs::read_to_string("tests/cases/prompt_attention/case.json").unwrap();
    let case: serde_json::Value = serde_json::from_str(&case).unwrap();
    for row in case["rows"].as_array().unwrap() {
        let want: Vec<(String, f64)> = serde_json::from_value(row["parts"].clone()).unwrap();
        let want: Vec<_> = want.into_iter().map(|(text, weight)| (text, weight as f32)).collect();
        assert_eq!(parse(row["text"].as_str().unwrap()), want);
    }
}

#[test]
fn unbalanced_and_malformed_brackets() {
    assert_eq!(parse("a) b]"), runs(&[("a) b]", 1.0)]));
    assert_eq!(parse("[a"), runs(&[("a", (1.0 / 1.1) as f32)]));
    assert_eq!(parse("x:2)"), runs(&[("x:2)", 1.0)]));
    assert_eq!(parse("(a:1.2.3)"), runs(&[("a:1.2.3", 1.1)]));
    assert_eq!(parse("(a:)"), runs(&[("a:", 1.1)]));
    assert_eq!(parse("(a:.)"), runs(&[("a:.", 1.1)]));
    assert_eq!(parse("(a:-)"), runs(&[("a:-", 1.1)]));
    assert_eq!(parse("(a:-2)"), runs(&[("a", -2.0)]));
    assert_eq!(parse("(a:2"), runs(&[("a:2", 1.1)]));
    assert_eq!(parse("[x:0.5]"), runs(&[("x:0.5", (1.0 / 1.1) as f32)]));
    assert_eq!(parse(r"a\b\"), runs(&[("ab", 1.0)]));
    assert_eq!(parse(r"\\\("), runs(&[(r"\(", 1.0)]));
}

#[test]
fn huge_factors_stay_finite() {
    let huge = "9".repeat(400);
    assert_eq!(parse(&format!("((a:{huge}):{huge})")), runs(&[("a", f32::MAX)]));
    assert_eq!(parse(&format!("((a:{huge}):-{huge})")), runs(&[("a", f32::MIN)]));
    assert_eq!(parse(&format!("((a:{huge}):0)")), runs(&[("a", 0.0)]));
}

#[test]
fn deep_nesting_needs_no_stack() {
    let deep = 200_000;
    let runs = parse_weights(&format!("{}x{}", "(".repeat(deep), "]".repeat(deep)));
    assert!(runs.iter().all(|run| run.weight.is_finite()));
    let runs = parse_weights(&format!("{}x{}", "(".repeat(deep), ")".repeat(deep)));
    assert_eq!(runs[0].weight, f32::MAX);
}

proptest! {
    #[test]
    fn any_text_gives_finite_runs(prompt in any::<String>()) {
        let parsed = parse_weights(&prompt);
        prop_assert!(!parsed.is_empty());
        prop_assert!(parsed.iter().all(|run| run.weight.is_finite()));
    }

    #[test]
    fn brackets_and_numbers_give_finite_runs(prompt in r"[()\[\]\\:.,+\-0-9aé ]{0,60}") {
        let parsed = parse_weights(&prompt);
        prop_assert!(parsed.iter().all(|run| run.weight.is_finite()));
        prop_assert!(parsed.windows(2).all(|pair| pair[0].weight != pair[1].weight
            || pair[0].weight.abs() == f32::MAX || pair[0].weight.abs() < 1e-30
            || (pair[0].weight - pair[1].weight).abs() <= f32::EPSILON * pair[0].weight.abs()));
        let kept: usize = parsed.iter().map(|run| run.text.len()).sum();
        prop_assert!(kept <= prompt.len());
    }

    #[test]
    fn text_without_brackets_is_kept(prompt in r"[^()\[\]\\:]{0,60}") {
        prop_assert_eq!(parse(&prompt), runs(&[(&prompt, 1.0)]));
    }

    #[test]
    fn escaped_text_is_kept(prompt in r"[()\[\]\\ab]{0,40}") {
        let escaped: String = prompt.chars().flat_map(|c| match c {
            '(' | ')' | '[' | ']' | '\\' => vec!['\\', c],
            other => vec![other],
        }).collect();
        prop_assert_eq!(parse(&escaped), runs(&[(&prompt, 1.0)]));
    }
}
