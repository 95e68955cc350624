//! Records as JSON lines, to a file or standard output.
//!
//! In: prepared flows. Out: one object a line, octet for octet what `sixtap show` prints of the same record, because it is
//! made of the same octets by the same code ([`crate::ipfix::json`]). Options records are not written: what they tell
//! is in the names already. Invariant: a file ends with a whole line, whatever fails.

use super::destination::Files;
use super::preset::UserElement;
use super::record::{Records, Template};
use super::transport::{Output, TransportError, Unit, write};
use crate::capture::Timestamp;
use crate::ipfix::json::{self, Naming};
use crate::ipfix::{self, FieldSpecifier, RecordOctets};
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use ie_registry::{DataType, REVERSE_PEN};
use std::borrow::Cow;
use std::io::{Stdout, Write};

/// Lines are gathered up to so many octets before they are written.
const BUFFER: usize = 1 << 16;

/// Octets of the longest record there can be.
const LONGEST_RECORD: usize = 65_535;

/// A compressed file is written so often at least: what a crash may cost.
const COMPRESS_EVERY: u64 = 2_000_000_000;

/// Where lines go.
#[derive(Debug)]
enum Out {
    Standard(Stdout),
    File(Box<Output>),
}

/// JSON lines.
pub(super) struct JsonLines {
    out: Out,
    name: String,
    elements: Elements,
    record: Vec<u8>,
    lines: String,
    /// End of each line that is held, with packets and octets of its flow.
    held: Vec<(usize, u64, u64)>,
    /// When they were last written.
    flushed: Timestamp,
    problem: Option<String>,
    failing: bool,
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
    #[cfg(any(feature = "kafka", feature = "parquet"))]
    pub(super) fn of(plan: &super::exporter::ExportPlan) -> Self {
        Self { enterprise: plan.enterprise, user: plan.user_elements.clone() }
    }

    fn user(&self, field: &FieldSpecifier) -> Option<&UserElement> {
        let own = field.enterprise == self.enterprise;
        self.user.iter().find(|element| own && element.id == field.id)
    }
}

impl JsonLines {
    /// To a file (or a file after the other), or to standard output.
    pub(super) fn open(
        files: Option<&Files>,
        enterprise: u32,
        user: &[UserElement],
    ) -> Result<Self, TransportError> {
        let (out, name) = match files {
            None => (Out::Standard(std::io::stdout()), "standard output".to_owned()),
            Some(files) => {
                let output = Output::create(files, Unit::Line)?;
                (Out::File(Box::new(output)), files.path.display().to_string())
            }
        };
        let elements = Elements { enterprise, user: user.to_vec() };
        Ok(Self::new(out, name, elements))
    }

    fn new(out: Out, name: String, elements: Elements) -> Self {
        Self {
            out,
            name,
            elements,
            record: vec![0; LONGEST_RECORD],
            lines: String::with_capacity(BUFFER + 4096),
            held: Vec::new(),
            flushed: Timestamp(0),
            problem: None,
            failing: false,
            counters: CollectorCounters { sessions: 1, ..CollectorCounters::default() },
        }
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
        let (packets, octets) = (flow.record.packets, flow.record.octets);
        let Some(length) = records.encode(index, flow, &mut self.record) else {
            self.counters.lost.encode += 1;
            return self.lose(packets, octets, now);
        };
        let Some(template) = records.templates().get(index) else { return };
        let context = Context { elements: &self.elements, templates: records.templates() };
        let record = RecordOctets { offset: 0, octets: &self.record[..length] };
        json::record(&context, &template.definition, record, &mut self.lines);
        self.lines.push('\n');
        self.held.push((self.lines.len(), packets, octets));
        if self.lines.len() >= BUFFER {
            self.flush(now);
        }
    }

    /// What time brings: lines that have waited long enough, the next file.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let (due, compresses) = match &self.out {
            Out::Standard(_) => (false, false),
            Out::File(output) => (output.due(now), output.compresses()),
        };
        if due || !compresses || now.since(self.flushed) >= COMPRESS_EVERY {
            self.flushed = now;
            self.flush(now);
        }
        if let Out::File(output) = &mut self.out
            && due
            && output.rotate(now)
        {
            self.counters.sessions += 1;
        }
    }

    /// Writes what is left, and gives the file its name.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.flush(now);
        if let Out::File(output) = &mut self.out {
            output.close();
        }
    }

    /// Writes the lines that are held.
    fn flush(&mut self, now: Timestamp) {
        let (done, failure) = self.out.write(self.lines.as_bytes());
        let mut whole = 0;
        for (end, packets, octets) in std::mem::take(&mut self.held) {
            if end <= done {
                whole = end;
                self.counters.sent += 1;
            } else {
                self.counters.lost.send += 1;
                self.lose(packets, octets, now);
            }
        }
        self.counters.octets += whole as u64;
        self.lines.clear();
        let Some(error) = failure else { return };
        if let Out::File(output) = &mut self.out {
            // Of a pipe it cannot be had.
            output.cut(done - whole);
        }
        if !self.failing {
            self.failing = true;
            self.problem = Some(format!("{}: {error}; records are lost", self.name));
        }
    }

    fn lose(&mut self, packets: u64, octets: u64, now: Timestamp) {
        let counters = &mut self.counters;
        counters.not_sent_packets = counters.not_sent_packets.wrapping_add(packets);
        counters.not_sent_octets = counters.not_sent_octets.wrapping_add(octets);
        if counters.first_lost == 0 {
            counters.first_lost = now.0;
        }
        counters.last_lost = now.0;
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.problem.take().or_else(|| match &mut self.out {
            Out::Standard(_) => None,
            Out::File(output) => output.take_problem(),
        })
    }
}

impl Out {
    fn write(&mut self, octets: &[u8]) -> (usize, Option<std::io::Error>) {
        match self {
            Self::File(output) => output.write(octets),
            Self::Standard(out) => {
                let (done, failure) = write(out, octets);
                (done, failure.or_else(|| out.flush().err()))
            }
        }
    }
}

impl std::fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonLines").field("name", &self.name).finish_non_exhaustive()
    }
}
