//! `musev pull`, from servers that behave well and badly.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::Write;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Stdio;
use std::process::{Command, Output};

use serde_json::Value;

use super::bad_models::model;
use super::hub::{COMMIT, Manners, Server, git_blob, sha256};
use super::sandbox::{Sandbox, list, text};

const VAE: &str = "sd-vae-ft-mse";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const WORDS: [&str; 5] = ["pull", "--only", VAE, "--accept-license", "--json"];

/// A server with the tiny VAE in place of the real one, and a fresh cache.
struct Setup {
    sandbox: Sandbox,
    server: Server,
    config: Vec<u8>,
    weights: Vec<u8>,
}

impl Setup {
    fn new(manners: Manners) -> Self {
        let read = |name: &str| {
            fs::read(PathBuf::from(model()).join("base/vae").join(name)).expect("it can be read")
        };
        let (config, weights) = (read("config.json"), read(WEIGHTS));
        let files = [
            ("README.md", &b"# VAE"[..]),
            ("config.json", &config),
            ("diffusion_pytorch_model.bin", b"not this one"),
            (WEIGHTS, &weights),
        ];
        let server = Server::start("stabilityai/sd-vae-ft-mse", &files, manners);
        Self { sandbox: Sandbox::new(), server, config, weights }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.sandbox.command(words);
        command.env("HF_ENDPOINT", self.server.endpoint());
        command
    }

    fn events(&self) -> Vec<Value> {
        succeed(&mut self.command(&WORDS))
    }

    /// The run has to fail with one message that has all of `needles`, and no file may be there in
    /// part under its own name.
    fn refuses(&self, needles: &[&str]) {
        refuses(&mut self.command(&WORDS), needles);
        assert!(!self.blob(&self.weights).exists(), "a file that is not whole got its name");
        assert!(self.pointer(WEIGHTS).symlink_metadata().is_err());
    }

    fn repository(&self) -> PathBuf {
        self.sandbox.path("hub/hub/models--stabilityai--sd-vae-ft-mse")
    }

    fn pointer(&self, name: &str) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT).join(name)
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(sha256(content))
    }

    fn partial(&self) -> PathBuf {
        self.repository().join("blobs").join(format!("{}.incomplete", sha256(&self.weights)))
    }

    fn is_whole(&self) {
        assert_eq!(fs::read(self.pointer(WEIGHTS)).expect("it is there"), self.weights);
        assert_eq!(fs::read(self.pointer("config.json")).expect("it is there"), self.config);
        let mut blobs = vec![git_blob(&self.config), sha256(&self.weights)];
        blobs.sort();
        assert_eq!(list(&self.repository().join("blobs")), blobs);
    }

    /// Where the requests for the weights began.
    fn starts(&self) -> Vec<Option<usize>> {
        let seen = self.server.seen();
        seen.iter().filter(|seen| seen.by_sender).map(|seen| seen.range).collect()
    }
}

fn succeed(command: &mut Command) -> Vec<Value> {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let parse = |line: &str| serde_json::from_str(line).expect("every line is JSON");
    text(&output.stdout).lines().map(parse).collect()
}

fn refuses(command: &mut Command, needles: &[&str]) {
    let Output { status, stderr, .. } = command.output().expect("the binary starts");
    let said = text(&stderr);
    assert_eq!(status.code(), Some(2), "it was not refused: {said}");
    for needle in needles {
        assert!(said.contains(needle), "{needle:?} is not named: {said}");
    }
    let messages = said.lines().filter(|line| line.starts_with("musev: ")).count();
    assert_eq!(messages, 1, "it is not told once: {said}");
    assert!(!said.contains("panicked") && !said.contains("hf_secret"), "{said}");
}

fn named<'a>(events: &'a [Value], event: &str) -> Vec<&'a Value> {
    events.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn files_arrive_in_the_cache_that_other_tools_read() {
    let setup = Setup::new(Manners::default());
    let events = setup.events();
    setup.is_whole();
    let reference = setup.repository().join("refs/main");
    assert_eq!(fs::read_to_string(reference).expect("it is there"), COMMIT);
    assert_eq!(list(&setup.repository().join("snapshots").join(COMMIT)), ["config.json", WEIGHTS]);
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(setup.pointer(WEIGHTS)).expect("it is a link"),
        PathBuf::from("../../blobs").join(sha256(&setup.weights))
    );
    let bytes = setup.weights.len() + setup.config.len();
    assert_eq!(named(&events, "planned")[0]["bytes"], bytes);
    assert_eq!(named(&events, "fetched").len(), 2);
    assert_eq!(named(&events, "done")[0]["model"], VAE);

    setup.server.behave(Manners::default());
    let again = setup.events();
    assert_eq!(named(&again, "kept").len(), 2);
    let gets = setup.server.seen();
    let gets: Vec<_> = gets.iter().filter(|seen| seen.method == "GET").collect();
    assert_eq!(gets.len(), 1, "only the list is fetched again: {gets:?}");
}

