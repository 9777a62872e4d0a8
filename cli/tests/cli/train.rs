//! Bringing data and making vocabularies.

use super::sandbox::{Sandbox, text};

/// A stand-in for npm that packs one animated and one still emoji, and fails for the second package
/// while there is a file `offline` in the sandbox.
#[cfg(unix)]
const NPM: &str = r#"#!/bin/sh
set -e
[ "$1" = pack ]
for package; do :; done
case "$package" in
*anim-2@1.0.0) number=2; [ ! -e "$SANDBOX/offline" ] || { echo "npm error ENOTFOUND" >&2; exit 1; } ;;
*anim-?@1.0.0) number=${package%@*}; number=${number##*-} ;;
*) exit 9 ;;
esac
echo "$number" >> "$SANDBOX/calls"
mkdir -p package/assets
printf 'RIFF....WEBPVP8X....ANMF' > "package/assets/1f44$number.webp"
printf 'RIFF....WEBPVP8X....' > "package/assets/1f34$number.webp"
tar czf package.tgz package
"#;

#[cfg(unix)]
#[test]
fn emoji_are_fetched_where_the_last_run_stopped() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    sandbox.write("bin/npm", NPM);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/npm"), executable).unwrap();
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let run = |words: &[&str]| {
        let mut command = sandbox.command(words);
        command.env("PATH", &path).env("SANDBOX", sandbox.path("")).output().unwrap()
    };

    sandbox.write("offline", "");
    let output = run(&["train", "fetch", "data"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for needle in ["anim-2@1.0.0", "ENOTFOUND", "npm config get registry", "is kept"] {
        assert!(said.contains(needle), "{said}");
    }
    assert_eq!(sandbox.list("data/clips"), ["1f441.webp"]);

    std::fs::remove_file(sandbox.path("offline")).unwrap();
    let output = run(&["train", "fetch", "data", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = r#"{"clips":4,"stills":4,"unnamed":0}"#;
    assert_eq!(text(&output.stdout).trim(), told);
    assert_eq!(std::fs::read_to_string(sandbox.path("calls")).unwrap(), "1\n2\n3\n4\n");
    let clips = ["1f441", "1f442", "1f443", "1f444"];
    let files = clips.map(|name| [format!("{name}.txt"), format!("{name}.webp")]).concat();
    assert_eq!(sandbox.list("data/clips"), files);
    let folders = sandbox.list("data");
    assert!(!folders.iter().any(|name| name.ends_with("download")), "{folders:?}");

    sandbox.succeed(&["train", "vocabulary", "data", "out/tokenizer"]);
    let files = ["merges.txt", "tokenizer_config.json", "vocab.json"];
    assert_eq!(sandbox.list("out/tokenizer"), files);
}

#[test]
fn a_missing_npm_is_named() {
    let sandbox = Sandbox::new();
    let output =
        sandbox.command(&["train", "fetch", "data"]).env("PATH", "/none").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("npm") && said.contains("install Node.js"), "{said}");
    assert_eq!(sandbox.list("data"), [""; 0]);
}

#[test]
fn bad_data_folders_are_refused() {
    let sandbox = Sandbox::new();
    let words = ["train", "vocabulary", "none", "out/tokenizer"];
    sandbox.refuses(&words, &["cannot read none"]);
    sandbox.refuses(&["train", "vocabulary", "out", "out/t"], &["out: holds no captions"]);
    sandbox.write("caption.txt", "a hand, waving");
    let small = ["train", "vocabulary", ".", "out/t", "--size", "99"];
    sandbox.refuses(&small, &["99 tokens are too few"]);
    sandbox.refuses(&["train", "fetch", "picture.png"], &["cannot create picture.png"]);
}

/// What the optimiser remembers is read onto the device that is trained on, and no other is asked for.
#[test]
fn a_run_goes_on_where_there_is_no_gpu() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("clips/square")).unwrap();
    std::fs::rename(sandbox.path("picture.png"), sandbox.path("clips/square/0.png")).unwrap();
    sandbox.write("clips/square.txt", "a square");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/train/mini");
    let train = |steps: usize| {
        let config = format!(
            "stage: autoencoder\nmodel: {model}\noutput: out\n\
             data: {{folder: clips, cache: cache, size: 32, max_frames: 1}}\n\
             steps: {steps}\nbatch_size: 1\noptimizer: {{kind: muon}}\nsample_every: 0\n"
        );
        sandbox.write("run.yaml", config);
        let mut command = sandbox.command(&["train", "run.yaml", "--device", "cpu"]);
        // Vulkan and OpenGL find no driver.
        for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
            command.env(variable, sandbox.path("none"));
        }
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains(&format!("{steps} update")), "{said}");
    };
    train(1);
    train(2);
    let log = std::fs::read_to_string(sandbox.path("out/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 3, "{log}");
}
