//! One Transport Session with one collector (RFC 7011 sections 3, 8 and 10): records into messages.
//!
//! In: prepared flows and Templates. Out: whole messages to the transport. Invariants: the sequence number of a message
//! is the number of Data Records sent before it in the session, modulo 2³²; a Template goes out in an earlier message
//! than the first record that needs it; there is no empty Set and no empty message; time is an argument.
//!
//! Records of one Template gather in a *lane*: messages of one Set and one length, so that a burst of them is one system
//! call and no record pays for a Set header of its own. What is left in the lanes at a tick goes out in mixed messages.

use super::books;
use super::options::{self, OptionsPlan, Statistics, Window};
use super::record::{Records, Template};
use super::transport::{Burst, Outcome, SEQUENCE, Tally, Transport};
use crate::capture::Timestamp;
use crate::ipfix::{MessageBuilder, MessageHeader, Refused, SetHeader};
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use std::sync::Arc;
use std::time::Duration;

/// Message header and Set header.
const HEADERS: usize = MessageHeader::LENGTH + SetHeader::LENGTH;

/// When things are said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Templates over UDP (RFC 7011 section 8.4). Collectors forget them after three times that.
    pub templates: Duration,
    /// Templates over UDP, too, after this many messages.
    pub template_messages: u64,
    /// Statistics; with them type records, keys and names over UDP.
    pub options: Duration,
    /// Longest time that a record waits for its message to be full.
    pub hold: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            templates: Duration::from_secs(30),
            template_messages: 4_096,
            options: Duration::from_secs(30),
            hold: Duration::from_secs(1),
        }
    }
}

/// Records of one Template on their way into messages.
#[derive(Debug, Default)]
struct Lane {
    /// Complete messages back to back, then the one in the making; headers are filled in when they leave.
    octets: Vec<u8>,
    /// Where the message in the making begins.
    start: usize,
    /// Where the next record goes.
    at: usize,
    /// What the complete messages hold.
    complete: Vec<Tally>,
    /// What the message in the making holds.
    open: Tally,
    /// Packets and octets of each of its records.
    parts: Vec<(u64, u64)>,
}

/// A Transport Session.
#[derive(Debug)]
pub(super) struct Session {
    transport: Transport,
    domain: u32,
    intervals: Intervals,
    options: Arc<OptionsPlan>,
    /// Data Records sent in this session, modulo 2³².
    sequence: u32,
    lanes: Vec<Lane>,
    /// Messages of a lane's burst.
    burst: usize,
    limit: usize,
    /// Most octets of a message, whatever the transport takes.
    most: usize,
    /// Templates of the preset that the collector has.
    announced: usize,
    /// Options Templates, type records and names were sent.
    introduced: bool,
    builder: MessageBuilder,
    refreshed: Timestamp,
    refreshed_messages: u64,
    optioned: Timestamp,
    flushed: Timestamp,
    /// Of the flows in this file; `None`: it is no file, or its window has been told.
    window: Option<Window>,
    pub(super) counters: CollectorCounters,
}

impl Session {
    pub(super) fn new(
        transport: Transport,
        domain: u32,
        intervals: Intervals,
        options: Arc<OptionsPlan>,
        most: usize,
    ) -> Self {
        let limit = transport.message_limit().min(most);
        let started = u64::from(!matches!(transport, Transport::Connection(_)));
        Self {
            burst: transport.burst(),
            window: matches!(transport, Transport::File(_)).then(Window::default),
            transport,
            domain,
            intervals,
            options,
            sequence: 0,
            lanes: Vec::new(),
            limit,
            most,
            announced: 0,
            introduced: false,
            builder: MessageBuilder::new(limit),
            refreshed: Timestamp(0),
            refreshed_messages: 0,
            optioned: Timestamp(0),
            flushed: Timestamp(0),
            counters: CollectorCounters { sessions: started, ..CollectorCounters::default() },
        }
    }

