//! Requests to the server, with its redirects and refusals.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION, RANGE};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::hash::{ContentHash, is_hexadecimal};
use super::settings;
use crate::error::{Error, Result};

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;
/// A list of files that is larger is none.
const MAX_LIST: u64 = 32 << 20;
/// No connection that is alive is silent for longer.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would end the same way.
    Lasting(Error),
    /// Another attempt may succeed: the reason.
    Passing(String),
}

/// What a request brought.
pub(super) type Attempt<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// A repository at a commit.
#[derive(Debug)]
pub(super) struct Listing {
    /// The commit.
    pub(super) commit: String,
    /// All its files.
    pub(super) files: Vec<String>,
}

/// A file of a repository at a commit.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    /// The repository, `OWNER/NAME`.
    pub(super) repository: String,
    /// The commit.
    pub(super) commit: String,
    /// The path in the repository.
    pub(super) path: String,
}

impl RemoteFile {
    /// How messages call it.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.repository, self.path)
    }
}

/// What the server says of a file before it is fetched.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// What is in it.
    pub(super) hash: ContentHash,
    /// How many bytes it has.
    pub(super) bytes: u64,
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

impl Client {
    /// To the server that the environment names, with the user's token.
    pub(super) fn from_environment() -> Result<Self> {
        let endpoint = settings::endpoint();
        if origin(&endpoint).is_none() {
            let reason = "is no address of a server; HF_ENDPOINT has to begin with https://";
            return Err(Error::hub(endpoint, reason));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("musev/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(SILENCE))
            .timeout_connect(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_recv_response(Some(2 * SILENCE));
        if endpoint.starts_with("https:") {
            config = config.tls_config(tls());
        }
        Ok(Self { agent: config.build().new_agent(), endpoint, token: settings::token() })
    }

    /// The server's address.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The files of `repository` at `revision`.
    pub(super) fn list(&self, repository: &str, revision: &str) -> Attempt<Listing> {
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        #[derive(Deserialize)]
        struct Info {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        let url = format!("{}/api/models/{repository}/revision/{revision}", self.endpoint);
        let response = self.follow(Method::GET, &url, 0)?;
        let mut response = self.accepted(response, repository)?;
        let text = response.body_mut().with_config().limit(MAX_LIST).read_to_string();
        let text = text.map_err(|error| Failure::Passing(error.to_string()))?;
        let no_list = |reason: String| {
            let reason = format!("the answer of {} is no list of files: {reason}", self.endpoint);
            Failure::Lasting(Error::hub(repository, reason))
        };
        let info: Info = serde_json::from_str(&text).map_err(|error| no_list(error.to_string()))?;
        if info.sha.len() != 40 || !is_hexadecimal(&info.sha) {
            return Err(no_list(format!("{:?} is no commit", info.sha)));
        }
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit: info.sha, files })
    }

    /// What `file` holds and how large it is. The server says so itself, also where it lets another
    /// one send the file.
    pub(super) fn facts(&self, file: &RemoteFile) -> Attempt<Facts> {
        let mut url = self.url(file);
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(Method::HEAD, &url, 0)?;
            let headers = response.headers();
            let linked = header(headers, "x-linked-etag");
            match redirect(&response, &url)? {
                Some(next) if linked.is_none() => url = next,
                Some(_) => return facts(headers, file),
                None => return facts(self.accepted(response, &file.place())?.headers(), file),
            }
        }
        Err(too_many_redirects(&file.place()))
    }

    /// Asks for the bytes of `file` from `start` on.
    pub(super) fn get(&self, file: &RemoteFile, start: u64) -> Attempt<Response<Body>> {
        let response = self.follow(Method::GET, &self.url(file), start)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        self.accepted(response, &file.place())
    }

    fn url(&self, file: &RemoteFile) -> String {
        let RemoteFile { repository, commit, path } = file;
        format!("{}/{repository}/resolve/{commit}/{path}", self.endpoint)
    }

    /// Sends a request, and again wherever it is redirected to.
    fn follow(&self, method: Method, url: &str, start: u64) -> Attempt<Response<Body>> {
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(method.clone(), &url, start)?;
            match redirect(&response, &url)? {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        Err(too_many_redirects(&self.endpoint))
    }

    /// One request. The token goes to the server that it is for, and to no other.
    fn send(&self, method: Method, url: &str, start: u64) -> Attempt<Response<Body>> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = self.token.as_ref().filter(|_| origin(url) == origin(&self.endpoint)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let request = request.body(()).map_err(|_| {
            // Only the token may hold what no header can.
            Error::hub(self.endpoint.as_str(), "the token is no text of one line; see HF_TOKEN")
        })?;
        self.agent.run(request).map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                Failure::Lasting(Error::hub(self.endpoint.as_str(), error.to_string()))
            }
            other => Failure::Passing(other.to_string()),
        })
    }

    /// `response`, unless it is a refusal to give `place`.
    fn accepted(&self, response: Response<Body>, place: &str) -> Attempt<Response<Body>> {
        let (status, headers) = (response.status(), response.headers());
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(Failure::Passing(format!("{} answers {status}", self.endpoint)));
        }
        let code = header(headers, "x-error-code").unwrap_or_default();
        Err(Error::hub(place, self.refusal(status, &code)).into())
    }

    /// What a refusal means, and the way out.
    fn refusal(&self, status: StatusCode, code: &str) -> String {
        let endpoint = &self.endpoint;
        match (status.as_u16(), code, &self.token) {
            (_, "GatedRepo", _) => format!(
                "is open only to who has accepted its conditions; accept them on its page at \
                 {endpoint}, and give your token with HF_TOKEN"
            ),
            (401, _, None) => format!(
                "{endpoint} wants a token, or has no such repository; give your token with \
                 HF_TOKEN or in the file token of HF_HOME"
            ),
            (401 | 403, _, Some(_)) => {
                format!("{endpoint} refuses the token; is it still valid, and may it read this?")
            }
            (404, "RevisionNotFound", _) => format!("{endpoint} has no such revision of it"),
            (404, ..) => format!("is not on {endpoint}; HF_ENDPOINT names another server"),
            _ => format!("{endpoint} answers {status}"),
        }
    }
}

