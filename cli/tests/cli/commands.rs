//! Help, version and the commands that need no model.

use serde_json::Value;

use super::sandbox::{Sandbox, text};

#[test]
fn help_and_version_are_told() {
    let sandbox = Sandbox::new();
    let version = sandbox.succeed(&["--version"]);
    assert_eq!(version.trim(), concat!("musev ", env!("CARGO_PKG_VERSION")));
    let help = sandbox.succeed(&["--help"]);
    for command in ["text2video", "devices", "inspect", "convert", "bench", "doctor"] {
        assert!(help.contains(command), "{command} is not in the help");
        let own = sandbox.succeed(&[command, "--help"]);
        assert!(own.contains("Usage: musev"), "{command} has no help: {own}");
    }
}

#[test]
fn help_fits_80_columns() {
    let sandbox = Sandbox::new();
    for words in [&["--help"][..], &["text2video", "--help"], &["doctor", "--help"]] {
        let output = sandbox.command(words).env("COLUMNS", "80").output().expect("it starts");
        for line in text(&output.stdout).lines() {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
    }
}

#[test]
fn help_names_every_group_and_the_defaults() {
    let help = Sandbox::new().succeed(&["text2video", "--help"]);
    let groups = [
        "Input:",
        "Output:",
        "Model:",
        "Sampling:",
        "Size and length:",
        "Windows of a long shot:",
        "Device:",
        "Compatibility:",
        "Messages:",
    ];
    for group in groups {
        assert!(help.contains(group), "{group} is not a heading");
    }
    for (option, default) in [
        ("--time-size", "12"),
        ("--n-batch", "1"),
        ("--fps", "4; mini: 12"),
        ("--steps", "10; mini: 30"),
        ("--scheduler", "euler; mini: euler_ancestral"),
        ("--num-inference-steps", "30; mini: 20"),
        ("--guidance-scale", "7.5; mini: 3"),
        ("--video-guidance-scale", "3.5; mini: 1"),
        ("--image-guidance-scale", "1; mini: 8"),
        ("--image-guidance-scale-end", "as in the first; mini: 4"),
        ("--motion-guidance-scale", "1; mini: 2"),
        ("--context-frames", "12"),
        ("--context-overlap", "4"),
        ("--img-weight", "0.001; mini: 0.29"),
        ("--s-noise", "1; mini: 0.9"),
        ("--w-ind-noise", "0.5; mini: 1"),
        ("--output-dir", "results"),
        ("--negative-prompt", "V2; mini: none"),
        ("--noise-type", "video_fusion"),
        ("--context-schedule", "uniform_v2"),
        ("--motion-speed", "8"),
        ("--strength", "0.8"),
    ] {
        let at = help.find(&format!("{option} <")).unwrap_or_else(|| panic!("{option} is missing"));
        let rest: String = help[at..].split_whitespace().collect::<Vec<_>>().join(" ");
        let default = format!("[default: {default}]");
        let found = rest.find("[default: ").expect("defaults are shown");
        assert!(rest[found..].starts_with(&default), "{option} is not {default}");
    }
}

#[test]
fn nothing_typed_shows_the_help_and_is_no_success() {
    let output = Sandbox::new().run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("text2video"));
}

#[test]
fn devices_end_with_the_cpu_and_mark_one_as_automatic() {
    let sandbox = Sandbox::new();
    let rows = sandbox.events(&["devices", "--json"]);
    assert_eq!(rows.last().expect("there is a cpu")["device"], "cpu");
    let automatic = rows.iter().filter(|row| row["auto"] == Value::Bool(true)).count();
    assert_eq!(automatic, 1, "{rows:?}");
    let table = sandbox.succeed(&["devices"]);
    assert!(table.contains("cpu") && table.contains("--device auto"), "{table}");
}

#[test]
fn usage_errors_are_events_too() {
    let output = Sandbox::new().run(&["text2video", "--json", "--image", "a.png", "--steps", "x"]);
    assert_eq!(output.status.code(), Some(2));
    let stdout = text(&output.stdout);
    let event: Value = serde_json::from_str(stdout.trim()).expect("one line of JSON");
    assert_eq!(event["event"], "error");
    assert!(event["message"].as_str().expect("a text").contains("--steps"), "{event}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    for words in [&["devices"][..], &["devices", "--json"], &["--help"]] {
        let mut child = sandbox
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the binary ends");
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{words:?}");
    }
}
