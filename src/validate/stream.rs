//! Messages in, report out: the whole of a validation from the stream alone.
//!
//! Comes in: messages with how they came. Goes out: a [`Report`].
//!
//! Must stay true: no message ends the run; sessions are bounded, and messages beyond the bound are counted.

use super::finding::{Findings, Limits as Kept, Subject};
use super::report::Report;
use super::rules::{sequence as sequence_rules, template as template_rules};
use super::sequence::Track;
use super::session::{Facts, Session};
use crate::collect::{Anomaly, Collector, Event, Header, Limits, Message, Transport, Version};
use std::collections::HashMap;

/// Sessions examined at most: an exporter and domain each.
const SESSIONS: usize = 4096;

/// Holds a stream of messages against the rules.
#[derive(Debug)]
pub struct Validator {
    collector: Collector,
    examiner: Examiner,
}

#[derive(Debug)]
struct Examiner {
    sessions: Vec<Session>,
    index: HashMap<(u32, Version, u32), usize>,
    /// Sequence numbers of whole Transport Sessions, whatever the domain.
    across: HashMap<u32, Track>,
    current: usize,
    findings: Findings,
    /// Messages of sessions beyond the bound.
    passed_over: u64,
}

impl Validator {
    /// A validator that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits, kept: Kept) -> Self {
        Self {
            collector: Collector::new(limits, ie_registry::SIXTAP_DEFAULT_PEN),
            examiner: Examiner {
                sessions: Vec::new(),
                index: HashMap::new(),
                across: HashMap::new(),
                current: usize::MAX,
                findings: Findings::new(kept),
                passed_over: 0,
            },
        }
    }

    /// Takes one message.
    pub fn message(&mut self, transport: &Transport, octets: &[u8]) {
        self.message_with(transport, octets, &mut |_| {});
    }

    /// Takes one message and shows its events to `also` too.
    pub fn message_with(
        &mut self,
        transport: &Transport,
        octets: &[u8],
        also: &mut dyn FnMut(&Event<'_>),
    ) {
        let Self { collector, examiner } = self;
        collector.message(transport, octets, &mut |event| {
            also(&event);
            examiner.event(&event);
        });
    }

    /// Octets that are no message: the reader went on behind them.
    pub fn noise(&mut self, transport: &Transport, anomaly: Anomaly) {
        let version = Version::Unknown;
        let message = Message {
            transport,
            session: u32::MAX,
            version,
            header: Header::default(),
            octets: &[],
        };
        self.examiner.noise(&message, &anomaly);
    }

    /// A stream has ended or a peer has closed: its templates are void.
    pub fn end_of_session(&mut self, transport: &Transport) {
        self.collector.end_of_session(transport);
    }

    /// Messages taken so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.examiner.sessions.iter().map(|session| session.facts.messages).sum()
    }

    /// Judges what can only be judged at the end.
    #[must_use]
    pub fn finish(self) -> Report {
        self.examiner.finish()
    }
}

