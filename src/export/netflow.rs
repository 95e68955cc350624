//! NetFlow v9 over UDP (RFC 3954), for collectors that know nothing else.
//!
//! In: flows. Out: whole Export Packets to the transport. Invariants: the sequence number of a packet is the number of
//! packets made before it; a Template goes out in an earlier packet than the first record that needs it; every FlowSet is
//! padded to four octets and none is empty; time is an argument.
//!
//! What the protocol lacks is left out ([`super::preset::Preset::netflow9`]). Its clock, `sysUpTime`, has 32 bits of milliseconds: 49
//! days. It is moved on long before it overflows, and stands for whole seconds in each header, so that a collector that
//! takes it from `UNIX secs` finds the times of flows exact to the millisecond.

use super::books;
use super::exporter::ExportPlan;
use super::options::{OptionsPlan, old_algorithm};
use super::record::{Records, Template};
use super::session::Intervals;
use super::transport::{Burst, Outcome, Tally, Transport};
use crate::capture::Timestamp;
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use ie_registry::ie;
use std::sync::Arc;
use std::time::Duration;

/// Octets of the packet header (RFC 3954 section 5.1).
const HEADER: usize = 20;
/// Octets in front of the records of a FlowSet: its ID and length.
const FLOW_SET: usize = 4;
/// FlowSet of Templates.
const TEMPLATES: u16 = 0;
/// FlowSet of Options Templates.
const OPTIONS: u16 = 1;

/// Template IDs of the Options Templates, and their scopes (RFC 3954 section 6.1).
mod options {
    pub(super) const STATISTICS: u16 = 1024;
    pub(super) const SAMPLING: u16 = 1025;
    pub(super) const INTERFACES: u16 = 1026;
    /// `samplingInterval` without its algorithm: nfdump 1.7.1 passes over the two together.
    pub(super) const INTERVAL: u16 = 1027;
    /// Scope: the exporter as a whole.
    pub(super) const SYSTEM: u16 = 1;
    /// Scope: an interface.
    pub(super) const INTERFACE: u16 = 2;
}

/// Octets of an interface's name and description: there is no variable length.
const NAME: u16 = 32;
const DESCRIPTION: u16 = 64;

/// Flows may have begun before the exporter: the clock starts so much earlier, milliseconds.
const BEFORE: u64 = 3_600_000;
/// `sysUpTime` goes no further than this, milliseconds; half of what it can.
const FURTHEST: u64 = 1 << 31;

/// One packet in the making.
#[derive(Debug)]
struct Packet {
    octets: Vec<u8>,
    /// Most octets.
    limit: usize,
    /// Where the open FlowSet begins, and its ID.
    open: Option<(usize, u16)>,
    /// Records and Templates: the header's count.
    count: u16,
    tally: Tally,
}

impl Packet {
    fn new(limit: usize) -> Self {
        let octets = vec![0; HEADER];
        Self { octets, limit, open: None, count: 0, tally: Tally::default() }
    }

    /// Adds a record (or a Template) of `length` octets that `write` fills; false if there is no room.
    fn add(&mut self, set: u16, record: &[u8]) -> bool {
        let opens = self.open.is_none_or(|(_, open)| open != set);
        let padding = if opens { self.padding() } else { 0 };
        let header = if opens { padding + FLOW_SET } else { 0 };
        // Three octets may be needed to pad it.
        if self.octets.len() + header + record.len() + 3 > self.limit || self.count == u16::MAX {
            return false;
        }
        if opens {
            self.close();
            self.open = Some((self.octets.len(), set));
            self.octets.extend_from_slice(&set.to_be_bytes());
            self.octets.extend_from_slice(&[0, 0]);
        }
        self.octets.extend_from_slice(record);
        self.count += 1;
        true
    }

    fn padding(&self) -> usize {
        self.open.map_or(0, |(start, _)| (self.octets.len() - start).wrapping_neg() % 4)
    }

    fn close(&mut self) {
        let padding = self.padding();
        if let Some((start, _)) = self.open.take() {
            self.octets.resize(self.octets.len() + padding, 0);
            let length = (self.octets.len() - start) as u16;
            self.octets[start + 2..start + FLOW_SET].copy_from_slice(&length.to_be_bytes());
        }
    }

