//! Snapshots of workers and exporter put together.

use super::exporting::ExportShared;
use super::worker::{ENDED, Shared, Snapshot, wall_clock};
use crate::capture::Timestamp;
use crate::meter::packet::ipv6::bit;
use crate::meter::packet::{Outcomes, Reason};
use crate::telemetry::{
    self, CaptureSide, FlowSide, InterfaceSide, Ledger, ParseSide, Reading, WorkerReading,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How far a run has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Octets read of a capture file, and octets in all.
    pub octets: Option<(u64, u64)>,
    /// Latest frame time.
    pub now: Timestamp,
    /// Everything that was counted, as of the last publication.
    pub ledger: Ledger,
    /// How often each thread that has not ended went round. One that hangs does not.
    pub turns: BTreeMap<String, u64>,
}

impl Progress {
    pub(super) fn new(names: &[String], workers: &[Arc<Shared>], export: &ExportShared) -> Self {
        let snapshots: Vec<_> = workers.iter().map(|worker| worker.read()).collect();
        let octets = snapshots
            .iter()
            .filter_map(|snapshot| snapshot.progress)
            .reduce(|left, right| (left.0 + right.0, left.1 + right.1));
        let now = snapshots.iter().map(|snapshot| snapshot.now).max().unwrap_or_default();
        let mut turns: BTreeMap<_, _> = names
            .iter()
            .zip(workers)
            .map(|(name, worker)| (name.clone(), worker.turns.load(Ordering::Relaxed)))
            .filter(|(_, turns)| *turns != ENDED)
            .collect();
        turns.insert("exporter".to_owned(), export.turns.load(Ordering::Relaxed));
        let ledger = Ledger { interfaces: interfaces(workers), ..add_up(&snapshots, export) };
        Self { octets, now, ledger, turns }
    }
}

pub(super) fn ledger(workers: &[Arc<Shared>], export: &ExportShared) -> Ledger {
    let snapshots: Vec<_> = workers.iter().map(|worker| worker.read()).collect();
    Ledger { interfaces: interfaces(workers), ..add_up(&snapshots, export) }
}

/// The sources of each interface as one.
fn interfaces(workers: &[Arc<Shared>]) -> Vec<InterfaceSide> {
    let mut sides: Vec<InterfaceSide> = Vec::new();
    for source in workers.iter().filter_map(|worker| worker.description()) {
        let number = sides.iter().position(|side| side.name == source.interface);
        let number = number.unwrap_or_else(|| {
            sides.push(InterfaceSide {
                name: source.interface.clone(),
                driver: source.driver.clone(),
                mode: source.mode,
                details: source.details.clone(),
                not_had: source.not_had.clone(),
                ..InterfaceSide::default()
            });
            sides.len() - 1
        });
        let side = &mut sides[number];
        side.queues.extend(source.queues);
        side.statistics.extend(source.statistics);
    }
    sides
}

/// Everything at one moment, worker by worker and in sum.
pub(super) fn reading(
    names: &[String],
    workers: &[Arc<Shared>],
    export: &ExportShared,
    started: Timestamp,
) -> Reading {
    let mut sides: Vec<WorkerReading> =
        names.iter().zip(workers).map(|(name, worker)| worker_reading(name, worker)).collect();
    for number in 0..sides.len() {
        // Packet sockets have no queue: they are told apart by their number.
        if sides[number].queue.is_empty() && sides[number].mode != FILE {
            let interface = sides[number].interface.clone();
            let before = sides[..number].iter().filter(|side| side.interface == interface);
            sides[number].queue = before.count().to_string();
        }
    }
    Reading {
        time: wall_clock().0,
        started: started.0,
        ledger: ledger(workers, export),
        workers: sides,
        exporter_silent: export.silent(),
        exporter_ended: export.ended(),
    }
}

const FILE: &str = "file";

fn worker_reading(name: &str, worker: &Shared) -> WorkerReading {
    let snapshot = worker.read();
    let source = worker.description();
    let queues: Vec<String> =
        source.iter().flat_map(|source| &source.queues).map(u32::to_string).collect();
    WorkerReading {
        name: name.to_owned(),
        interface: source.as_ref().map_or(name, |source| &source.interface).to_owned(),
        queue: queues.join(","),
        mode: source.as_ref().map_or(FILE, |source| source.mode).to_owned(),
        capture: capture_side(&snapshot),
        parse: parse_side(&snapshot),
        flows: flow_side(&snapshot),
        traffic: traffic(&snapshot),
        capacity: snapshot.capacity as u64,
        turns: worker.turns.load(Ordering::Relaxed),
        silent: worker.silent(),
        ended: worker.ended(),
    }
}

