//! One file, whatever happens to the connection.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use ureq::http::{Response, StatusCode};

use super::client::{Attempt, Client, Facts, Failure, RemoteFile, header};
use super::fetch::HubEvent;
use crate::error::{Error, Result};

/// Attempts in a row that bring nothing new, before it is given up.
const MAX_ATTEMPTS: u32 = 5;
/// The pause after the first of them; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// What is told while it goes on.
pub(super) type Tell<'a> = &'a mut dyn FnMut(HubEvent<'_>) -> ControlFlow<()>;

/// Tells `event`.
///
/// # Errors
/// [`Error::Cancelled`] when the listener has had enough.
pub(super) fn tell(listener: Tell<'_>, event: HubEvent<'_>) -> Result<()> {
    match listener(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

/// Repeats `attempt` while it fails for reasons that may pass.
pub(super) fn patiently<T>(
    place: &str,
    listener: Tell<'_>,
    mut attempt: impl FnMut() -> Attempt<T>,
) -> Result<T> {
    let mut patience = Patience::default();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Lasting(error)) => return Err(error),
            Err(Failure::Passing(reason)) => patience.lose(place, &reason, &mut *listener)?,
        }
    }
}

/// How many attempts in a row have brought nothing.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    /// Tells that an attempt failed and waits a little.
    fn lose(&mut self, place: &str, reason: &str, listener: Tell<'_>) -> Result<()> {
        self.0 += 1;
        if self.0 >= MAX_ATTEMPTS {
            let reason = format!(
                "{reason}, {MAX_ATTEMPTS} times in a row; what was fetched is kept, and the same \
                 command goes on from there"
            );
            return Err(Error::hub(place, reason));
        }
        tell(listener, HubEvent::Retrying { file: place, reason })?;
        thread::sleep(PAUSE * 2_u32.pow(self.0 - 1));
        Ok(())
    }
}

/// A file that is being fetched.
pub(super) struct Download<'a> {
    client: &'a Client,
    remote: &'a RemoteFile,
    facts: &'a Facts,
    /// Where its beginning lies.
    partial: &'a Path,
}

impl<'a> Download<'a> {
    /// Of `remote` to `partial`, which may hold its beginning.
    pub(super) fn new(
        client: &'a Client,
        remote: &'a RemoteFile,
        facts: &'a Facts,
        partial: &'a Path,
    ) -> Self {
        Self { client, remote, facts, partial }
    }

    /// Fetches what is missing and checks the whole.
    ///
    /// # Errors
    /// When the server does not give it, the disk does not take it, or it is not what it should be;
    /// what was fetched is kept where it may be of use.
    pub(super) fn run(&self, listener: Tell<'_>) -> Result<()> {
        let resumed = self.fill(&mut *listener)?;
        if self.is_right(&mut *listener)? {
            return Ok(());
        }
        self.forget()?;
        if resumed {
            // Its beginning was from another time, perhaps from a machine that went down.
            self.fill(&mut *listener)?;
            if self.is_right(listener)? {
                return Ok(());
            }
            self.forget()?;
        }
        let reason = format!(
            "what arrived is damaged: its hash is not {}; it was thrown away. Try again, or \
             another server with HF_ENDPOINT",
            self.facts.hash.hex()
        );
        Err(Error::hub(self.remote.place(), reason))
    }

    fn is_right(&self, listener: Tell<'_>) -> Result<bool> {
        tell(listener, HubEvent::Checking { file: &self.remote.path })?;
        self.facts.hash.is_of(self.partial).map_err(|e| Error::io("read", self.partial, e))
    }

    fn forget(&self) -> Result<()> {
        fs::remove_file(self.partial).map_err(|e| Error::io("remove", self.partial, e))
    }

    /// Brings the file to its full length; whether something of it had been there.
    fn fill(&self, listener: Tell<'_>) -> Result<bool> {
        let opened = OpenOptions::new().create(true).append(true).open(self.partial);
        let mut file = opened.map_err(|e| self.disk(e))?;
        let mut length = file.metadata().map_err(|e| self.disk(e))?.len();
        if length > self.facts.bytes {
            length = self.restart(&mut file)?;
        }
        let resumed = length > 0;
        let (file_name, of) = (self.remote.path.as_str(), self.facts.bytes);
        tell(&mut *listener, HubEvent::Received { file: file_name, bytes: length, of })?;
        let (mut furthest, mut patience) = (length, Patience::default());
        while length < of {
            let reason = match self.attempt(&mut file, &mut length, &mut *listener) {
                Ok(()) => "the connection was closed early".to_owned(),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(reason)) => reason,
            };
            if length > furthest {
                (furthest, patience) = (length, Patience::default());
            }
            if length < of {
                patience.lose(&self.remote.place(), &reason, &mut *listener)?;
            }
        }
        file.sync_all().map_err(|e| self.disk(e))?;
        Ok(resumed)
    }

    /// Asks for what is missing and appends it to `file`, which is `length` bytes long.
    fn attempt(&self, file: &mut File, length: &mut u64, listener: Tell<'_>) -> Attempt<()> {
        let response = self.client.get(self.remote, *length)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            *length = self.restart(file)?;
            return Err(Failure::Passing("the server cannot go on from there".to_owned()));
        }
        if *length > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // A server that only knows whole files begins again.
            *length = self.restart(file)?;
        }
        self.check_size(&response, *length)?;
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match body.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Failure::Passing(error.to_string())),
            };
            if *length + read as u64 > self.facts.bytes {
                self.restart(file)?;
                return Err(self.wrong_size("more").into());
            }
            file.write_all(&chunk[..read]).map_err(|e| self.disk(e))?;
            *length += read as u64;
            let (file, of) = (self.remote.path.as_str(), self.facts.bytes);
            tell(&mut *listener, HubEvent::Received { file, bytes: *length, of })?;
        }
    }

    /// Compares what the answer says of its length with what was announced.
    fn check_size(&self, response: &Response<Body>, start: u64) -> Result<()> {
        let headers = response.headers();
        let total: Option<u64> = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = header(headers, CONTENT_RANGE.as_str()).unwrap_or_default();
            let (span, total) = range.rsplit_once('/').unwrap_or_default();
            if !span.starts_with(&format!("bytes {start}-")) {
                let reason =
                    format!("the server was asked for it from byte {start}, and sends {range:?}");
                return Err(Error::hub(self.remote.place(), reason));
            }
            total.parse().ok()
        } else {
            header(headers, CONTENT_LENGTH.as_str()).and_then(|total| total.parse().ok())
        };
        match total {
            Some(total) if total != self.facts.bytes => Err(self.wrong_size(&format!("{total}"))),
            _ => Ok(()),
        }
    }

    fn wrong_size(&self, sent: &str) -> Error {
        let reason = format!(
            "the server announced {} bytes and sends {sent}; try again later, or another server \
             with HF_ENDPOINT",
            self.facts.bytes
        );
        Error::hub(self.remote.place(), reason)
    }

    /// Empties `file`.
    fn restart(&self, file: &mut File) -> Result<u64> {
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(|e| self.disk(e))
    }

    fn disk(&self, error: io::Error) -> Error {
        if error.kind() != io::ErrorKind::StorageFull {
            return Error::io("write", self.partial, error);
        }
        let reason = format!(
            "the disk is full; {} bytes are needed for it. Make room, or name a folder on another \
             disk with HF_HUB_CACHE; what was fetched is kept",
            self.facts.bytes
        );
        Error::hub(self.partial.display().to_string(), reason)
    }
}