    /// Takes a flow that `records` has prepared for template `index`.
    #[inline]
    pub(super) fn push(
        &mut self,
        records: &mut Records,
        index: usize,
        flow: &FinishedFlow<'_>,
        now: Timestamp,
    ) {
        self.counters.records += 1;
        if index >= self.announced {
            self.announce(records.templates(), now);
        }
        let (limit, burst) = (self.limit, self.burst);
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let mut room = lane.room(limit, burst);
        let mut written = records.encode(index, flow, room);
        if written.is_none() && lane.open.flows > 0 {
            self.complete(records.templates(), index, now);
            let Some(lane) = self.lanes.get_mut(index) else { return };
            room = lane.room(limit, burst);
            written = records.encode(index, flow, room);
        }
        let Some(length) = written else {
            return books::lose_encode(&mut self.counters, Tally::of(flow), now);
        };
        let Some((lane, template)) = self.lanes.get_mut(index).zip(records.templates().get(index))
        else {
            return;
        };
        lane.at += length;
        lane.open += Tally::of(flow);
        lane.parts.push((flow.record.packets, flow.record.octets));
        if let Some(window) = &mut self.window {
            window.add(flow);
        }
        // Where all records are of one length the message is full when no other fits.
        if template.fixed() && lane.at - lane.start + length > limit {
            self.complete(records.templates(), index, now);
        }
    }

    /// Completes the message in the making of a lane, and sends the burst when it is full.
    fn complete(&mut self, templates: &[Template], index: usize, now: Timestamp) {
        let burst = self.burst;
        let Some((lane, template)) = self.lanes.get_mut(index).zip(templates.get(index)) else {
            return;
        };
        lane.complete.push(std::mem::take(&mut lane.open));
        lane.parts.clear();
        lane.start = lane.at;
        // Messages of variable length cannot be one burst: their lengths differ.
        if lane.complete.len() == burst || !template.fixed() {
            self.send_lane(template.definition.id(), index, now);
        }
    }

    /// Sends the complete messages of a lane; what is in the making stays.
    fn send_lane(&mut self, id: u16, index: usize, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let segment = match lane.complete.len() {
            0 => return,
            count => lane.start / count,
        };
        let mut sequence = self.sequence;
        for (message, tally) in lane.octets.chunks_mut(segment).zip(&lane.complete) {
            let header = MessageHeader {
                length: segment as u16,
                export_time: now.seconds() as u32,
                sequence,
                domain: self.domain,
            };
            let set = SetHeader { id, length: (segment - MessageHeader::LENGTH) as u16 };
            message[..MessageHeader::LENGTH].copy_from_slice(&header.encode());
            message[MessageHeader::LENGTH..HEADERS].copy_from_slice(&set.encode());
            sequence = sequence.wrapping_add(tally.records() as u32);
        }
        self.sequence = sequence;
        let octets = &lane.octets[..lane.start];
        let mut outcome = Outcome::default();
        let burst = Burst { octets, segment, tallies: &lane.complete };
        self.transport.send(burst, now, &mut outcome);
        lane.take_sent();
        self.settle(outcome, now);
    }

    /// Puts what happened to messages into the books.
    fn settle(&mut self, outcome: Outcome, now: Timestamp) {
        self.sequence = self.sequence.wrapping_sub(outcome.unnumbered as u32);
        books::settle(&mut self.counters, &outcome, now);
    }

    /// Sends the templates that the collector does not have yet; before all others what introduces the session.
    #[cold]
    fn announce(&mut self, templates: &[Template], now: Timestamp) {
        if !self.introduced {
            self.introduce(now);
        }
        let from = self.announced;
        self.announced = templates.len();
        self.lanes.resize_with(templates.len(), Lane::default);
        self.send_templates(templates, from, now);
        self.send_keys(templates, from, now);
        if self.options.anonymises() {
            self.send_anonymised(templates, from, now);
        }
    }

    fn send_templates(&mut self, templates: &[Template], from: usize, now: Timestamp) {
        for template in templates.iter().skip(from) {
            self.message(now, |builder| builder.template(&template.definition));
            self.counters.templates += 1;
        }
        self.send_message(now);
    }

    /// Options Templates, and the options records that do not change.
    fn introduce(&mut self, now: Timestamp) {
        self.introduced = true;
        for template in self.options.templates() {
            self.message(now, |builder| builder.template(&template));
            self.counters.templates += 1;
        }
        if self.window.is_some() {
            self.message(now, |builder| builder.template(&options::window_template()));
            self.counters.templates += 1;
        }
        // Templates stand in a message before the records that need them.
        self.send_message(now);
        let options = Arc::clone(&self.options);
        for element in options.own_elements() {
            self.message(now, |builder| options.type_record(builder, element));
        }
        for interface in options.interfaces() {
            self.message(now, |builder| options.interface_record(builder, interface));
            self.message(now, |builder| options.vrf_record(builder, interface));
        }
        self.message(now, |builder| options.domain_record(builder));
        if let Some(sampling) = options.sampling() {
            let domain = options.domain();
            self.message(now, |builder| options::selector_record(builder, sampling));
            self.message(now, options::sequence_record);
            self.message(now, |builder| options::sampling_record(builder, domain, sampling));
        }
        self.send_message(now);
    }