fn traffic(snapshot: &Snapshot) -> telemetry::Traffic {
    let Outcomes { metered, inner, traffic, .. } = &snapshot.outcomes;
    telemetry::Traffic {
        ipv4_packets: (metered + inner).saturating_sub(traffic.ipv6),
        ipv6_packets: traffic.ipv6,
        ipv4_octets: traffic.octets[0],
        ipv6_octets: traffic.octets[1],
        extended: traffic.extended,
        headers: bit::NAMES
            .iter()
            .zip(traffic.headers)
            .map(|(name, count)| ((*name).to_owned(), count))
            .collect(),
        cut: traffic.cut,
        ipv4_fragments: traffic.fragments[0],
        ipv6_fragments: traffic.fragments[1],
        atomic_fragments: traffic.atomic,
    }
}

fn capture_side(snapshot: &Snapshot) -> CaptureSide {
    let mut side = CaptureSide::default();
    add_capture(&mut side, snapshot);
    side
}

fn flow_side(snapshot: &Snapshot) -> FlowSide {
    let mut side = FlowSide::default();
    add_flows(&mut side, snapshot);
    side
}

fn parse_side(snapshot: &Snapshot) -> ParseSide {
    let outcomes = &snapshot.outcomes;
    ParseSide {
        metered: outcomes.metered,
        inner: outcomes.inner,
        ignored: Reason::ALL
            .iter()
            .map(|reason| (reason.name(), outcomes.ignored[*reason as usize]))
            .collect(),
        ignored_octets: outcomes.ignored_octets,
    }
}

fn add_up(snapshots: &[Snapshot], export: &ExportShared) -> Ledger {
    let mut ledger = Ledger { collectors: export.read(), ..Ledger::default() };
    let mut ignored = [0; Reason::COUNT];
    for snapshot in snapshots {
        add_capture(&mut ledger.capture, snapshot);
        let outcomes = &snapshot.outcomes;
        ledger.parse.metered += outcomes.metered;
        ledger.parse.inner += outcomes.inner;
        ledger.parse.ignored_octets += outcomes.ignored_octets;
        for (sum, count) in ignored.iter_mut().zip(outcomes.ignored) {
            *sum += count;
        }
        add_flows(&mut ledger.flows, snapshot);
    }
    ledger.parse = ParseSide {
        ignored: Reason::ALL
            .iter()
            .map(|reason| (reason.name(), ignored[*reason as usize]))
            .collect(),
        ..ledger.parse
    };
    ledger
}

fn add_capture(sum: &mut CaptureSide, snapshot: &Snapshot) {
    let source = &snapshot.source;
    sum.nic_received += source.nic_received;
    sum.nic_missed += source.nic_missed;
    sum.nic_fifo += source.nic_fifo;
    sum.nic_over += source.nic_over;
    sum.nic_dropped += source.nic_dropped;
    sum.program_seen += source.program_seen;
    sum.program_redirected += source.program_redirected;
    sum.program_passed += source.program_passed;
    sum.program_failed += source.program_failed;
    sum.ring_full += source.ring_full;
    sum.fill_empty += source.fill_empty;
    sum.fill_starved += source.fill_starved;
    sum.dropped += source.dropped;
    sum.invalid += source.invalid;
    sum.kernel_dropped += source.kernel_dropped;
    sum.filtered += source.filtered;
    sum.observed += source.observed;
    sum.unsampled += source.unsampled;
    sum.delivered += source.delivered;
    sum.unstamped += source.unstamped;
    sum.damaged += source.damaged;
}

fn add_flows(sum: &mut FlowSide, snapshot: &Snapshot) {
    let flows = &snapshot.flows;
    sum.created += flows.created;
    sum.live += snapshot.live as u64;
    sum.ended_idle += flows.ended[1];
    sum.ended_active += flows.ended[2];
    sum.ended_detected += flows.ended[3];
    sum.ended_forced += flows.ended[4];
    sum.ended_resources += flows.ended[5];
    sum.ended_packets += flows.ended_packets;
    sum.ended_octets += flows.ended_octets;
    sum.resident_packets += snapshot.resident_packets;
    sum.held_packets += snapshot.held as u64;
    sum.lost_queue += flows.lost_flows;
    sum.lost_queue_packets += flows.lost_packets;
    sum.extras_lost += flows.extras_lost;
    sum.fragments_overflow += snapshot.fragments.overflow;
    sum.fragments_orphaned += snapshot.fragments.orphans;
    sum.fragments_unjudged += snapshot.fragments.unjudged;
    sum.chains_overflow += snapshot.chains_overflow;
    sum.tunnels_overflow += snapshot.tunnels_overflow;
}