    fn clear(&mut self) {
        self.octets.truncate(HEADER);
        self.open = None;
        self.count = 0;
        self.tally = Tally::default();
    }
}

/// NetFlow v9 to one collector.
#[derive(Debug)]
pub(super) struct Netflow9 {
    transport: Transport,
    records: Records,
    record: Vec<u8>,
    packet: Packet,
    domain: u32,
    intervals: Intervals,
    options: Arc<OptionsPlan>,
    /// Packets made, modulo 2³².
    sequence: u32,
    /// What `sysUpTime` counts from, milliseconds since 1970; 0 before the first flow.
    boot: u64,
    /// Latest end of a flow: what the time is in a capture file.
    latest: Timestamp,
    /// Templates that the collector has.
    announced: usize,
    introduced: bool,
    refreshed: Timestamp,
    refreshed_messages: u64,
    optioned: Timestamp,
    flushed: Timestamp,
    pub(super) counters: CollectorCounters,
}

impl Netflow9 {
    /// With the preset of `plan`, but for what v9 cannot carry.
    pub(super) fn new(transport: Transport, plan: &ExportPlan, options: Arc<OptionsPlan>) -> Self {
        let limit = transport.message_limit();
        let (preset, domain, intervals) = (plan.preset.netflow9(), plan.domain, plan.intervals);
        Self {
            records: Records::new(&preset, 0, plan.active.as_secs(), plan.idle.as_secs()),
            record: vec![0; limit],
            packet: Packet::new(limit),
            transport,
            domain,
            intervals,
            options,
            sequence: 0,
            boot: 0,
            latest: Timestamp(0),
            announced: 0,
            introduced: false,
            refreshed: Timestamp(0),
            refreshed_messages: 0,
            optioned: Timestamp(0),
            flushed: Timestamp(0),
            counters: CollectorCounters { sessions: 1, ..CollectorCounters::default() },
        }
    }

    /// Takes a flow.
    pub(super) fn push(&mut self, flow: &FinishedFlow<'_>, now: Timestamp) {
        self.counters.records += 1;
        self.latest = self.latest.max(flow.record.last);
        if self.boot == 0 {
            let begin = flow.record.first.milliseconds().min(now.milliseconds());
            self.set_boot(begin.saturating_sub(BEFORE));
        }
        let index = self.records.prepare(flow);
        if index >= self.announced || !self.introduced {
            self.announce(now);
        }
        let tally = Tally::of(flow);
        let id = self.records.templates().get(index).map(|template| template.definition.id());
        let length = self.records.encode(index, flow, &mut self.record);
        let (Some(id), Some(length)) = (id, length) else {
            return books::lose_encode(&mut self.counters, tally, now);
        };
        let record = &self.record[..length];
        let mut added = self.packet.add(id, record);
        if !added {
            self.send(now);
            added = self.packet.add(id, &self.record[..length]);
        }
        if added {
            self.packet.tally += tally;
        } else {
            books::lose_encode(&mut self.counters, tally, now);
        }
    }

    fn set_boot(&mut self, boot: u64) {
        self.boot = boot;
        self.records.set_boot(boot);
    }