fn tls() -> TlsConfig {
    let native = rustls_native_certs::load_native_certs();
    let roots: Vec<_> =
        native.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
        .build()
}

fn facts(headers: &HeaderMap, file: &RemoteFile) -> Attempt<Facts> {
    let missing = |what| {
        let reason = format!("the server does not tell {what}, so that it could not be checked");
        Failure::Lasting(Error::hub(file.place(), reason))
    };
    let etag = header(headers, "x-linked-etag").or_else(|| header(headers, ETAG.as_str()));
    let bytes =
        header(headers, "x-linked-size").or_else(|| header(headers, CONTENT_LENGTH.as_str()));
    let hash =
        etag.and_then(|etag| ContentHash::of_etag(&etag)).ok_or_else(|| missing("its hash"))?;
    let bytes = bytes.and_then(|bytes| bytes.parse().ok()).ok_or_else(|| missing("its size"))?;
    Ok(Facts { hash, bytes })
}

/// A header that is text.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Where `response` to `url` points to. Every request asks here, so that none, and no hash or size
/// that a file is checked against, comes without encryption where it was asked for with it.
fn redirect<B>(response: &Response<B>, url: &str) -> Result<Option<String>> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let Some(target) = header(response.headers(), LOCATION.as_str()) else { return Ok(None) };
    if !target.contains("://") {
        let path = target.trim_start_matches('/');
        return Ok(origin(url).map(|origin| format!("{origin}/{path}")));
    }
    if url.starts_with("https:") && !target.starts_with("https:") {
        let to = origin(&target).unwrap_or("an unknown address");
        let reason = format!(
            "redirects from https to {to}, without encryption; HF_ENDPOINT names another server"
        );
        return Err(Error::hub(origin(url).unwrap_or(url), reason));
    }
    Ok(Some(target))
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<&str> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme))?;
    let host = url[scheme.len()..].find('/').map_or(url.len(), |end| scheme.len() + end);
    (host > scheme.len()).then(|| &url[..host])
}

fn too_many_redirects(place: &str) -> Failure {
    Error::hub(place, format!("is redirected more than {MAX_REDIRECTS} times")).into()
}

#[cfg(test)]
mod tests {
    use ureq::http::Response;

    use super::{origin, redirect};

    #[test]
    fn tokens_stay_with_their_server() {
        assert_eq!(origin("https://a.b/c/d"), Some("https://a.b"));
        assert_eq!(origin("http://127.0.0.1:80"), Some("http://127.0.0.1:80"));
        assert_ne!(origin("https://a.b/c"), origin("http://a.b/c"));
        assert_ne!(origin("https://a.b/c"), origin("https://a.b.evil/c"));
        for wrong in ["", "a.b", "ftp://a", "https://", "https:///x"] {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn redirects_keep_encryption() {
        let next = |from: &str, to: &str| {
            let response = Response::builder().status(302).header("location", to).body(());
            redirect(&response.unwrap(), from).map_err(|error| error.to_string())
        };
        for (from, to, expected) in [
            ("https://a.b/c", "https://cdn.b/d", "https://cdn.b/d"),
            ("https://a.b/c", "/d", "https://a.b/d"),
            ("http://a.b/c", "http://cdn.b/d", "http://cdn.b/d"),
            ("http://a.b/c", "https://cdn.b/d", "https://cdn.b/d"),
        ] {
            assert_eq!(next(from, to), Ok(Some(expected.to_owned())));
        }
        for to in ["http://cdn.b/d?key=1", "http://a.b/c", "ftp://a.b/c"] {
            let error = next("https://a.b/c", to).unwrap_err();
            assert!(error.contains("https://a.b") && error.contains("HF_ENDPOINT"), "{error}");
            assert!(!error.contains("key"), "addresses may hold keys: {error}");
        }
        let whole = Response::builder().status(200).body(()).unwrap();
        assert!(redirect(&whole, "https://a.b/c").unwrap().is_none());
    }
}
