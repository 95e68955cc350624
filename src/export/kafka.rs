//! Records into a Kafka topic, through librdkafka.
//!
//! In: flows. Out: Kafka messages: a record each as JSON, or IPFIX Messages that each carry the Templates they need, so
//! that a consumer may begin anywhere. Both directions of a conversation have one key, so they come to one partition.
//! Invariants: librdkafka's queue is bounded, and what it does not take is counted; a record is `sent` when a broker has
//! acknowledged it.

use super::books;
use super::exporter::ExportPlan;
use super::json::{Context, Elements};
use super::options::{self, OptionsPlan, Statistics};
use super::record::{Records, Template};
use super::session::Intervals;
use super::sink::{KafkaFormat, KafkaTopic};
use super::transport::{Outcome, Tally, TransportError};
use crate::capture::Timestamp;
use crate::ipfix::{MessageBuilder, RecordOctets, Refused, json};
use crate::meter::flow::{FinishedFlow, Key};
use crate::telemetry::CollectorCounters;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Octets of the longest record there can be.
const LONGEST_RECORD: usize = 65_535;
/// Octets of an IPFIX Message: far below what brokers take (1 MB).
const MESSAGE: usize = 16_384;
/// IPFIX Messages in the making: flows are spread over so many by their key. A power of two.
const LANES: usize = 64;
/// Messages after which delivery reports are looked at.
const POLL_EVERY: u32 = 256;
/// How long the reports of what was given up may take.
const PURGED: Duration = Duration::from_secs(1);
/// Over a file, longest wait for room in the queue before a record is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the user may say otherwise (`?NAME=VALUE`): librdkafka's properties.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "sixtap"),
    // Retries make no duplicates.
    ("enable.idempotence", "true"),
    ("compression.codec", "lz4"),
    ("linger.ms", "100"),
    ("message.timeout.ms", "60000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "131072"),
    // As Java's clients: other producers put the same key into the same partition.
    ("partitioner", "murmur2_random"),
];

/// End of a problem by which records are lost.
const LOST: &str = "; records are lost";

/// What became of messages, as librdkafka tells it.
#[derive(Default)]
struct Reports {
    settled: Mutex<Outcome>,
    problem: Mutex<Option<String>>,
}

/// What a Kafka message holds.
struct Parcel {
    length: usize,
    tally: Tally,
}