    /// Which fields of the templates from number `from` on hold other addresses than those seen (RFC 6235).
    fn send_anonymised(&mut self, templates: &[Template], from: usize, now: Timestamp) {
        let options = Arc::clone(&self.options);
        for template in templates.iter().skip(from).filter(|template| !template.of_list) {
            let id = template.definition.id();
            for field in template.definition.fields() {
                self.message(now, |builder| options.anonymised_record(builder, id, field));
            }
        }
        self.send_message(now);
    }

    /// Flow Keys of the templates from number `from` on (RFC 7011 section 4.4).
    fn send_keys(&mut self, templates: &[Template], from: usize, now: Timestamp) {
        let options = Arc::clone(&self.options);
        for template in templates.iter().skip(from).filter(|template| !template.of_list) {
            self.message(now, |builder| options.keys_record(builder, &template.definition));
        }
        self.send_message(now);
    }

    /// Adds to the message in the builder; sends it first if it is full.
    fn message(
        &mut self,
        now: Timestamp,
        add: impl Fn(&mut MessageBuilder) -> Result<(), Refused>,
    ) {
        self.open_builder();
        if add(&mut self.builder) == Err(Refused::Full) {
            self.send_message(now);
            self.open_builder();
            // A Template or options record that does not fit into a message is left out; none of ours is so long.
            let _ = add(&mut self.builder);
        }
    }

    /// Sends what is in the builder as options records and Templates.
    fn send_message(&mut self, now: Timestamp) {
        let options = u64::from(self.builder.records());
        self.send_builder(Tally { options, ..Tally::default() }, now);
    }

    fn send_builder(&mut self, tally: Tally, now: Timestamp) {
        if self.builder.is_empty() {
            return;
        }
        self.sequence = self.sequence.wrapping_add(tally.records() as u32);
        let octets = self.builder.finish(now.seconds() as u32);
        let mut outcome = Outcome::default();
        let burst = Burst { octets, segment: octets.len(), tallies: &[tally] };
        self.transport.send(burst, now, &mut outcome);
        self.settle(outcome, now);
        self.builder.begin(self.domain, self.sequence);
    }

    /// Sends whatever the lanes hold.
    pub(super) fn flush(&mut self, templates: &[Template], now: Timestamp) {
        self.flushed = now;
        // A mixed message is numbered when it begins, so all others go first.
        for (index, template) in templates.iter().enumerate() {
            if !template.fixed() && self.lanes.get(index).is_some_and(|lane| lane.open.flows > 0) {
                self.complete(templates, index, now);
            }
            self.send_lane(template.definition.id(), index, now);
        }
        let mut tally = Tally::default();
        for (index, template) in templates.iter().enumerate() {
            let Some(lane) = self.lanes.get_mut(index).filter(|lane| lane.open.flows > 0) else {
                continue;
            };
            let mut lane = std::mem::take(lane);
            self.move_to_builder(&lane, template, &mut tally, now);
            lane.start = 0;
            lane.at = 0;
            lane.open = Tally::default();
            lane.parts.clear();
            if let Some(place) = self.lanes.get_mut(index) {
                *place = lane;
            }
        }
        self.send_builder(tally, now);
    }

    /// Moves the records of a message in the making into a mixed message, of whose records `tally` tells.
    fn move_to_builder(
        &mut self,
        lane: &Lane,
        template: &Template,
        tally: &mut Tally,
        now: Timestamp,
    ) {
        let length = template.minimum_length;
        let records = lane.octets[lane.start + HEADERS..lane.at].chunks(length);
        for (record, (packets, octets)) in records.zip(&lane.parts) {
            self.open_builder();
            let id = template.definition.id();
            if self.builder.reserve(id, length).map(|place| place.copy_from_slice(record)).is_err()
            {
                self.send_builder(std::mem::take(tally), now);
                self.open_builder();
                // A record that fitted into a lane's message fits into an empty one.
                let place = self.builder.reserve(id, length);
                let _ = place.map(|place| place.copy_from_slice(record));
            }
            *tally += Tally { flows: 1, options: 0, packets: *packets, octets: *octets };
        }
    }

