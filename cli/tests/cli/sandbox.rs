//! A folder of its own for every test, and what every refusal has in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use musev::Frame;
use serde_json::Value;
use tempfile::TempDir;

/// A fresh folder holding `picture.png` (64 x 64) and an empty folder `out`.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(sandbox.path("out")).expect("the folder is new");
        let picture = Frame::filled(64, 64, [200, 120, 40]);
        let png = musev::media::png::encode(&picture).expect("a plain picture can be encoded");
        sandbox.write("picture.png", png);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the folder takes files");
    }

    /// The command, to be run in this folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_musev"));
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        // Graphics drivers complain on standard error where it is not set.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        for variable in ["MUSEV_MODELS", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        // Models that were fetched on this machine are not there for tests.
        for variable in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH"] {
            command.env_remove(variable);
        }
        command.env_remove("HF_HUB_OFFLINE").env("HF_HOME", self.path("hub"));
        // And no test asks a server but its own.
        command.env("HF_ENDPOINT", "http://127.0.0.1:9");
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the binary starts")
    }

    /// Runs `words`, which have to succeed, and gives standard output.
    pub(crate) fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The JSON lines of `words`, which have to succeed.
    pub(crate) fn events(&self, words: &[&str]) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("every line is JSON");
        self.succeed(words).lines().map(parse).collect()
    }

    /// The names in the folder `name`, sorted.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        list(&self.path(name))
    }

    /// Runs `words`, which have to be refused as a mistake of the user: exit code 2, one message
    /// that contains all of `needles`, no panic, nothing written.
    pub(crate) fn refuses(&self, words: &[&str], needles: &[&str]) {
        let before = self.list("out");
        let output = self.run(words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?} was not refused: {said}");
        for needle in needles {
            assert!(said.contains(needle), "{words:?} does not name {needle:?}: {said}");
        }
        for noise in ["panicked", "internal error", "RUST_BACKTRACE", "Error {", "Some("] {
            assert!(!said.contains(noise), "{words:?} is noisy: {said}");
        }
        let is_message = |line: &&str| line.starts_with("musev: ") || line.starts_with("error: ");
        assert_eq!(said.lines().filter(is_message).count(), 1, "{words:?} tells not once: {said}");
        assert!(output.stdout.is_empty(), "{words:?} wrote to standard output");
        assert_eq!(self.list("out"), before, "{words:?} left something");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("messages are UTF-8")
}

/// The names in `folder`, sorted.
pub(crate) fn list(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("the folder can be read").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
