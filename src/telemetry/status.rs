//! What the status page and `sixtap top` show, as JSON.
//!
//! Counters as they are, no rates: who looks twice has those. Every loss is one line with its cause in words.

use super::reading::{Reading, Traffic};
use super::{CollectorCounters, WorkerReading};
use serde::{Deserialize, Serialize};

/// A probe at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version that runs.
    pub version: String,
    /// When this was read, milliseconds since 1970.
    pub time: u64,
    /// When the probe started, milliseconds since 1970.
    pub started: u64,
    /// What is wrong with the probe itself; empty when it is healthy.
    pub problems: Vec<String>,
    /// Frames given to the meter.
    pub frames: u64,
    /// Flow records begun.
    pub flows_begun: u64,
    /// Flow records ended.
    pub flows_ended: u64,
    /// Flows in the tables.
    pub flows: u64,
    /// Flows the tables have room for.
    pub capacity: u64,
    /// Frames and records lost, whatever the cause.
    pub lost: u64,
    /// What was lost, by cause.
    pub losses: Vec<Loss>,
    /// Frames that carry nothing that could be metered, by reason.
    pub ignored: Vec<Loss>,
    /// What the packets were.
    pub traffic: Traffic,
    /// Fragments metered without ports because their first never came.
    pub fragments_orphaned: u64,
    /// Fragments metered without ports because a bound was reached.
    pub fragments_overflow: u64,
    /// Worker by worker.
    pub workers: Vec<Worker>,
    /// Collector by collector.
    pub collectors: Vec<Collector>,
}

/// One cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Cause, in words.
    pub cause: String,
    /// Frames, or records.
    pub count: u64,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// What to call it, as `eth1 queue 0`.
    pub name: String,
    /// How frames come.
    pub mode: String,
    /// Frames given to the meter.
    pub frames: u64,
    /// IP octets metered.
    pub octets: u64,
    /// Frames lost before the meter.
    pub lost: u64,
    /// Flows in the table.
    pub flows: u64,
    /// Flows the table has room for.
    pub capacity: u64,
    /// Milliseconds since it last published.
    pub silent: u64,
    /// Whether it has ended.
    pub ended: bool,
}

/// One collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collector {
    /// Its URL.
    pub name: String,
    /// Flow records made for it.
    pub records: u64,
    /// Flow records sent.
    pub sent: u64,
    /// Flow records that wait.
    pub held: u64,
    /// Flow records lost.
    pub lost: u64,
    /// Messages sent.
    pub messages: u64,
    /// Octets sent.
    pub octets: u64,
    /// Transport Sessions begun.
    pub sessions: u64,
    /// When a record was last lost, milliseconds since 1970; 0 if none was.
    pub last_lost: u64,
}

impl Status {
    /// Of a reading.
    #[must_use]
    pub fn new(reading: &Reading) -> Self {
        let ledger = &reading.ledger;
        let capture = &ledger.capture;
        let mut losses = Vec::new();
        let mut loss = |cause: &str, count| {
            if count > 0 {
                losses.push(Loss { cause: cause.to_owned(), count });
            }
        };
        loss("interface: no buffer", capture.nic_missed);
        loss("interface: NIC full", capture.nic_fifo);
        loss("interface: too long", capture.nic_over);
        loss("interface: dropped by driver or kernel", capture.nic_dropped);
        loss("XDP: redirect failed", capture.program_failed);
        loss("receive ring full: worker too slow", capture.ring_full);
        loss("fill ring empty: no free buffer", capture.fill_empty);
        loss("dropped by the socket", capture.dropped);
        loss("invalid descriptors", capture.invalid);
        loss("packet socket ring full", capture.kernel_dropped);
        loss("queue to the exporter full", ledger.flows.lost_queue);
        for (name, counters) in &ledger.collectors {
            loss(&format!("{name}: record longer than a message"), counters.lost.encode);
            loss(&format!("{name}: queue full"), counters.lost.queue);
            loss(&format!("{name}: not sent"), counters.lost.send);
        }
        let ignored = ledger.parse.ignored.iter().filter(|(_, count)| *count > 0);
        let ignored = ignored
            .map(|(reason, count)| Loss { cause: reason.to_string(), count: *count })
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: reading.time / 1_000_000,
            started: reading.started / 1_000_000,
            problems: reading.problems(),
            frames: capture.delivered,
            flows_begun: ledger.flows.created,
            flows_ended: ledger.flows.ended(),
            flows: ledger.flows.live,
            capacity: reading.workers.iter().map(|worker| worker.capacity).sum(),
            lost: ledger.lost(),
            losses,
            ignored,
            traffic: reading.traffic(),
            fragments_orphaned: ledger.flows.fragments_orphaned,
            fragments_overflow: ledger.flows.fragments_overflow,
            workers: reading.workers.iter().map(Worker::new).collect(),
            collectors: ledger
                .collectors
                .iter()
                .map(|(name, counters)| Collector::new(name, counters))
                .collect(),
        }
    }
}

impl Worker {
    fn new(reading: &WorkerReading) -> Self {
        let capture = &reading.capture;
        let traffic = &reading.traffic;
        Self {
            name: reading.name.clone(),
            mode: reading.mode.clone(),
            frames: capture.delivered,
            octets: traffic.ipv4_octets + traffic.ipv6_octets,
            lost: capture.lost(),
            flows: reading.flows.live,
            capacity: reading.capacity,
            silent: u64::try_from(reading.silent.as_millis()).unwrap_or(u64::MAX),
            ended: reading.ended,
        }
    }
}

impl Collector {
    fn new(name: &str, counters: &CollectorCounters) -> Self {
        Self {
            name: name.to_owned(),
            records: counters.records,
            sent: counters.sent,
            held: counters.held(),
            lost: counters.lost.total(),
            messages: counters.messages,
            octets: counters.octets,
            sessions: counters.sessions,
            last_lost: counters.last_lost / 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lost_frame_and_record_stands_in_one_line() {
        let reading = super::super::metrics::tests::numbered();
        let status = Status::new(&reading);
        assert!(status.losses.len() > 10);
        assert_eq!(status.losses.iter().map(|loss| loss.count).sum::<u64>(), reading.ledger.lost());
        assert_eq!(status.lost, reading.ledger.lost());
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let status = Status::new(&super::super::metrics::tests::numbered());
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