    /// Sends the packet in the making.
    fn send(&mut self, now: Timestamp) {
        if self.packet.count == 0 {
            return;
        }
        self.packet.close();
        let seconds = self.header_second(now);
        let uptime = (seconds * 1_000).saturating_sub(self.boot);
        let header = &mut self.packet.octets[..HEADER];
        header[0..2].copy_from_slice(&9u16.to_be_bytes());
        header[2..4].copy_from_slice(&self.packet.count.to_be_bytes());
        header[4..8].copy_from_slice(&(uptime as u32).to_be_bytes());
        header[8..12].copy_from_slice(&(seconds as u32).to_be_bytes());
        header[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        header[16..20].copy_from_slice(&self.domain.to_be_bytes());
        let octets = &self.packet.octets;
        let mut outcome = Outcome::default();
        let tallies = [self.packet.tally];
        let burst = Burst { octets, segment: octets.len(), tallies: &tallies };
        self.transport.send(burst, now, &mut outcome);
        // A packet that could not be sent leaves a gap: the collector is to see that it lacks something.
        self.sequence = self.sequence.wrapping_add(1);
        books::settle(&mut self.counters, &outcome, now);
        self.packet.clear();
        if uptime > FURTHEST {
            // The next packet's clock has begun later: times stay within 32 bits, and each packet is right in itself.
            self.set_boot((seconds * 1_000).saturating_sub(BEFORE));
        }
    }

    /// The second that stands in the header: now, rounded up so that no flow ends behind it. Of flows out of a capture
    /// file it is the file's time: from now they would be further away than the clock reaches.
    fn header_second(&self, now: Timestamp) -> u64 {
        let time = if now.milliseconds().saturating_sub(self.boot) <= FURTHEST || self.boot == 0 {
            now.max(self.latest)
        } else {
            self.latest
        };
        time.0.div_ceil(1_000_000_000)
    }

    /// Sends the Templates that the collector does not have yet; before all others what introduces the session.
    #[cold]
    fn announce(&mut self, now: Timestamp) {
        if !self.introduced {
            self.introduced = true;
            self.introduce(now);
        }
        let from = self.announced;
        self.announced = self.records.templates().len();
        let templates: Vec<Vec<u8>> =
            self.records.templates()[from.min(self.announced)..].iter().map(template).collect();
        for template in &templates {
            self.add(TEMPLATES, template, 0, now);
            self.counters.templates += 1;
        }
        // Templates stand in a packet before the records that need them.
        self.send(now);
    }

    fn introduce(&mut self, now: Timestamp) {
        let options = Arc::clone(&self.options);
        let system = (options::SYSTEM, 4);
        let totals = [
            (ie::EXPORTED_OCTET_TOTAL_COUNT, 8),
            (ie::EXPORTED_MESSAGE_TOTAL_COUNT, 8),
            (ie::EXPORTED_FLOW_RECORD_TOTAL_COUNT, 8),
        ];
        let sampling = [(ie::SAMPLING_INTERVAL, 4), (ie::SAMPLING_ALGORITHM, 1)];
        let names = [(ie::INTERFACE_NAME, NAME), (ie::INTERFACE_DESCRIPTION, DESCRIPTION)];
        let mut templates = vec![options_template(options::STATISTICS, system, &totals)];
        if options.sampling().is_some() {
            templates.push(options_template(options::SAMPLING, system, &sampling));
            templates.push(options_template(options::INTERVAL, system, &sampling[..1]));
        }
        if !options.interfaces().is_empty() {
            let interface = (options::INTERFACE, 4);
            templates.push(options_template(options::INTERFACES, interface, &names));
        }
        for template in &templates {
            // Each in a FlowSet of its own: nfdump reads no more than the first of one.
            self.packet.close();
            self.add(OPTIONS, template, 0, now);
            self.counters.templates += 1;
        }
        self.send(now);
        if let Some(sampling) = options.sampling() {
            let mut record = self.domain.to_be_bytes().to_vec();
            record.extend_from_slice(&sampling.one_in.to_be_bytes());
            record.push(old_algorithm(sampling.method));
            self.add(options::SAMPLING, &record, 1, now);
            record.truncate(8);
            self.add(options::INTERVAL, &record, 1, now);
        }
        for interface in options.interfaces() {
            let mut record = interface.index.to_be_bytes().to_vec();
            fixed(&mut record, &interface.name, NAME);
            fixed(&mut record, &interface.description, DESCRIPTION);
            self.add(options::INTERFACES, &record, 1, now);
        }
        self.send(now);
    }

    /// Adds to the packet in the making; sends it first if it is full. `options`: Data Records of options in it.
    fn add(&mut self, set: u16, record: &[u8], options: u64, now: Timestamp) {
        if !self.packet.add(set, record) {
            self.send(now);
            // A Template longer than a packet is left out; none of ours is so long.
            if !self.packet.add(set, record) {
                return;
            }
        }
        self.packet.tally.options += options;
    }

    /// What time brings: held records, Templates and options again.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let mut outcome = Outcome::default();
        if self.transport.progress(now, &mut outcome) {
            (self.introduced, self.announced) = (false, 0);
        }
        books::settle(&mut self.counters, &outcome, now);
        if now.since(self.flushed) >= nanoseconds(self.intervals.hold) {
            self.flushed = now;
            self.send(now);
        }
        if self.boot == 0 {
            // Nothing to tell anybody before the first flow: its time says what the clock starts from.
            return;
        }
        self.refresh(now);
        if self.optioned == Timestamp(0)
            || now.since(self.optioned) >= nanoseconds(self.intervals.options)
        {
            self.send_statistics(now);
        }
    }