    /// Numbers the message in the builder, if there is none in it yet.
    fn open_builder(&mut self) {
        if self.builder.is_empty() {
            self.builder.begin(self.domain, self.sequence);
        }
    }

    /// What time brings: held records, Templates and options again, reconnection.
    pub(super) fn tick(&mut self, records: &Records, now: Timestamp, statistics: &Statistics) {
        let templates = records.templates();
        if self.transport.ends(now) {
            // What was made in the time of this file belongs into it.
            self.flush(templates, now);
            self.tell_window(now);
            self.send_message(now);
        }
        let mut outcome = Outcome::default();
        let connected = self.transport.progress(now, &mut outcome);
        self.settle(outcome, now);
        if connected {
            self.begin_session(templates, now);
        }
        self.watch_path(templates, now);
        if self.transport.wants_trial(now) {
            self.introduced = false;
            self.announced = 0;
        }
        if self.announced < templates.len() || !self.introduced {
            self.announce(templates, now);
        }
        if now.since(self.flushed) >= nanoseconds(self.intervals.hold) {
            self.flush(templates, now);
        }
        self.refresh(templates, now);
        // At the start of a session, and from then on by time.
        if self.optioned == Timestamp(0)
            || now.since(self.optioned) >= nanoseconds(self.intervals.options)
        {
            self.send_statistics(now, statistics);
        }
    }

    /// Messages keep to what the path carries now: the kernel learns that from ICMP and forgets it after a while.
    fn watch_path(&mut self, templates: &[Template], now: Timestamp) {
        let limit = self.transport.message_limit().min(self.most);
        if limit != self.limit {
            self.flush(templates, now);
            self.transport.path_changed();
            self.limit = limit;
            self.builder = MessageBuilder::new(limit);
            self.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
        }
    }

    /// Templates and options again, over UDP, by time and by messages.
    fn refresh(&mut self, templates: &[Template], now: Timestamp) {
        if self.refreshed == Timestamp(0) {
            self.refreshed = now;
        }
        let messages = self.counters.messages.saturating_sub(self.refreshed_messages);
        let due = now.since(self.refreshed) >= nanoseconds(self.intervals.templates)
            || messages >= self.intervals.template_messages;
        if !due || !self.transport.unreliable() {
            return;
        }
        self.refreshed = now;
        self.introduced = false;
        self.announced = 0;
        self.announce(templates, now);
        self.refreshed_messages = self.counters.messages;
    }

    /// A connection has been made, or a file begun: numbers from 0, Templates first, then what was held.
    fn begin_session(&mut self, templates: &[Template], now: Timestamp) {
        let held = match &mut self.transport {
            Transport::Connection(connection) => connection.take_held(),
            Transport::Udp(_) | Transport::File(_) => Vec::new(),
        };
        self.sequence = 0;
        self.window = matches!(self.transport, Transport::File(_)).then(Window::default);
        self.counters.sessions += 1;
        self.introduced = false;
        self.announced = 0;
        self.optioned = Timestamp(0);
        self.announce(templates, now);
        self.send_again(held, now);
    }