impl Reports {
    fn take(&self) -> Outcome {
        std::mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn complain(&self, problem: String) {
        let mut place = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        *place = place.take().or(Some(problem));
    }

    /// As [`Self::complain`], but a loss is told also behind what else went wrong before it.
    fn complain_of_loss(&self, error: &KafkaError) {
        let mut place = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(match place.take() {
            Some(problem) if problem.ends_with(LOST) => problem,
            Some(problem) => format!("{problem}; {error}{LOST}"),
            None => format!("{error}{LOST}"),
        });
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka {level:?} {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complain(format!("{error}: {reason}"));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Parcel>;

    fn delivery(&self, result: &DeliveryResult<'_>, parcel: Box<Parcel>) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => settled.sent.add(parcel.length, parcel.tally),
            Err((error, _)) => {
                settled.refused.add(parcel.length, parcel.tally);
                drop(settled);
                self.complain_of_loss(error);
            }
        }
    }
}

/// An IPFIX Message in the making.
struct Lane {
    builder: MessageBuilder,
    /// Which Templates it has already, by their place.
    has: Vec<bool>,
    tally: Tally,
}

/// A topic.
pub(super) struct Kafka {
    producer: BaseProducer<Reports>,
    topic: KafkaTopic,
    elements: Elements,
    record: Vec<u8>,
    line: String,
    lanes: Vec<Lane>,
    domain: u32,
    /// Data Records given to librdkafka, modulo 2³²: one count for the whole topic.
    sequence: u32,
    intervals: Intervals,
    options: Arc<OptionsPlan>,
    optioned: Timestamp,
    flushed: Timestamp,
    patient: bool,
    unpolled: u32,
    pub(super) counters: CollectorCounters,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Kafka {
    /// Connects in the background: brokers need not be there yet.
    pub(super) fn open(
        topic: &KafkaTopic,
        plan: &ExportPlan,
        options: Arc<OptionsPlan>,
    ) -> Result<Self, TransportError> {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in DEFAULTS {
            config.set(*name, *value);
        }
        for (name, value) in &topic.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &topic.brokers);
        let wrong = |error: KafkaError| TransportError::Sink {
            name: topic.name(),
            problem: match &error {
                KafkaError::ClientConfig(_, what, name, value) => {
                    format!("{what} ({name}={value}); the names are librdkafka's")
                }
                other => other.to_string(),
            },
        };
        let producer = config.create_with_context(Reports::default()).map_err(wrong)?;
        let lanes = match topic.format {
            KafkaFormat::Json => 0,
            KafkaFormat::Ipfix => LANES,
        };
        Ok(Self {
            producer,
            topic: topic.clone(),
            elements: Elements::of(plan),
            record: vec![0; LONGEST_RECORD],
            line: String::new(),
            lanes: (0..lanes)
                .map(|_| Lane {
                    builder: MessageBuilder::new(MESSAGE),
                    has: Vec::new(),
                    tally: Tally::default(),
                })
                .collect(),
            domain: plan.domain,
            sequence: 0,
            intervals: plan.intervals,
            options,
            optioned: Timestamp(0),
            flushed: Timestamp(0),
            patient: plan.patient,
            unpolled: 0,
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
        let key = key(&flow.record.key);
        match self.topic.format {
            KafkaFormat::Json => {
                let templates = records.templates();
                let Some(template) = templates.get(index) else { return };
                let mut line = std::mem::take(&mut self.line);
                line.clear();
                let context = Context { elements: &self.elements, templates };
                let record = RecordOctets { offset: 0, octets: &self.record[..length] };
                json::record(&context, &template.definition, record, &mut line);
                self.produce(Some(&key), line.as_bytes(), tally, now);
                self.line = line;
            }
            KafkaFormat::Ipfix => {
                let lane = lane_of(&key);
                if !self.add(records.templates(), lane, index, length) {
                    self.send_lane(lane, now);
                    if !self.add(records.templates(), lane, index, length) {
                        return books::lose_encode(&mut self.counters, tally, now);
                    }
                }
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.tally += tally;
                }
            }
        }
    }

    /// Adds the record that was just made to a lane, with the Templates that it needs; false if there is no room.
    fn add(&mut self, templates: &[Template], lane: usize, index: usize, length: usize) -> bool {
        let Some(lane) = self.lanes.get_mut(lane) else { return false };
        if lane.builder.is_empty() {
            lane.builder.begin(self.domain, 0);
            lane.has.clear();
        }
        lane.has.resize(templates.len(), false);
        // Templates of list entries first: records refer to them.
        for (place, template) in templates.iter().enumerate() {
            let needed = place == index || template.of_list;
            if needed && !lane.has[place] {
                if lane.builder.template(&template.definition).is_err() {
                    return false;
                }
                lane.has[place] = true;
            }
        }
        let Some(template) = templates.get(index) else { return false };
        let place = lane.builder.reserve(template.definition.id(), length);
        place.map(|place| place.copy_from_slice(&self.record[..length])).is_ok()
    }

    fn send_lane(&mut self, number: usize, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let tally = std::mem::take(&mut lane.tally);
        if tally.flows == 0 {
            return;
        }
        let mut octets = lane.builder.finish(now.seconds() as u32).to_vec();
        lane.builder.begin(self.domain, 0);
        lane.has.clear();
        self.number(&mut octets, tally);
        self.produce(Some(&(number as u16).to_be_bytes()), &octets, tally, now);
    }

    /// Fills in the sequence number.
    fn number(&mut self, octets: &mut [u8], tally: Tally) {
        if let Some(place) = octets.get_mut(8..12) {
            place.copy_from_slice(&self.sequence.to_be_bytes());
        }
        self.sequence = self.sequence.wrapping_add(tally.records() as u32);
    }

    /// Gives a message to librdkafka.
    fn produce(&mut self, key: Option<&[u8]>, payload: &[u8], tally: Tally, now: Timestamp) {
        let began = Instant::now();
        let mut parcel = Box::new(Parcel { length: payload.len(), tally });
        loop {
            let mut record = BaseRecord::with_opaque_to(&self.topic.topic, parcel).payload(payload);
            if let Some(key) = key {
                record = record.key(key);
            }
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record))
                    if self.patient && began.elapsed() < PATIENCE =>
                {
                    parcel = record.delivery_opaque;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, record)) => {
                    let full =
                        matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                    let mut outcome = Outcome::default();
                    let account = if full { &mut outcome.queue_full } else { &mut outcome.refused };
                    account.add(record.delivery_opaque.length, tally);
                    books::settle(&mut self.counters, &outcome, now);
                    self.producer.context().complain_of_loss(&error);
                    break;
                }
            }
        }
        self.unpolled += 1;
        if self.unpolled >= POLL_EVERY {
            self.poll(now);
        }
    }

    /// Takes delivery reports into the books.
    fn poll(&mut self, now: Timestamp) {
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        let outcome = self.producer.context().take();
        books::settle(&mut self.counters, &outcome, now);
    }

    /// What time brings.
    pub(super) fn tick(&mut self, now: Timestamp, statistics: &Statistics) {
        if now.since(self.flushed) >= nanoseconds(self.intervals.hold) {
            self.flush(now);
        }
        let due = self.optioned == Timestamp(0)
            || now.since(self.optioned) >= nanoseconds(self.intervals.options);
        if due {
            self.send_options(now, statistics);
        }
        self.poll(now);
    }

    fn flush(&mut self, now: Timestamp) {
        self.flushed = now;
        for lane in 0..self.lanes.len() {
            self.send_lane(lane, now);
        }
    }

    /// What options tell, in messages of their own: types, names, sampling, statistics. JSON has the names in itself.
    fn send_options(&mut self, now: Timestamp, statistics: &Statistics) {
        self.optioned = now;
        if self.topic.format == KafkaFormat::Json {
            return;
        }
        let plan = Arc::clone(&self.options);
        let mut letter = Letter::new(self, now);
        for element in plan.own_elements() {
            letter.add(|builder| plan.type_record(builder, element));
        }
        for interface in plan.interfaces() {
            letter.add(|builder| plan.interface_record(builder, interface));
            letter.add(|builder| plan.vrf_record(builder, interface));
        }
        letter.add(|builder| plan.domain_record(builder));
        if let Some(sampling) = plan.sampling() {
            letter.add(|builder| options::selector_record(builder, sampling));
            letter.add(options::sequence_record);
            letter.add(|builder| options::sampling_record(builder, plan.domain(), sampling));
            letter.add(|builder| options::selected_record(builder, statistics));
        }
        let counters = letter.kafka.counters;
        letter.add(|builder| plan.metering_record(builder, &counters));
        letter.add(|builder| plan.ignored_record(builder, statistics, now));
        letter.add(|builder| plan.not_sent_record(builder, &counters, statistics, now));
        letter.send();
    }

    /// Nothing more comes: everything that is left goes to librdkafka.
    pub(super) fn close(&mut self, now: Timestamp, statistics: &Statistics) {
        self.flush(now);
        self.send_options(now, statistics);
    }

    /// Waits, at most `patience`, for brokers to take what they have not; whether some of it still waits.
    pub(super) fn drain(&mut self, now: Timestamp, patience: Duration) -> bool {
        // Without the time that messages are otherwise gathered for.
        let waits = self.producer.flush(patience).is_err();
        self.poll(now);
        waits
    }

    /// The end: gives up what no broker has taken.
    pub(super) fn finish(&mut self, now: Timestamp) {
        if self.producer.in_flight_count() > 0 {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            // The reports of what was purged.
            let _ = self.producer.flush(PURGED);
        }
        self.poll(now);
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        let problem = &self.producer.context().problem;
        let problem = problem.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(format!("collector {}: {problem}", self.topic.name()))
    }
}

