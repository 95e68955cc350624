//! Findings: what was wrong, where, how often, with the octets that show it.
//!
//! Comes in: one occurrence at a time, from the rules. Goes out: one [`Finding`] for each rule, session and subject,
//! with its count and the first few [`Example`]s.
//!
//! Must stay true: memory is bounded by [`Limits`], whatever the stream holds; what does not fit is counted.

use super::rules::Rule;
use crate::collect::Position;
use std::collections::HashMap;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; no rule is broken.
    Note,
    /// Doubtful, or a SHOULD is broken.
    Warning,
    /// Wrong data, or a MUST is broken.
    Error,
}

impl Severity {
    /// The word in reports: `error`, `warning`, `note`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Where something was seen. Numbers count from 1; offsets from 0, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the message in its session.
    pub message: u64,
    /// Where the message stands in the input.
    pub position: Position,
    /// Number of the Set in the message.
    pub set: Option<u32>,
    /// Number of the record in the Set.
    pub record: Option<u32>,
    /// Offset of the first offending octet in the message.
    pub octet: Option<u32>,
    /// How many octets offend.
    pub length: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            // The datagrams of a socket are counted by the session as well.
            Position::Datagram(_) => {}
            Position::Packet(number) => write!(f, "packet {number}: ")?,
            Position::Octet(number) => write!(f, "at octet {number}: ")?,
        }
        write!(f, "message {}", self.message)?;
        if let Some(set) = self.set {
            write!(f, ", set {set}")?;
        }
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        if let Some(octet) = self.octet {
            write!(f, ", octet {octet}")?;
        }
        Ok(())
    }
}

/// The octets around the offending ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Offset in the message of the first octet kept.
    pub start: u32,
    /// The octets.
    pub octets: Vec<u8>,
    /// Offset in `octets` of the first offending one.
    pub mark: u32,
    /// How many of `octets` offend.
    pub marked: u32,
}

impl Dump {
    /// Octets kept at most.
    pub const LONGEST: usize = 96;

    /// Cuts a window of whole 16-octet lines around `length` octets at `octet` out of `message`.
    #[must_use]
    pub fn around(message: &[u8], octet: u32, length: u32) -> Self {
        let octet = (octet as usize).min(message.len());
        let start = octet.saturating_sub(16) & !15;
        let end = (octet + length as usize + 16)
            .next_multiple_of(16)
            .min(start + Self::LONGEST)
            .min(message.len());
        let octets = message.get(start..end).unwrap_or_default().to_vec();
        let mark = octet - start;
        let marked = (length as usize).min(octets.len().saturating_sub(mark));
        Self { start: start as u32, octets, mark: mark as u32, marked: marked as u32 }
    }
}

/// One occurrence kept as evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Where.
    pub place: Place,
    /// What was seen.
    pub saw: String,
    /// What it should have been.
    pub wanted: String,
    /// The octets, where there are any.
    pub dump: Option<Dump>,
}

/// What a finding is about, below the session: findings of one rule are gathered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The session as a whole.
    Session,
    /// A Template ID.
    Template(u16),
    /// An Information Element (enterprise number, id) in a template.
    Element(u16, u32, u16),
    /// A set id.
    Set(u16),
}

/// All occurrences of one rule on one subject in one session.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The broken rule.
    pub rule: &'static Rule,
    /// Index of the session in the report.
    pub session: u32,
    /// What in the session.
    pub subject: Subject,
    /// Occurrences.
    pub count: u64,
    /// The first occurrences.
    pub examples: Vec<Example>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Examples a finding.
    pub examples: usize,
    /// Findings in all.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { examples: 3, findings: 10_000 }
    }
}

/// The findings of one run.
#[derive(Debug, Default)]
pub struct Findings {
    limits: Limits,
    list: Vec<Finding>,
    index: HashMap<(usize, u32, Subject), usize>,
    /// Occurrences counted for rules whose finding did not fit.
    overflow: u64,
}

impl Findings {
    /// An empty collection with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Counts one occurrence; `example` is only called while examples are still kept.
    pub fn note(
        &mut self,
        rule: &'static Rule,
        session: u32,
        subject: Subject,
        example: impl FnOnce() -> Example,
    ) {
        let key = (std::ptr::from_ref(rule) as usize, session, subject);
        let Some(&at) = self.index.get(&key) else {
            if self.list.len() >= self.limits.findings {
                self.overflow += 1;
                return;
            }
            self.index.insert(key, self.list.len());
            self.list.push(Finding { rule, session, subject, count: 1, examples: vec![example()] });
            return;
        };
        if let Some(finding) = self.list.get_mut(at) {
            finding.count += 1;
            if finding.examples.len() < self.limits.examples {
                finding.examples.push(example());
            }
        }
    }

    /// Adds `count` occurrences at once, with one example.
    pub fn note_many(
        &mut self,
        rule: &'static Rule,
        session: u32,
        subject: Subject,
        count: u64,
        example: Example,
    ) {
        if count == 0 {
            return;
        }
        self.note(rule, session, subject, || example);
        let key = (std::ptr::from_ref(rule) as usize, session, subject);
        if let Some(finding) = self.index.get(&key).and_then(|&at| self.list.get_mut(at)) {
            finding.count += count - 1;
        } else {
            self.overflow += count - 1;
        }
    }

    /// Findings, worst first, then by rule and session.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Finding> {
        self.list.sort_by(|a, b| {
            let order = b.rule.severity.cmp(&a.rule.severity);
            order
                .then_with(|| a.rule.id.cmp(b.rule.id))
                .then(a.session.cmp(&b.session))
                .then(a.subject.cmp(&b.subject))
        });
        self.list
    }

    /// The findings so far, in the order met.
    #[must_use]
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// Occurrences that did not fit into the findings kept.
    #[must_use]
    pub const fn overflow(&self) -> u64 {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::rules::RULES;

    fn example() -> Example {
        Example { place: Place::default(), saw: String::new(), wanted: String::new(), dump: None }
    }

    #[test]
    fn occurrences_are_counted_and_few_are_kept() {
        let mut findings = Findings::new(Limits { examples: 2, findings: 1 });
        for _ in 0..5 {
            findings.note(RULES[0], 0, Subject::Session, example);
        }
        findings.note(RULES[0], 1, Subject::Session, example);
        findings.note_many(RULES[0], 2, Subject::Session, 7, example());
        assert_eq!(findings.overflow(), 8);
        let list = findings.into_sorted();
        assert_eq!((list.len(), list[0].count, list[0].examples.len()), (1, 5, 2));
    }

    #[test]
    fn a_dump_holds_the_offending_octets_and_stays_in_the_message() {
        let message: Vec<u8> = (0..=255).collect();
        let dump = Dump::around(&message, 100, 4);
        assert_eq!(dump.start, 80);
        assert_eq!(
            &dump.octets[dump.mark as usize..][..dump.marked as usize],
            [100, 101, 102, 103]
        );
        let dump = Dump::around(&message, 250, 600);
        assert_eq!((dump.start + dump.mark, dump.marked), (250, 6));
        assert_eq!(Dump::around(&[], 9, 9), Dump::default());
        assert!(Dump::around(&[0; 4096], 0, 4096).octets.len() <= Dump::LONGEST);
    }
}