    /// Sends messages of another session. Templates and options among them have been said in this one.
    fn send_again(&mut self, messages: Vec<(Vec<u8>, Tally)>, now: Timestamp) {
        for (mut octets, tally) in messages.into_iter().filter(|(_, tally)| tally.flows > 0) {
            octets[SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
            self.sequence = self.sequence.wrapping_add(tally.records() as u32);
            let mut outcome = Outcome::default();
            let burst = Burst { octets: &octets, segment: octets.len(), tallies: &[tally] };
            self.transport.send(burst, now, &mut outcome);
            self.settle(outcome, now);
        }
    }

    /// Everything that is held, for another collector of a group.
    pub(super) fn give_up(&mut self, records: &Records, now: Timestamp) -> Vec<(Vec<u8>, Tally)> {
        self.transport.hold(true);
        self.flush(records.templates(), now);
        let mut outcome = Outcome::default();
        let mut messages = self.transport.take_held(&mut outcome);
        self.settle(outcome, now);
        messages.retain(|(_, tally)| tally.flows > 0);
        self.counters.moved += messages.iter().map(|(_, tally)| tally.flows).sum::<u64>();
        messages
    }

    /// Takes what another collector of a group has given up.
    pub(super) fn take_over(
        &mut self,
        messages: Vec<(Vec<u8>, Tally)>,
        records: &Records,
        now: Timestamp,
    ) {
        let templates = records.templates();
        if self.announced < templates.len() || !self.introduced {
            self.announce(templates, now);
        }
        self.counters.records += messages.iter().map(|(_, tally)| tally.flows).sum::<u64>();
        self.send_again(messages, now);
    }

    /// Whether the collector is there, as far as can be known.
    pub(super) fn is_there(&self) -> bool {
        self.transport.is_there()
    }

    /// Whether flow records are to be held rather than sent to a collector that is away.
    pub(super) fn hold(&mut self, holding: bool) {
        self.transport.hold(holding);
    }

    /// Whether messages wait that could go before long.
    pub(super) fn waits(&self) -> bool {
        self.transport.waits()
    }

    /// The time window of the file (RFC 5655 section 8.1.2), once, behind its last flow.
    fn tell_window(&mut self, now: Timestamp) {
        if let Some(window) = self.window.take() {
            self.message(now, |builder| options::window_record(builder, window));
        }
    }

    fn send_statistics(&mut self, now: Timestamp, statistics: &Statistics) {
        self.optioned = now;
        let (options, counters) = (Arc::clone(&self.options), self.counters);
        self.message(now, |builder| options.metering_record(builder, &counters));
        self.message(now, |builder| options.ignored_record(builder, statistics, now));
        self.message(now, |builder| options.not_sent_record(builder, &counters, statistics, now));
        if options.sampling().is_some() {
            self.message(now, |builder| options::selected_record(builder, statistics));
        }
        self.send_message(now);
    }

    /// Nothing more comes: everything that is left goes to the transport.
    pub(super) fn close(&mut self, records: &Records, now: Timestamp) {
        let templates = records.templates();
        let mut outcome = Outcome::default();
        let made = matches!(&self.transport, Transport::Connection(there) if !there.is_connected())
            && self.transport.progress(now, &mut outcome);
        self.settle(outcome, now);
        if made {
            self.begin_session(templates, now);
        }
        if self.announced < templates.len() || !self.introduced {
            self.announce(templates, now);
        }
        self.flush(templates, now);
    }

    /// Sends what waits, for `patience` at most; whether something still waits that may go.
    pub(super) fn drain(&mut self, records: &Records, now: Timestamp, patience: Duration) -> bool {
        if let Transport::Connection(connection) = &mut self.transport
            && !connection.is_connected()
            && connection.wait_connected(now, patience)
        {
            self.begin_session(records.templates(), now);
        }
        let mut outcome = Outcome::default();
        let waits = self.transport.empty(now, patience, &mut outcome);
        self.settle(outcome, now);
        waits
    }

    /// The last statistics and the end of the session, after [`Self::close`] and [`Self::drain`]: messages are counted when
    /// they leave, so these statistics are of a session that has nothing left to send. Waits `patience` for them at most.
    pub(super) fn finish(&mut self, now: Timestamp, statistics: &Statistics, patience: Duration) {
        self.tell_window(now);
        self.send_statistics(now, statistics);
        let mut outcome = Outcome::default();
        self.transport.finish(now, patience, &mut outcome);
        self.settle(outcome, now);
    }

    /// Whether the session is over a connection that is not there yet; waits at most `patience` for it.
    pub(super) fn wait_connected(&mut self, records: &Records, now: Timestamp, patience: Duration) {
        let mut outcome = Outcome::default();
        if self.transport.progress(now, &mut outcome) {
            self.begin_session(records.templates(), now);
            return;
        }
        if let Transport::Connection(connection) = &mut self.transport
            && connection.wait_connected(now, patience)
        {
            self.begin_session(records.templates(), now);
        }
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.transport.take_problem()
    }
}

impl Lane {
    /// The octets for the next record of the message in the making, up to the end of the message.
    #[inline]
    fn room(&mut self, limit: usize, burst: usize) -> &mut [u8] {
        if self.at == self.start {
            if self.octets.len() < self.start + limit {
                self.octets.resize(burst * limit, 0);
            }
            self.at = self.start + HEADERS;
        }
        self.octets.get_mut(self.at..self.start + limit).unwrap_or_default()
    }

    /// Forgets the complete messages; the one in the making moves to the front.
    fn take_sent(&mut self) {
        self.octets.copy_within(self.start..self.at, 0);
        self.at -= self.start;
        self.start = 0;
        self.complete.clear();
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