/// Options records on their way into messages that carry their Templates.
struct Letter<'a> {
    kafka: &'a mut Kafka,
    builder: MessageBuilder,
    now: Timestamp,
}

impl<'a> Letter<'a> {
    fn new(kafka: &'a mut Kafka, now: Timestamp) -> Self {
        let mut letter = Self { builder: MessageBuilder::new(MESSAGE), kafka, now };
        letter.begin();
        letter
    }

    fn begin(&mut self) {
        self.builder.begin(self.kafka.domain, 0);
        for template in self.kafka.options.templates() {
            // All of them take some hundred octets.
            let _ = self.builder.template(&template);
            self.kafka.counters.templates += 1;
        }
    }

    fn add(&mut self, add: impl Fn(&mut MessageBuilder) -> Result<(), Refused>) {
        if add(&mut self.builder) == Err(Refused::Full) {
            self.send();
            self.begin();
            let _ = add(&mut self.builder);
        }
    }

    fn send(&mut self) {
        let tally = Tally { options: self.builder.records().into(), ..Tally::default() };
        if tally.options == 0 {
            return;
        }
        let mut octets = self.builder.finish(self.now.seconds() as u32).to_vec();
        self.kafka.number(&mut octets, tally);
        self.kafka.produce(None, &octets, tally, self.now);
    }
}

/// The Kafka key: addresses and ports with the same endpoint first in both directions, then the protocol; 37 octets.
fn key(key: &Key) -> [u8; 37] {
    let (turned, _) = key.turned();
    let mut octets = [0; 37];
    octets[..16].copy_from_slice(&turned.source_octets());
    octets[16..32].copy_from_slice(&turned.destination_octets());
    octets[32..34].copy_from_slice(&turned.source_port().to_be_bytes());
    octets[34..36].copy_from_slice(&turned.destination_port().to_be_bytes());
    octets[36] = turned.protocol();
    octets
}

/// Which message a key's records go into: FNV-1a (Fowler, Noll and Vo), folded.
fn lane_of(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ hash >> 32) as usize % LANES
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
