//! The other end of the control socket.

use super::http::encode;
use super::live::{Found, Question};
use super::status::Status;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time for an answer: a look at all flows takes a few seconds at the worst.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most octets of an answer.
const LONGEST: u64 = 16 << 20;

/// A probe that runs elsewhere on this machine.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers, or not in time.
    #[error("control socket {path}: {error}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The probe refuses, and says why.
    #[error("{0}")]
    Refused(String),
    /// The answer cannot be read: another program, or another version.
    #[error("control socket {path}: this is no sixtap that can be understood: {problem}")]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Client {
    /// Of the probe whose control socket is at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The control socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How things stand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&self) -> Result<Status, ClientError> {
        self.json("/status.json")
    }

    /// The live flows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn flows(&self, question: &Question) -> Result<Found, ClientError> {
        let Question { by, sort, count, filter } = question;
        let filter = encode(filter.text());
        self.json(&format!("/flows?by={by}&sort={sort}&count={count}&filter={filter}"))
    }

    /// The ledger, for people or as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ledger(&self, json: bool) -> Result<String, ClientError> {
        let body = self.ask(if json { "/ledger" } else { "/ledger?format=text" })?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn json<T: serde::de::DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        serde_json::from_slice(&self.ask(target)?).map_err(|error| self.answer(error.to_string()))
    }

    fn answer(&self, problem: String) -> ClientError {
        ClientError::Answer { path: self.path.clone(), problem }
    }

    fn ask(&self, target: &str) -> Result<Vec<u8>, ClientError> {
        let octets = self
            .exchange(target)
            .map_err(|error| ClientError::Io { path: self.path.clone(), error })?;
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(&octets) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Err(self.answer("it is cut".to_owned())),
            Err(error) => return Err(self.answer(error.to_string())),
        };
        let body = octets[length..].to_vec();
        match response.code {
            Some(200) => Ok(body),
            _ => Err(ClientError::Refused(String::from_utf8_lossy(&body).trim().to_owned())),
        }
    }

    fn exchange(&self, target: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: sixtap\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut octets = Vec::new();
        stream.take(LONGEST).read_to_end(&mut octets)?;
        Ok(octets)
    }
}
