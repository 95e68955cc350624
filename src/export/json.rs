//! Records as JSON lines, to a file or standard output.
//!
//! In: prepared flows. Out: one object a line, octet for octet what `sixtap show` prints of the same record, because it is
//! made of the same octets by the same code ([`crate::ipfix::json`]). Options records are not written: what they tell
//! is in the names already. Invariant: a file ends with a whole line, whatever fails.

use super::books;
use super::destination::Files;
use super::exporter::ExportPlan;
use super::preset::UserElement;
use super::record::{Records, Template};
use super::transport::{Background, Outcome, Tally, TransportError, Unit, Units};
use crate::capture::Timestamp;
use crate::ipfix::json::{self, Naming};
use crate::ipfix::{self, FieldSpecifier, RecordOctets};
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use ie_registry::{DataType, REVERSE_PEN};
use std::borrow::Cow;
use std::time::Duration;

/// Lines are gathered up to so many octets before they are written.
const BUFFER: usize = 1 << 16;

/// Octets of the longest record there can be.
const LONGEST_RECORD: usize = 65_535;

/// JSON lines.
pub(super) struct JsonLines {
    out: Background,
    elements: Elements,
    record: Vec<u8>,
    /// Lines that are held.
    lines: String,
    /// Length and contents of each.
    held: Vec<(usize, Tally)>,
    pub(super) counters: CollectorCounters,
}

/// Names and types of the elements of our own records.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    pub(super) enterprise: u32,
    pub(super) user: Vec<UserElement>,
}

/// [`Elements`] with the Templates so far.
pub(super) struct Context<'a> {
    pub(super) elements: &'a Elements,
    pub(super) templates: &'a [Template],
}

impl Naming for Context<'_> {
    fn name(&self, field: &FieldSpecifier, _scope: bool) -> Cow<'static, str> {
        match field.element(self.elements.enterprise) {
            Some(element) if matches!(field.enterprise, 0 | REVERSE_PEN) => element.name.into(),
            Some(element) => format!("sixtap:{}", element.name).into(),
            None => match self.elements.user(field) {
                Some(element) => format!("sixtap:{}", element.name).into(),
                None => format!("{}/{}", field.enterprise, field.id).into(),
            },
        }
    }

    fn data_type(&self, field: &FieldSpecifier, _scope: bool) -> Option<DataType> {
        let registered = field.element(self.elements.enterprise).map(|element| element.data_type);
        registered.or_else(|| self.elements.user(field).map(|element| element.data_type))
    }

    fn template(&self, id: u16) -> Option<&ipfix::Template> {
        self.templates.iter().map(|template| &template.definition).find(|t| t.id() == id)
    }
}

impl Elements {
    pub(super) fn of(plan: &ExportPlan) -> Self {
        Self { enterprise: plan.enterprise, user: plan.user_elements.clone() }
    }

    fn user(&self, field: &FieldSpecifier) -> Option<&UserElement> {
        let own = field.enterprise == self.enterprise;
        self.user.iter().find(|element| own && element.id == field.id)
    }
}

impl JsonLines {
    /// To a file (or a file after the other), or to standard output.
    pub(super) fn open(files: Option<&Files>, plan: &ExportPlan) -> Result<Self, TransportError> {
        let out = match files {
            None => Background::standard(plan.patient)?,
            Some(files) => Background::create(files, Unit::Line, plan.patient)?,
        };
        Ok(Self {
            out,
            elements: Elements::of(plan),
            record: vec![0; LONGEST_RECORD],
            lines: String::with_capacity(BUFFER + 4096),
            held: Vec::new(),
            counters: CollectorCounters { sessions: 1, ..CollectorCounters::default() },
        })
    }

    /// Takes a flow that `records` has prepared for template `index`.
    pub(super) fn push(
        &mut self,
        records: &mut Records,
        index: usize,
        flow: &FinishedFlow<'_>,
        now: Timestamp,
    ) {
        self.counters.records += 1;
        let tally = Tally::of(flow);
        let Some(length) = records.encode(index, flow, &mut self.record) else {
            return books::lose_encode(&mut self.counters, tally, now);
        };
        let Some(template) = records.templates().get(index) else { return };
        let context = Context { elements: &self.elements, templates: records.templates() };
        let record = RecordOctets { offset: 0, octets: &self.record[..length] };
        let start = self.lines.len();
        json::record(&context, &template.definition, record, &mut self.lines);
        self.lines.push('\n');
        self.held.push((self.lines.len() - start, tally));
        if self.lines.len() >= BUFFER {
            self.flush(now);
        }
    }

    /// What time brings: lines that have waited long enough, the next file.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let due = self.out.due(now);
        if self.out.wants(now) || due {
            self.flush(now);
        }
        self.counters.sessions += u64::from(due && self.out.next(now));
    }

    /// Waits, at most `patience`, until all lines are written; whether some still wait.
    pub(super) fn drain(&mut self, now: Timestamp, patience: Duration) -> bool {
        self.flush(now);
        let mut outcome = Outcome::default();
        let waits = self.out.waits(patience, &mut outcome);
        self.settle(outcome, now);
        waits
    }

    /// The end: the file gets its name. What is not written after `patience` is lost.
    pub(super) fn finish(&mut self, now: Timestamp, patience: Duration) {
        self.flush(now);
        let mut outcome = Outcome::default();
        self.out.finish(patience, &mut outcome);
        self.settle(outcome, now);
    }

    /// Gives the lines that are held to whoever writes them.
    fn flush(&mut self, now: Timestamp) {
        let mut outcome = Outcome::default();
        // The same buffers, as text here and as octets there.
        let octets = std::mem::take(&mut self.lines).into_bytes();
        let mut units = Units { octets, each: std::mem::take(&mut self.held) };
        self.out.submit(&mut units, &mut outcome);
        self.lines = String::from_utf8(units.octets).unwrap_or_default();
        self.held = units.each;
        self.settle(outcome, now);
    }

    fn settle(&mut self, mut outcome: Outcome, now: Timestamp) {
        // Lines are no messages.
        for account in [&mut outcome.sent, &mut outcome.refused, &mut outcome.queue_full] {
            account.messages = 0;
        }
        books::settle(&mut self.counters, &outcome, now);
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.out.take_problem()
    }
}

impl std::fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonLines").field("out", &self.out).finish_non_exhaustive()
    }
}