impl Examiner {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Message(message) = event {
            self.begin(message);
            return;
        }
        let Some(session) = self.sessions.get_mut(self.current) else { return };
        let findings = &mut self.findings;
        match event {
            Event::Message(_) => {}
            Event::Record(record) => session.record(record, findings),
            Event::Template { message, offset, template, change } => {
                session.template(message, *offset, template, *change, findings);
            }
            Event::Withdrawal { message, id, known, .. } => {
                session.withdrawal(message, *id, *known);
            }
            Event::Set { message, set } => session.set(message, set, findings),
            Event::Anomaly { message, anomaly } => session.anomaly(message, anomaly, findings),
            Event::End { message, end } => {
                let content = session.end(message, *end, findings);
                let sequence = message.header.sequence;
                let facts = &session.facts;
                let track = self.across.entry(message.session).or_default();
                track.message(sequence, content, |expected| {
                    facts.example(format!(
                        "{sequence} where {expected} would follow the domain before"
                    ))
                });
            }
        }
    }

    fn begin(&mut self, message: &Message<'_>) {
        let key = (message.session, message.version, message.header.domain);
        let next = self.sessions.len();
        let index = match self.index.get(&key) {
            Some(&index) => index,
            None if next >= SESSIONS => {
                self.passed_over += 1;
                self.current = usize::MAX;
                return;
            }
            None => {
                self.index.insert(key, next);
                self.sessions.push(Session::new(next as u32, message));
                next
            }
        };
        self.current = index;
        if let Some(session) = self.sessions.get_mut(index) {
            session.message(message, &mut self.findings);
        }
    }

    /// Counts noise for the session that came the same way last, or for one of its own.
    fn noise(&mut self, message: &Message<'_>, anomaly: &Anomaly) {
        let transport = message.transport;
        let same = |session: &Session| {
            let facts = &session.facts;
            (facts.transport, facts.exporter, facts.collector)
                == (transport.protocol, transport.exporter, transport.collector)
        };
        let known = self.sessions.iter().rposition(same);
        if known.is_none() {
            self.begin(message);
        }
        let index = known.unwrap_or(self.current);
        if let Some(session) = self.sessions.get_mut(index) {
            session.anomaly(message, anomaly, &mut self.findings);
        }
    }

    fn finish(mut self) -> Report {
        self.templates_elsewhere();
        self.one_sequence_for_all();
        for session in &mut self.sessions {
            session.finish(&mut self.findings);
        }
        let facts: Vec<Facts> = self.sessions.into_iter().map(|session| session.facts).collect();
        Report::new(facts, self.findings, self.passed_over)
    }

    /// Data Sets without a template: is it in another session of the same exporter?
    fn templates_elsewhere(&mut self) {
        let mut notes = Vec::new();
        for session in &self.sessions {
            for (id, sets, example) in session.missing_templates() {
                let facts = &session.facts;
                let other = self.sessions.iter().find(|other| {
                    other.index != session.index
                        && other.facts.version == facts.version
                        && other.facts.exporter.map(|a| a.ip()) == facts.exporter.map(|a| a.ip())
                        && facts.exporter.is_some()
                        && other.facts.all_templates().any(|t| t.view.template == id)
                });
                let mut example = example.clone();
                let rule = match other {
                    Some(other) => {
                        example.saw = format!(
                            "{sets} Data Sets {id}; template {id} came from {}",
                            other.facts.name()
                        );
                        &template_rules::OTHER_SESSION
                    }
                    None => {
                        example.saw =
                            format!("{sets} Data Sets {id}, no template {id} in the whole input");
                        &template_rules::MISSING
                    }
                };
                notes.push((rule, session.index, id, sets, example));
            }
        }
        for (rule, index, id, sets, example) in notes {
            self.findings.note_many(rule, index, Subject::Template(id), sets, example);
        }
    }

    /// Sequence numbers that run on over all domains of a Transport Session, and in none of them.
    fn one_sequence_for_all(&mut self) {
        for (&transport_session, track) in &self.across {
            let domains =
                self.sessions.iter_mut().filter(|s| s.facts.transport_session == transport_session);
            let mut domains: Vec<&mut Session> = domains.collect();
            let Some(version) = domains.first().map(|session| session.facts.version) else {
                continue;
            };
            let (fits, steps) = track.votes_for_right(version);
            let within: (u64, u64) = domains.iter().fold((0, 0), |sum, session| {
                let (fits, steps) = session.facts.sequence.votes_for_right(version);
                (sum.0 + fits, sum.1 + steps)
            });
            let one =
                domains.len() > 1 && steps >= 5 && fits * 5 >= steps * 4 && within.0 * 2 < within.1;
            if !one {
                continue;
            }
            for session in &mut domains {
                let saw = format!(
                    "{fits} of {steps} numbers follow from the domain before, {} of {} within a domain",
                    within.0, within.1
                );
                let example = session.facts.example(saw);
                self.findings.note(
                    &sequence_rules::ACROSS_DOMAINS,
                    session.index,
                    Subject::Session,
                    || example,
                );
                // The numbers of each domain alone are then no evidence of anything else.
                session.facts.sequence = Track::default();
            }
        }
    }
}
