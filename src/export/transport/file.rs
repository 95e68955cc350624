//! IPFIX file (RFC 5655): whole messages, one behind the other.
//!
//! Invariant: whatever fails, the file ends with a whole message.

use super::super::destination::Files;
use super::output::Output;
use super::recovery::Unit;
use super::{Burst, Outcome, Tally, TransportError};
use crate::capture::Timestamp;

/// Messages are gathered up to so many octets before they are written.
const BUFFER: usize = 1 << 18;

/// A compressed file is written so often at least: what a crash may cost.
const COMPRESS_EVERY: u64 = 2_000_000_000;

#[derive(Debug)]
pub(crate) struct IpfixFile {
    output: Output,
    name: String,
    buffer: Vec<u8>,
    /// Length and contents of each message in the buffer.
    held: Vec<(usize, Tally)>,
    /// When what is in the buffer was last written.
    flushed: Timestamp,
    problem: Option<String>,
    failing: bool,
}

impl IpfixFile {
    /// Creates the file, or empties it; see [`Output`] for a file after the other.
    pub(crate) fn create(files: &Files) -> Result<Self, TransportError> {
        let output = Output::create(files, Unit::Message)?;
        Ok(Self::new(output, files.path.display().to_string()))
    }

    fn new(output: Output, name: String) -> Self {
        Self {
            output,
            name,
            buffer: Vec::with_capacity(BUFFER),
            held: Vec::new(),
            flushed: Timestamp(0),
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

    /// Writes what is held, and begins the next file when it is time. True if it has: that is a new Transport Session.
    pub(super) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        let due = self.output.due(now);
        if due || !self.output.compresses() || now.since(self.flushed) >= COMPRESS_EVERY {
            self.flushed = now;
            self.flush(outcome);
        }
        due && self.output.rotate(now)
    }

    pub(super) fn finish(&mut self, outcome: &mut Outcome) {
        self.flush(outcome);
        self.output.close();
    }

    /// Writes what is held. What is refused was numbered last, so the numbers are used again.
    pub(super) fn flush(&mut self, outcome: &mut Outcome) {
        let (done, failure) = self.output.write(&self.buffer);
        let (mut whole, mut end) = (0, 0);
        for (length, tally) in self.held.drain(..) {
            end += length;
            if end <= done {
                whole = end;
                outcome.sent.add(length, tally);
            } else {
                outcome.refused.add(length, tally);
                outcome.unnumbered += tally.records();
            }
        }
        match failure {
            None if self.buffer.is_empty() => {}
            None => self.failing = false,
            Some(error) => {
                // Takes back the message that was written in part; of a pipe that cannot be had.
                let cut = self.output.cut(done - whole);
                if !self.failing {
                    self.failing = true;
                    let end = if cut { "the file ends with a whole message" } else { "it is cut" };
                    self.problem = Some(format!("{}: {error}; records are lost, {end}", self.name));
                }
            }
        }
        self.buffer.clear();
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.problem.take().or_else(|| self.output.take_problem())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Account;
    use super::*;
    use std::fs::File;
    use std::path::Path;

    #[test]
    fn a_full_disk_is_counted_and_told_once() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut file = IpfixFile::new(Output::of(full, Path::new("full")), "full".to_owned());
        let tally = Tally { flows: 2, ..Tally::default() };
        let mut outcome = Outcome::default();
        for _ in 0..2 {
            file.send(Burst { octets: &[0; 100], segment: 100, tallies: &[tally] }, &mut outcome);
            file.flush(&mut outcome);
        }
        assert_eq!(outcome.sent, Account::default());
        assert_eq!((outcome.refused.messages, outcome.refused.tally.flows), (2, 4));
        assert_eq!(outcome.unnumbered, 4);
        assert!(file.take_problem().unwrap().contains("No space left on device"));
        assert!(file.take_problem().is_none());
    }
}