#[test]
fn what_was_fetched_goes_by_its_name_also_offline() {
    let setup = Setup::new(Manners::default());
    let model = PathBuf::from(model());
    let part = |name: &str| model.join(name).display().to_string();
    let (base, motion) = (part("base"), part("motion/musev"));
    let video = [
        "text2video",
        "--image",
        "picture.png",
        "-o",
        "out/a.gif",
        "--device",
        "cpu",
        "--frames",
        "3",
        "--steps",
        "1",
        "--sd-model-name",
        "None",
        "--sd-model-cfg-path",
        &base,
        "--unet-model-name",
        "None",
        "--unet-model-cfg-path",
        &motion,
        "--vae-model-path",
    ];
    let with = |vae: &'static str| [&video[..], &[vae]].concat();
    setup.sandbox.refuses(&with(VAE), &["the VAE is not there", "musev pull sd-vae-ft-mse"]);
    let offline = |words: &[&str]| {
        let mut command = setup.sandbox.command(words);
        command.env("HF_HUB_OFFLINE", "1");
        command
    };
    refuses(&mut offline(&WORDS), &["stabilityai/sd-vae-ft-mse", "HF_HUB_OFFLINE"]);
    assert!(named(&setup.events(), "done").len() == 1);
    // By its name, and by the path that it has in the original's folder of checkpoints.
    for vae in [VAE, "./checkpoints/vae/sd-vae-ft-mse"] {
        setup.sandbox.succeed(&with(vae));
        assert_eq!(setup.sandbox.list("out"), ["a.gif"]);
        fs::remove_file(setup.sandbox.path("out/a.gif")).expect("it is there");
    }
    assert_eq!(named(&succeed(&mut offline(&WORDS)), "done").len(), 1);
    let listed = setup.sandbox.events(&["pull", "--list", "--json"]);
    let is_there = |line: &&Value| !line["path"].is_null();
    let there: Vec<_> = listed.iter().filter(is_there).map(|line| line["name"].clone()).collect();
    assert_eq!(there, [VAE]);
}

#[test]
fn dropped_connections_are_continued() {
    let quarter = Setup::new(Manners::default()).weights.len() / 4 + 1;
    let setup = Setup::new(Manners { drop_after: Some(quarter), ..Manners::default() });
    let events = setup.events();
    setup.is_whole();
    let starts = [None, Some(quarter), Some(2 * quarter), Some(3 * quarter)];
    assert_eq!(setup.starts(), starts);
    assert_eq!(named(&events, "retrying").len(), 3);
}

#[test]
fn servers_of_whole_files_begin_again() {
    let manners = Manners { drop_after: Some(1000), without_ranges: true, ..Manners::default() };
    let setup = Setup::new(Manners { drops: Some(2), ..manners });
    setup.events();
    setup.is_whole();
    assert_eq!(setup.starts(), [None, Some(1000), Some(1000)]);
}

#[test]
fn a_connection_that_never_holds_is_given_up_and_continued_later() {
    let manners = Manners { drop_after: Some(1000), without_ranges: true, ..Manners::default() };
    let setup = Setup::new(manners);
    setup.refuses(&[WEIGHTS, "5 times in a row", "kept"]);
    assert_eq!(fs::metadata(setup.partial()).expect("it is kept").len(), 1000);
    setup.server.behave(Manners::default());
    setup.events();
    setup.is_whole();
    assert_eq!(setup.starts(), [Some(1000)]);
}

#[test]
fn wrong_sizes_are_refused() {
    let setup = Setup::new(Manners { lie: 7, ..Manners::default() });
    setup.refuses(&[WEIGHTS, "announced", "HF_ENDPOINT"]);
}

#[test]
fn damaged_files_are_thrown_away() {
    let setup = Setup::new(Manners { corrupt: true, ..Manners::default() });
    setup.refuses(&[WEIGHTS, "damaged"]);
    assert!(!setup.partial().exists());
    // A damaged beginning heals.
    setup.server.behave(Manners::default());
    fs::write(setup.partial(), [0; 500]).expect("the folder is there");
    setup.events();
    setup.is_whole();
    assert_eq!(setup.starts(), [Some(500), None]);
}

