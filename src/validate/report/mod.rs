//! What a validation found, and the forms it is told in.
//!
//! Comes in: sessions and findings. Goes out: a [`Report`], and from it text for a terminal ([`terminal`]), JSON
//! ([`json`]), SARIF and JUnit for pipelines ([`sarif`], [`junit`]) and a web page ([`html`]).

pub mod html;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod terminal;

use super::coverage::{Coverage, coverage};
use super::finding::{Finding, Findings, Severity, Subject};
use super::matching::Comparison;
use super::session::Facts;
use std::collections::BTreeMap;

/// The outcome of a validation.
#[derive(Debug)]
pub struct Report {
    /// What was read, in the user's words.
    pub input: String,
    /// The sessions.
    pub sessions: Vec<Facts>,
    /// The findings, worst first.
    pub findings: Vec<Finding>,
    /// Occurrences for which there was no room.
    pub overflow: u64,
    /// Messages of sessions beyond the bound.
    pub passed_over: u64,
    /// What the exporters let a collector see of IPv6.
    pub coverage: Vec<Coverage>,
    /// Against true flows.
    pub comparison: Option<Comparison>,
    /// Another exporter's report, for comparison.
    pub other: Option<Box<Report>>,
    /// What the reader of the input says of it: packets that were no messages, and the like.
    pub remarks: Vec<String>,
}

/// Occurrences by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Findings that are errors, and their occurrences.
    pub errors: (u64, u64),
    /// Findings that are warnings, and their occurrences.
    pub warnings: (u64, u64),
    /// Findings that are notes, and their occurrences.
    pub notes: (u64, u64),
}

impl Report {
    /// A report of these sessions and findings.
    #[must_use]
    pub fn new(sessions: Vec<Facts>, findings: Findings, passed_over: u64) -> Self {
        let overflow = findings.overflow();
        let findings = findings.into_sorted();
        let coverage = coverage(&sessions, &findings, &|_| None);
        Self {
            input: String::new(),
            sessions,
            findings,
            overflow,
            passed_over,
            coverage,
            comparison: None,
            other: None,
            remarks: Vec::new(),
        }
    }

    /// Adds the comparison with true flows, and marks the coverage by it.
    pub fn compare(&mut self, comparison: Comparison) {
        self.coverage = coverage(&self.sessions, &self.findings, &|need| comparison.of_need(need));
        self.comparison = Some(comparison);
    }

    /// Occurrences by severity.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for finding in &self.findings {
            let entry = match finding.rule.severity {
                Severity::Error => &mut counts.errors,
                Severity::Warning => &mut counts.warnings,
                Severity::Note => &mut counts.notes,
            };
            entry.0 += 1;
            entry.1 += finding.count;
        }
        counts
    }

    /// Whether there is a finding of level error, from the stream or from the comparison, or nothing to find one in.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.is_empty()
            || self.counts().errors.0 > 0
            || self.comparison.as_ref().is_some_and(Comparison::failed)
    }

    /// Whether there was no message at all: nothing is exported, and nothing is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total(|facts| facts.messages) == 0
    }

    /// The outcome in words, and how bad it is; `None`: not bad.
    #[must_use]
    pub fn verdict(&self) -> (Option<Severity>, &'static str) {
        if self.is_empty() {
            (Some(Severity::Error), "holds no export message")
        } else if self.failed() {
            (Some(Severity::Error), "has errors")
        } else if self.counts().warnings.0 > 0 {
            (Some(Severity::Warning), "has warnings")
        } else {
            (None, "is clean")
        }
    }

    /// Whether the findings with this rule id are there.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.findings.iter().any(|finding| finding.rule.id == id)
    }

    /// Name of the session with this index.
    #[must_use]
    pub fn session_name(&self, index: u32) -> String {
        self.sessions.get(index as usize).map_or_else(|| format!("session {index}"), Facts::name)
    }

    /// What was not read or not kept, in words; empty if everything was.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        let mut lines = self.remarks.clone();
        let unread = self.total(|facts| facts.unreadable_sets);
        if unread > 0 {
            lines.push(format!("{} without a template: not read", plural(unread, "Data Set")));
        }
        for (limit, (value, times)) in self.limits_reached() {
            lines.push(format!(
                "the limit of {} {limit} was reached {}: not everything beyond was read",
                grouped(value as u64),
                plural(times, "time")
            ));
        }
        if self.overflow + self.passed_over > 0 {
            lines.push(format!(
                "not kept: {} and {} of further sessions",
                plural(self.overflow, "occurrence"),
                plural(self.passed_over, "message")
            ));
        }
        lines
    }

    /// Limits of the collector that were reached, over all sessions: by name, the limit and how often.
    #[must_use]
    pub fn limits_reached(&self) -> BTreeMap<&'static str, (usize, u64)> {
        let mut all = BTreeMap::new();
        for (&limit, &(value, times)) in self.sessions.iter().flat_map(|facts| &facts.limited) {
            all.entry(limit).or_insert((value, 0)).1 += times;
        }
        all
    }

    /// Sum over the sessions.
    #[must_use]
    pub fn total(&self, of: impl Fn(&Facts) -> u64) -> u64 {
        self.sessions.iter().map(of).sum()
    }
}

/// What a finding is about, in words: empty for a whole session.
#[must_use]
pub fn subject(subject: Subject) -> String {
    match subject {
        Subject::Session => String::new(),
        Subject::Template(id) => format!("template {id}"),
        Subject::Element(template, enterprise, id) => {
            format!("template {template}, element {enterprise}/{id}")
        }
        Subject::Set(id) => format!("set {id}"),
    }
}

/// A number with thousands apart: `1 234 567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 finding`, `2 findings`.
#[must_use]
pub fn plural(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{} {word}s", grouped(number)) }
}
