//! IPFIX file (RFC 5655): whole messages, one behind the other.
//!
//! Invariant: whatever fails, the file ends with a whole message.

use super::super::destination::Files;
use super::background::{Background, Units};
use super::recovery::Unit;
use super::{Burst, Outcome, TransportError};
use crate::capture::Timestamp;
use std::time::Duration;

/// Messages are gathered up to so many octets before they are written.
const BUFFER: usize = 1 << 18;

#[derive(Debug)]
pub(crate) struct IpfixFile {
    file: Background,
    held: Units,
}

impl IpfixFile {
    /// Creates the file, or empties it; see [`super::output::Output`] for a file after the other.
    pub(crate) fn create(files: &Files, patient: bool) -> Result<Self, TransportError> {
        let file = Background::create(files, Unit::Message, patient)?;
        let held = Units { octets: Vec::with_capacity(BUFFER), each: Vec::new() };
        Ok(Self { file, held })
    }

    pub(super) fn send(&mut self, burst: Burst<'_>, outcome: &mut Outcome) {
        self.held.octets.extend_from_slice(burst.octets);
        self.held.each.extend(burst.messages().map(|(message, tally)| (message.len(), tally)));
        if self.held.octets.len() >= BUFFER {
            self.file.submit(&mut self.held, outcome);
        }
    }

    /// Whether it is time for the next file.
    pub(super) fn ends(&self, now: Timestamp) -> bool {
        self.file.due(now)
    }

    /// Writes what is held, and begins the next file when it is time. True if it has: that is a new Transport Session.
    pub(super) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        let due = self.file.due(now);
        if self.file.wants(now) || due {
            self.file.submit(&mut self.held, outcome);
        }
        due && self.file.next(now)
    }

    /// Writes what is held, and waits, at most `patience`, until it is written; whether something still waits.
    pub(super) fn empty(&mut self, patience: Duration, outcome: &mut Outcome) -> bool {
        self.file.submit(&mut self.held, outcome);
        self.file.waits(patience, outcome)
    }

    /// The end. What is not written after `patience` is lost.
    pub(super) fn finish(&mut self, patience: Duration, outcome: &mut Outcome) {
        self.file.submit(&mut self.held, outcome);
        self.file.finish(patience, outcome);
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.file.take_problem()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, Tally};
    use super::*;
    use std::path::Path;

    #[test]
    fn a_full_disk_is_counted_and_told_once() {
        let mut file = IpfixFile::create(&Files::plain(Path::new("/dev/full")), false).unwrap();
        let tally = Tally { flows: 2, ..Tally::default() };
        let mut outcome = Outcome::default();
        for _ in 0..2 {
            file.send(Burst { octets: &[0; 100], segment: 100, tallies: &[tally] }, &mut outcome);
            assert!(!file.empty(Duration::from_secs(10), &mut outcome));
        }
        assert_eq!(outcome.sent, Account::default());
        assert_eq!((outcome.refused.messages, outcome.refused.tally.flows), (2, 4));
        assert!(file.take_problem().unwrap().contains("No space left on device"));
        assert!(file.take_problem().is_none());
    }
}
