//! The import arrows of ARCHITECTURE.md, read from the `use` lines of the library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules below the pipeline, which may import them all.
const BELOW_PIPELINE: [&str; 15] = [
    "checkpoint",
    "config",
    "detectors",
    "device",
    "files",
    "hub",
    "image_tensor",
    "json",
    "kernels",
    "media",
    "models",
    "nn",
    "prompt",
    "random",
    "schedulers",
];

/// Module → the modules of the crate it may import besides itself and `error`.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let below_pipeline = BELOW_PIPELINE.to_vec();
    let with_pipeline = [&BELOW_PIPELINE[..], &["pipeline"]].concat();
    BTreeMap::from([
        ("checkpoint", vec!["files"]),
        ("config", vec!["files", "hub", "prompt", "schedulers"]),
        ("convert", with_pipeline.clone()),
        ("detectors", vec!["checkpoint", "image_tensor", "media", "nn"]),
        ("device", vec![]),
        ("doctor", with_pipeline.clone()),
        ("error", vec![]),
        ("files", vec![]),
        ("hub", vec![]),
        ("image_tensor", vec!["media"]),
        ("json", vec![]),
        ("kernels", vec![]),
        ("media", vec![]),
        ("models", vec!["kernels", "nn"]),
        ("nn", vec!["kernels"]),
        ("pipeline", below_pipeline),
        ("prompt", vec!["files"]),
        ("random", vec![]),
        ("schedulers", vec!["json"]),
        ("training", with_pipeline),
    ])
}

/// Modules that know nothing of tensors.
const WITHOUT_BURN: &[&str] = &["config", "files", "hub", "media", "prompt"];

/// Modules where a difference between native and browser may stand.
const MAY_BRANCH_ON_WASM: &[&str] = &["checkpoint", "device", "kernels", "media"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a source folder is readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every file of the library with the top module it belongs to and its code without tests.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    rust_files(&src)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "lib.rs"))
        .map(|path| {
            let inside = path.strip_prefix(&src).expect("the file lies in src");
            let first = inside.components().next().expect("a path has a component");
            let module = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).expect("a source file is readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            (module, path, code)
        })
        .collect()
}

/// The top modules that `code` names through `crate::`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            match rest.strip_prefix('{') {
                Some(list) => found.extend(
                    list.split(',').map(|item| item.trim().trim_end_matches("};").to_owned()),
                ),
                None => found.push(rest.to_owned()),
            }
        }
    }
    found
        .into_iter()
        .map(|path| {
            path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
        })
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn modules_import_only_what_lies_below() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let below = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("src/{module} is not in the map of ARCHITECTURE.md"));
        for import in imports(&code) {
            let known = allowed.contains_key(import.as_str());
            if known && import != module && import != "error" && !below.contains(&import.as_str()) {
                wrong.push(format!("{}: {module} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn pixels_prompts_and_settings_know_nothing_of_tensors() {
    for (module, path, code) in sources() {
        if WITHOUT_BURN.contains(&module.as_str()) {
            assert!(!code.contains("burn::"), "{} uses burn", path.display());
        }
    }
}

#[test]
fn only_some_modules_differ_in_a_browser() {
    for (module, path, code) in sources() {
        if !MAY_BRANCH_ON_WASM.contains(&module.as_str()) {
            assert!(!code.contains("target_family"), "{} branches on wasm", path.display());
        }
    }
}

#[test]
fn the_command_and_the_page_use_only_re_exports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules: Vec<&str> = allowed().into_keys().collect();
    for folder in ["cli/src", "web/src"] {
        for path in rust_files(&root.join(folder)) {
            let code = std::fs::read_to_string(&path).expect("a source file is readable");
            for module in &modules {
                let reach = format!("musev::{module}::");
                assert!(!code.contains(&reach), "{} reaches into {reach}", path.display());
            }
        }
    }
}

#[test]
fn the_import_reader_sees_every_form() {
    let code = "use crate::error::Result;\nuse crate::{kernels, media::Frame};\n// crate::nn\n";
    assert_eq!(imports(code), ["error", "kernels", "media"]);
}