    /// Templates and options again by time and by packets (RFC 3954 section 9).
    fn refresh(&mut self, now: Timestamp) {
        if self.refreshed == Timestamp(0) {
            self.refreshed = now;
        }
        let packets = self.counters.messages.saturating_sub(self.refreshed_messages);
        let due = now.since(self.refreshed) >= nanoseconds(self.intervals.templates)
            || packets >= self.intervals.template_messages;
        if due {
            self.refreshed = now;
            (self.introduced, self.announced) = (false, 0);
            self.announce(now);
            self.refreshed_messages = self.counters.messages;
            self.packet.limit = self.transport.message_limit();
            self.record.resize(self.packet.limit, 0);
        }
    }

    fn send_statistics(&mut self, now: Timestamp) {
        self.optioned = now;
        // What is held goes first, so that the totals are those before the packet with the totals.
        self.send(now);
        let mut record = self.domain.to_be_bytes().to_vec();
        for total in [self.counters.octets, self.counters.messages, self.counters.sent] {
            record.extend_from_slice(&total.to_be_bytes());
        }
        self.add(options::STATISTICS, &record, 1, now);
        self.send(now);
    }

    /// Nothing more comes: everything that is left goes to the transport.
    pub(super) fn close(&mut self, now: Timestamp) {
        if self.boot == 0 {
            self.set_boot(now.milliseconds().saturating_sub(BEFORE));
        }
        if !self.introduced {
            self.announce(now);
        }
        self.send(now);
    }

    /// Sends what waits, for `patience` at most; whether something still waits that may go.
    pub(super) fn drain(&mut self, now: Timestamp, patience: Duration) -> bool {
        let mut outcome = Outcome::default();
        let waits = self.transport.empty(now, patience, &mut outcome);
        books::settle(&mut self.counters, &outcome, now);
        waits
    }

    /// The last statistics, and the end.
    pub(super) fn finish(&mut self, now: Timestamp, patience: Duration) {
        self.send_statistics(now);
        let mut outcome = Outcome::default();
        self.transport.finish(now, patience, &mut outcome);
        books::settle(&mut self.counters, &outcome, now);
    }

    /// Whether packets wait that could go before long.
    pub(super) fn waits(&self) -> bool {
        self.transport.waits()
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.transport.take_problem()
    }
}

/// A Template (RFC 3954 section 5.2).
fn template(template: &Template) -> Vec<u8> {
    let fields = template.definition.fields();
    let mut octets = template.definition.id().to_be_bytes().to_vec();
    octets.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    for field in fields {
        octets.extend_from_slice(&field.id.to_be_bytes());
        octets.extend_from_slice(&field.length.to_be_bytes());
    }
    octets
}

/// An Options Template (RFC 3954 section 6.1): its lengths are in octets.
fn options_template(id: u16, scope: (u16, u16), fields: &[(u16, u16)]) -> Vec<u8> {
    let mut octets = Vec::new();
    let lengths = [id, 4, 4 * fields.len() as u16];
    let specifiers = fields.iter().flat_map(|(id, length)| [*id, *length]);
    for value in lengths.into_iter().chain([scope.0, scope.1]).chain(specifiers) {
        octets.extend_from_slice(&value.to_be_bytes());
    }
    octets
}

/// Text in a field of fixed length: cut, or filled up with zeros.
fn fixed(record: &mut Vec<u8>, text: &str, length: u16) {
    let end = record.len() + usize::from(length);
    let mut kept = text.len().min(length.into());
    while !text.is_char_boundary(kept) {
        kept -= 1;
    }
    record.extend_from_slice(&text.as_bytes()[..kept]);
    record.resize(end, 0);
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