#[test]
fn tokens_are_shown_to_their_server_alone() {
    let setup = Setup::new(Manners { token: Some("hf_secret"), ..Manners::default() });
    setup.refuses(&["sd-vae-ft-mse", "wants a token", "HF_TOKEN"]);
    let with = |token: &str| {
        let mut command = setup.command(&WORDS);
        command.env("HF_TOKEN", token);
        command
    };
    refuses(&mut with("hf_old"), &["refuses the token"]);
    refuses(&mut with("two\nlines"), &["HF_TOKEN"]);
    fs::create_dir_all(setup.sandbox.path("hub")).expect("it can be made");
    setup.sandbox.write("hub/token", "hf_secret\n");
    setup.events();
    setup.is_whole();
    let seen = setup.server.seen();
    assert!(seen.iter().any(|seen| seen.by_sender));
    assert!(seen.iter().filter(|seen| seen.by_sender).all(|seen| seen.token.is_none()));
}

#[test]
fn refusals_tell_the_way_out() {
    let refusing = |refusal| Manners { refusal: Some(refusal), ..Manners::default() };
    let setup = Setup::new(refusing((403, "GatedRepo")));
    setup.refuses(&[WEIGHTS, "accepted its conditions", "HF_TOKEN"]);
    setup.server.behave(refusing((404, "EntryNotFound")));
    setup.refuses(&[WEIGHTS, "is not on http://127.0.0.1", "HF_ENDPOINT"]);
    setup.server.behave(refusing((503, "")));
    setup.refuses(&[WEIGHTS, "503", "5 times in a row"]);

    let mut other = setup.command(&["pull", "--only", "lcm-lora-sdv1-5", "--accept-license"]);
    refuses(&mut other, &["latent-consistency/lcm-lora-sdv1-5", "is not on"]);
    let empty = Server::start("stabilityai/sd-vae-ft-mse", &[], Manners::default());
    let mut command = setup.command(&WORDS);
    refuses(command.env("HF_ENDPOINT", empty.endpoint()), &["sd-vae-ft-mse/config.json"]);
    refuses(command.env("HF_ENDPOINT", "127.0.0.1"), &["127.0.0.1", "HF_ENDPOINT", "https://"]);
    refuses(command.env("HF_ENDPOINT", "http://127.0.0.1:9"), &["sd-vae-ft-mse", "in a row"]);
}

#[test]
fn nothing_is_asked_before_the_licence_is_accepted() {
    let setup = Setup::new(Manners::default());
    let mut command = setup.command(&["pull", "musev"]);
    refuses(&mut command, &["non-commercial research only", "is MIT", "--accept-license"]);
    assert!(setup.server.seen().is_empty());
    setup.sandbox.refuses(&["pull", "musef", "--accept-license"], &["musef", "`musev`", "--list"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_asked_whether_the_licence_is_accepted() {
    let setup = Setup::new(Manners::default());
    let ask = |answer: &[u8]| {
        let output = in_terminal(&setup.command(&["pull", "--only", VAE]), answer);
        let said = text(&output.stdout);
        assert!(said.contains("the licence of sd-vae-ft-mse is MIT"), "{said}");
        assert!(said.contains("Do you accept them? [y/N]"), "{said}");
        (output.status.code(), said)
    };
    for no in [&b"n\n"[..], b"\n", b"yes, but\n"] {
        let (status, said) = ask(no);
        assert!(status == Some(2) && said.contains("nothing was fetched"), "{said}");
        assert!(setup.server.seen().is_empty(), "{said}");
    }
    let (status, said) = ask(b"y\n");
    assert_eq!(status, Some(0), "{said}");
    setup.is_whole();
}

/// What `command` does in a terminal in which `typed` is typed; both its outputs are one there.
#[cfg(target_os = "linux")]
fn in_terminal(command: &Command, typed: &[u8]) -> Output {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        terminal.current_dir(folder);
    }
    let piped = Stdio::piped;
    terminal.stdin(piped()).stdout(piped()).stderr(piped());
    let mut terminal = terminal.spawn().expect("Debian's bsdutils has script");
    terminal.stdin.take().expect("it is piped").write_all(typed).expect("it reads");
    terminal.wait_with_output().expect("it ends")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let setup = Setup::new(Manners::default());
    fs::create_dir_all(setup.partial().parent().expect("it has one")).expect("it can be made");
    std::os::unix::fs::symlink("/dev/full", setup.partial()).expect("it can be linked");
    setup.refuses(&["disk is full", "HF_HUB_CACHE", &setup.weights.len().to_string()]);
}
