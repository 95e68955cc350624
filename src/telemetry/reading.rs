//! Everything a probe tells of itself at one moment, worker by worker.
//!
//! In: what workers and exporter last published. Out: the source of the metrics, the status page and `sixtap top`. A reading
//! of a running probe may be short of what is on its way between two counters; it never counts anything twice.

use super::{CaptureSide, FlowSide, Ledger, ParseSide};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Silence of a thread after which the probe is unhealthy. A worker publishes several times a second, with and without frames.
pub const STALLED: Duration = Duration::from_secs(5);

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// When it was taken: nanoseconds since 1970.
    pub time: u64,
    /// When the probe started: nanoseconds since 1970.
    pub started: u64,
    /// What each worker counted.
    pub workers: Vec<WorkerReading>,
    /// The sum of all workers, and what became of the records.
    pub ledger: Ledger,
    /// How long ago the exporter's thread last went round its loop.
    pub exporter_silent: Duration,
    /// Whether the exporter has ended, every worker having ended before it.
    pub exporter_ended: bool,
}

/// What one worker counted.
#[derive(Clone, Debug, Default)]
pub struct WorkerReading {
    /// What to call it, as `eth1 queue 0`.
    pub name: String,
    /// Interface, or the capture file.
    pub interface: String,
    /// Receive queues, as `0` or `0,2`; for packet sockets the number of the socket. Empty for a file.
    pub queue: String,
    /// How frames come: `zero-copy`, `copy`, `generic`, `packet-socket` or `file`.
    pub mode: String,
    /// Frames before the meter.
    pub capture: CaptureSide,
    /// Frames in the parser.
    pub parse: ParseSide,
    /// Packets in flows.
    pub flows: FlowSide,
    /// What the packets were.
    pub traffic: Traffic,
    /// Flows its table has room for.
    pub capacity: u64,
    /// Turns of its loop: grows as long as the worker advances.
    pub turns: u64,
    /// How long ago it last published.
    pub silent: Duration,
    /// Whether it has ended: its source is exhausted, or it was told to stop.
    pub ended: bool,
}

/// What the metered packets were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// IPv4 packets.
    pub ipv4_packets: u64,
    /// IPv6 packets.
    pub ipv6_packets: u64,
    /// IP octets of IPv4 packets.
    pub ipv4_octets: u64,
    /// IP octets of IPv6 packets.
    pub ipv6_octets: u64,
    /// IPv6 packets with at least one extension header.
    pub extended: u64,
    /// IPv6 packets by extension header. A packet with several headers counts for each of them.
    pub headers: Vec<(String, u64)>,
    /// Packets of which the chain was not walked to its end.
    pub cut: u64,
    /// IPv4 fragments.
    pub ipv4_fragments: u64,
    /// IPv6 fragments, but for atomic ones.
    pub ipv6_fragments: u64,
    /// IPv6 atomic fragments (RFC 6946).
    pub atomic_fragments: u64,
}

impl Traffic {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.ipv4_packets += other.ipv4_packets;
        self.ipv6_packets += other.ipv6_packets;
        self.ipv4_octets += other.ipv4_octets;
        self.ipv6_octets += other.ipv6_octets;
        self.extended += other.extended;
        self.cut += other.cut;
        self.ipv4_fragments += other.ipv4_fragments;
        self.ipv6_fragments += other.ipv6_fragments;
        self.atomic_fragments += other.atomic_fragments;
        for (name, count) in &other.headers {
            match self.headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += count,
                None => self.headers.push((name.clone(), *count)),
            }
        }
    }
}

impl Reading {
    /// The packets of all workers by what they were.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut sum = Traffic::default();
        for worker in &self.workers {
            sum.add(&worker.traffic);
        }
        sum
    }

    /// What is wrong with the probe itself, a line each; empty when it is healthy. Lost frames and absent collectors are not:
    /// a restart would not cure them.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for worker in &self.workers {
            if !worker.ended && worker.silent > STALLED {
                let seconds = worker.silent.as_secs();
                problems.push(format!("{} has not advanced for {seconds} s", worker.name));
            }
        }
        if !self.exporter_ended && self.exporter_silent > STALLED {
            let seconds = self.exporter_silent.as_secs();
            problems.push(format!("the exporter has not advanced for {seconds} s"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(silent: u64, ended: bool) -> Reading {
        let worker = WorkerReading {
            name: "eth1 queue 3".into(),
            silent: Duration::from_secs(silent),
            ended,
            ..WorkerReading::default()
        };
        Reading { workers: vec![WorkerReading::default(), worker], ..Reading::default() }
    }

    #[test]
    fn a_worker_that_does_not_advance_is_named() {
        assert!(reading(4, false).problems().is_empty());
        assert!(reading(3600, true).problems().is_empty(), "one that has ended need not advance");
        assert_eq!(reading(6, false).problems(), ["eth1 queue 3 has not advanced for 6 s"]);
    }

    #[test]
    fn an_exporter_that_does_not_advance_is_named() {
        let stalled = Reading { exporter_silent: Duration::from_secs(9), ..Reading::default() };
        assert_eq!(stalled.problems(), ["the exporter has not advanced for 9 s"]);
        assert!(Reading { exporter_ended: true, ..stalled }.problems().is_empty());
    }
}
