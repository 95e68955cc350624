//! The exporter's thread.

use super::ProbeError;
use super::supply::Returns;
use super::worker::{Shared, Snapshot, wall_clock};
use crate::capture::Timestamp;
use crate::export::{Exporter, Opening, Statistics};
use crate::meter::packet::Reason;
use crate::telemetry::CollectorCounters;
use crossbeam::channel::RecvTimeoutError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest time without a look at the sessions.
const TICK: Duration = Duration::from_millis(100);
/// Batches after which the sessions are looked at even under load.
const BATCHES_PER_TICK: u32 = 256;

/// The exporter is done so long before the run must be over.
const MARGIN: Duration = Duration::from_millis(200);

/// Counters by collector, as the exporter last published them.
#[derive(Debug)]
pub(super) struct ExportShared {
    collectors: Mutex<Vec<(String, CollectorCounters)>>,
    /// Grows with every turn of the loop: an exporter that hangs does not.
    pub(super) turns: AtomicU64,
    /// When the thread last went round its loop, milliseconds after `born`.
    advanced: AtomicU64,
    ended: AtomicBool,
    /// When the run must be over, once that is known.
    pub(super) until: OnceLock<Instant>,
    born: Instant,
}

impl Default for ExportShared {
    fn default() -> Self {
        Self {
            collectors: Mutex::default(),
            turns: AtomicU64::new(0),
            advanced: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            until: OnceLock::new(),
            born: Instant::now(),
        }
    }
}

impl ExportShared {
    /// How long ago the thread last went round its loop.
    pub(super) fn silent(&self) -> Duration {
        let advanced = Duration::from_millis(self.advanced.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(advanced)
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn advance(&self) {
        let milliseconds = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.advanced.store(milliseconds, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Vec<(String, CollectorCounters)> {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The running exporter.
pub(super) struct Exporting {
    pub(super) shared: Arc<ExportShared>,
    /// What changes while it runs.
    pub(super) changes: mpsc::Sender<Opening>,
    thread: JoinHandle<()>,
}

impl Exporting {
    pub(super) fn start(
        exporter: Exporter,
        returns: Returns,
        workers: Vec<Arc<Shared>>,
    ) -> Result<Self, ProbeError> {
        let shared = Arc::new(ExportShared::default());
        let publish = Arc::clone(&shared);
        let (changes, changed) = mpsc::channel();
        let mut run = Run {
            changed,
            exporter,
            returns,
            workers,
            publish,
            started: wall_clock(),
            lost: Losses::default(),
        };
        let thread = thread::Builder::new().name("exporter".into()).spawn(move || run.run());
        let thread = thread.map_err(|error| ProbeError::System(format!("no thread: {error}")))?;
        Ok(Self { shared, changes, thread })
    }

    /// Waits until everything that workers handed over is exported, or the time is up. `false`: it was up.
    pub(super) fn join(self, deadline: Option<Instant>) -> (Arc<ExportShared>, bool) {
        while !self.thread.is_finished() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return (self.shared, false);
            }
            thread::sleep(Duration::from_millis(5));
        }
        if self.thread.join().is_err() {
            tracing::error!("the exporter ended in a panic");
        }
        (self.shared, true)
    }
}

/// When losses were first and last seen to grow.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    ignored: u64,
    first_ignored: Timestamp,
    last_ignored: Timestamp,
    flows: u64,
    first_lost: Timestamp,
    last_lost: Timestamp,
}

struct Run {
    changed: mpsc::Receiver<Opening>,
    exporter: Exporter,
    returns: Returns,
    workers: Vec<Arc<Shared>>,
    publish: Arc<ExportShared>,
    started: Timestamp,
    lost: Losses,
}

impl Run {
    fn run(&mut self) {
        let mut batches = 0;
        // A session begins with what options tell, also if the run is over before the first tick would be due.
        self.tick(wall_clock());
        loop {
            let received = self.returns.full.recv_timeout(self.exporter.pause(TICK));
            self.publish.turns.fetch_add(1, Ordering::Relaxed);
            let now = wall_clock();
            match received {
                Ok(batch) => {
                    self.exporter.consume(&batch, now);
                    self.returns.give_back(batch);
                    batches += 1;
                }
                // A worker counts itself out only after its last batch is in the channel.
                Err(_) if self.returns.finished() && self.returns.full.is_empty() => break,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => batches = 0,
            }
            if batches == 0 || batches >= BATCHES_PER_TICK {
                batches = 0;
                self.tick(now);
            }
            if self.returns.finished() && self.returns.full.is_empty() {
                break;
            }
        }
        let now = wall_clock();
        let statistics = self.statistics(now);
        match self.publish.until.get() {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.exporter.finish_within(left.saturating_sub(MARGIN), now, &statistics);
            }
            None => self.exporter.finish(now, &statistics),
        }
        self.report();
        self.publish.ended.store(true, Ordering::Release);
    }

    fn tick(&mut self, now: Timestamp) {
        let statistics = self.statistics(now);
        for opening in self.changed.try_iter() {
            self.exporter.change(opening, now, &statistics);
        }
        self.exporter.tick(now, &statistics);
        self.report();
    }

    fn report(&mut self) {
        self.publish.advance();
        for problem in self.exporter.take_problems() {
            tracing::warn!("{problem}");
        }
        let counters: Vec<_> = self
            .exporter
            .counters()
            .map(|(destination, counters)| (destination.name(), counters))
            .collect();
        *self.publish.collectors.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    fn statistics(&mut self, now: Timestamp) -> Statistics {
        let mut statistics = Statistics { started: self.started, ..Statistics::default() };
        for worker in &self.workers {
            let Snapshot { source, outcomes, flows, .. } = worker.read();
            // A frame without an IP packet is no packet that was not processed.
            let frames_without = outcomes.ignored[Reason::NotIp as usize];
            statistics.ignored_packets += outcomes.ignored.iter().sum::<u64>() - frames_without
                + source.program_failed
                + source.ring_full
                + source.fill_empty
                + source.dropped
                + source.invalid
                + source.kernel_dropped
                + source.nic_lost();
            statistics.ignored_octets += outcomes.ignored_octets;
            statistics.observed_packets += source.observed;
            statistics.selected_packets += source.delivered;
            statistics.lost_flows += flows.lost_flows;
            statistics.lost_packets += flows.lost_packets;
            statistics.lost_octets += flows.lost_octets;
        }
        self.lost.see(&mut statistics, now);
        statistics
    }
}

impl Losses {
    /// Notes the time of a growth, and puts the times into `statistics`.
    fn see(&mut self, statistics: &mut Statistics, now: Timestamp) {
        let note = |known: &mut u64, count, first: &mut Timestamp, last: &mut Timestamp| {
            if count > *known {
                if *known == 0 {
                    *first = now;
                }
                *last = now;
                *known = count;
            }
        };
        let ignored = statistics.ignored_packets;
        note(&mut self.ignored, ignored, &mut self.first_ignored, &mut self.last_ignored);
        note(&mut self.flows, statistics.lost_flows, &mut self.first_lost, &mut self.last_lost);
        statistics.first_ignored = self.first_ignored;
        statistics.last_ignored = self.last_ignored;
        statistics.first_lost = self.first_lost;
        statistics.last_lost = self.last_lost;
    }
}
