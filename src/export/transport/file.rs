//! IPFIX file (RFC 5655): whole messages, one behind the other.
//!
//! Invariant: whatever fails, the file ends with a whole message.

use super::{Burst, Outcome, Tally, TransportError};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Messages are gathered up to so many octets before they are written.
const BUFFER: usize = 1 << 18;

#[derive(Debug)]
pub(crate) struct IpfixFile {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Length and contents of each message in the buffer.
    held: Vec<(usize, Tally)>,
    written: u64,
    pub(super) problem: Option<String>,
    failing: bool,
}

impl IpfixFile {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self, TransportError> {
        let file = File::create(path)
            .map_err(|source| TransportError::File { path: path.to_owned(), source })?;
        Ok(Self::new(file, path))
    }

    fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            buffer: Vec::with_capacity(BUFFER),
            held: Vec::new(),
            written: 0,
            problem: None,
            failing: false,
        }
    }

    pub(super) fn send(&mut self, burst: Burst<'_>, outcome: &mut Outcome) {
        self.buffer.extend_from_slice(burst.octets);
        self.held.extend(burst.messages().map(|(message, tally)| (message.len(), tally)));
        if self.buffer.len() >= BUFFER {
            self.flush(outcome);
        }
    }

    /// Writes what is held. What is refused was numbered last, so the numbers are used again.
    pub(super) fn flush(&mut self, outcome: &mut Outcome) {
        let mut done = 0;
        let failure = loop {
            let Some(rest) = self.buffer.get(done..).filter(|rest| !rest.is_empty()) else {
                break None;
            };
            match self.file.write(rest) {
                Ok(0) => break Some(std::io::ErrorKind::WriteZero.into()),
                Ok(octets) => done += octets,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let mut whole = 0;
        for (length, tally) in self.held.drain(..) {
            whole += length;
            if whole <= done {
                outcome.sent.add(length, tally);
                self.written += length as u64;
            } else {
                outcome.refused.add(length, tally);
                outcome.unnumbered += tally.records();
            }
        }
        match failure {
            None if self.buffer.is_empty() => {}
            None => self.failing = false,
            Some(error) => self.cut(&error),
        }
        self.buffer.clear();
    }

    /// Takes back the message that was written in part; of a pipe that cannot be had.
    fn cut(&mut self, error: &std::io::Error) {
        let whole = self.file.set_len(self.written);
        let whole = whole.and_then(|()| self.file.seek(SeekFrom::Start(self.written)));
        if !self.failing {
            self.failing = true;
            let path = self.path.display();
            let end =
                if whole.is_ok() { "the file ends with a whole message" } else { "it is cut" };
            self.problem = Some(format!("{path}: {error}; records are lost, {end}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Account;
    use super::*;

    #[test]
    fn a_full_disk_is_counted_and_told_once() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut file = IpfixFile::new(full, Path::new("full"));
        let tally = Tally { flows: 2, ..Tally::default() };
        let mut outcome = Outcome::default();
        for _ in 0..2 {
            file.send(Burst { octets: &[0; 100], segment: 100, tallies: &[tally] }, &mut outcome);
            file.flush(&mut outcome);
        }
        assert_eq!(outcome.sent, Account::default());
        assert_eq!((outcome.refused.messages, outcome.refused.tally.flows), (2, 4));
        assert_eq!(outcome.unnumbered, 4);
        assert!(file.problem.take().unwrap().contains("No space left on device"));
        assert!(file.problem.is_none());
    }
}
