//! A server of models on this machine that can misbehave, and a second one that sends its large
//! files, as the real one has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::json;
use sha1::Digest as _;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server behaves; the default is well.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// Close connections after this many bytes of a large file.
    pub(crate) drop_after: Option<usize>,
    /// So many times; without it always.
    pub(crate) drops: Option<usize>,
    /// Send whole files only.
    pub(crate) without_ranges: bool,
    /// Announce large files as longer by this.
    pub(crate) lie: usize,
    /// Change a byte of large files.
    pub(crate) corrupt: bool,
    /// Serve only who shows this token.
    pub(crate) token: Option<&'static str>,
    /// Answer requests for large files so: status and error code.
    pub(crate) refusal: Option<(u16, &'static str)>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<usize>,
    pub(crate) token: Option<String>,
    /// Whether the server of large files was asked.
    pub(crate) by_sender: bool,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    repository: String,
    manners: Manners,
    seen: Vec<Seen>,
    sender: u16,
}

/// The two servers.
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Server {
    /// Serves `files` of `repository`; those that end in .safetensors are large.
    pub(crate) fn start(repository: &str, files: &[(&str, &[u8])], manners: Manners) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let (main, sender) = (bind(), bind());
        let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        let own = |(name, bytes): &(&str, &[u8])| ((*name).to_owned(), bytes.to_vec());
        let state = Arc::new(Mutex::new(State {
            files: files.iter().map(own).collect(),
            repository: repository.to_owned(),
            manners,
            seen: Vec::new(),
            sender: port(&sender),
        }));
        let server = Self { state: state.clone(), port: port(&main) };
        for (listener, by_sender) in [(main, false), (sender, true)] {
            let state = state.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    thread::spawn(move || serve(stream, &state, by_sender));
                }
            });
        }
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on the server behaves so, and what it has seen is forgotten.
    pub(crate) fn behave(&self, manners: Manners) {
        let mut state = lock(&self.state);
        state.manners = manners;
        state.seen.clear();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no handler panics")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

pub(crate) fn git_blob(bytes: &[u8]) -> String {
    hex(&sha1::Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_request(stream: &TcpStream, by_sender: bool) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut seen = Seen { method, path, range: None, token: None, by_sender };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        match name.to_lowercase().as_str() {
            "range" => {
                let start = value.trim().strip_prefix("bytes=")?.strip_suffix('-')?;
                seen.range = start.parse().ok();
            }
            "authorization" => {
                seen.token = value.trim().strip_prefix("Bearer ").map(str::to_owned);
            }
            _ => {}
        }
    }
    Some(seen)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, by_sender: bool) {
    let Some(request) = read_request(&stream, by_sender) else { return };
    let mut state = lock(state);
    state.seen.push(request.clone());
    let (head, body) = answer(&request, &mut state);
    drop(state);
    let _ = stream.write_all(format!("HTTP/1.1 {head}Connection: close\r\n\r\n").as_bytes());
    if request.method != "HEAD" {
        let _ = stream.write_all(&body);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // Until the other side is done: a reset would take away what is on its way.
    let _ = stream.read(&mut [0]);
}

/// Status line with headers, and the body.
fn answer(request: &Seen, state: &mut State) -> (String, Vec<u8>) {
    let manners = state.manners.clone();
    let error = |status: u16, code: &str| {
        (format!("{status} X\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\n"), Vec::new())
    };
    let is_allowed = manners.token.is_none_or(|token| request.token.as_deref() == Some(token));
    if !is_allowed && !request.by_sender {
        return error(401, "");
    }
    if request.path == format!("/api/models/{}/revision/main", state.repository) {
        let siblings: Vec<_> =
            state.files.keys().map(|name| json!({ "rfilename": name })).collect();
        let body = json!({ "sha": COMMIT, "siblings": siblings }).to_string().into_bytes();
        return (format!("200 OK\r\nContent-Length: {}\r\n", body.len()), body);
    }
    let prefix = format!("/{}/resolve/{COMMIT}/", state.repository);
    let name = request.path.strip_prefix(&prefix).or(request.path.strip_prefix("/large/"));
    let Some((name, bytes)) = name.and_then(|name| Some((name, state.files.get(name)?.clone())))
    else {
        return error(404, "RepoNotFound");
    };
    if !name.ends_with(".safetensors") {
        let head = format!("ETag: \"{}\"\r\nContent-Length: {}\r\n", git_blob(&bytes), bytes.len());
        return (format!("200 OK\r\n{head}"), bytes);
    }
    if let Some((status, code)) = manners.refusal {
        return error(status, code);
    }
    if !request.by_sender {
        let head = format!(
            "Location: http://127.0.0.1:{}/large/{name}\r\nX-Linked-ETag: \"{}\"\r\n\
             X-Linked-Size: {}\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: 0\r\n",
            state.sender,
            sha256(&bytes),
            bytes.len() + manners.lie
        );
        return (format!("302 Found\r\n{head}"), Vec::new());
    }
    send_large(request, bytes, &mut state.manners)
}

/// The answer of the server of large files.
fn send_large(request: &Seen, mut bytes: Vec<u8>, manners: &mut Manners) -> (String, Vec<u8>) {
    let whole = bytes.len();
    if manners.corrupt {
        bytes[whole / 2] ^= 1;
    }
    let start = request.range.filter(|_| !manners.without_ranges);
    let mut body = bytes.split_off(start.unwrap_or(0));
    let length = body.len();
    let still_drops = manners.drops.is_none_or(|drops| drops > 0);
    if let Some(after) = manners.drop_after.filter(|_| still_drops) {
        body.truncate(after);
        manners.drops = manners.drops.map(|drops| drops - 1);
    }
    let head = match start {
        Some(start) => format!("206 X\r\nContent-Range: bytes {start}-{}/{whole}\r\n", whole - 1),
        None => "200 OK\r\n".to_owned(),
    };
    (format!("{head}Content-Length: {length}\r\n"), body)
}
