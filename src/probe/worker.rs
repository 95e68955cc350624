//! One worker: takes batches of frames from its source and meters them, until the source ends or it is told to stop.

use super::look::{Job, Look};
use super::supply::Supply;
use crate::capture::{CaptureError, Description, Poll, Source, SourceCounters, Timestamp};
use crate::meter::flow::{Counters, FlowMeter, fragments};
use crate::meter::packet::Outcomes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Batches after which counters are published, whatever the frames' time.
const PUBLISH_EVERY: u32 = 1 << 14;
/// Capture time after which ended flows leave even if they do not fill a batch.
const FLUSH_AFTER: u64 = 200_000_000;
/// How long to wait for a frame before the pause is used for expiry.
const WAIT: Duration = Duration::from_millis(100);

/// Between two questions to the driver.
const DESCRIBE_EVERY: Duration = Duration::from_secs(2);

/// Longest time for what is left in a live source's rings.
const DRAIN: Duration = Duration::from_secs(5);

/// What a worker last said of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) source: SourceCounters,
    pub(super) outcomes: Outcomes,
    pub(super) flows: Counters,
    pub(super) fragments: fragments::Counters,
    pub(super) chains_overflow: u64,
    pub(super) tunnels_overflow: u64,
    pub(super) live: usize,
    pub(super) capacity: usize,
    pub(super) held: usize,
    pub(super) resident_packets: u64,
    pub(super) now: Timestamp,
    pub(super) progress: Option<(u64, u64)>,
}

/// What a worker shares with the supervisor.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) snapshot: Mutex<Snapshot>,
    /// How its source gets its frames, as last asked.
    description: Mutex<Option<Description>>,
    /// Grows with every turn of the loop: a worker that hangs does not. [`ENDED`] when it has ended. Only the worker writes it.
    pub(super) turns: AtomicU64,
    /// Timeouts to take over, of a configuration read again.
    pub(super) timeouts: Timeouts,
    /// When it last published, milliseconds after `born`.
    advanced: AtomicU64,
    /// The worker has ended.
    ended: AtomicBool,
    /// Somebody has a question about the live flows: see `job`. Looked at when the worker publishes.
    wanted: AtomicBool,
    job: Mutex<Option<Job>>,
    born: Instant,
}

/// What `turns` is when the worker has ended.
pub(super) const ENDED: u64 = u64::MAX;

/// Timeouts on their way to a worker, nanoseconds; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    active: AtomicU64,
    idle: AtomicU64,
}

impl Timeouts {
    pub(super) fn give(&self, active: Duration, idle: Duration) {
        let nanoseconds = |time: Duration| time.as_nanos().clamp(1, u128::from(u64::MAX)) as u64;
        self.active.store(nanoseconds(active), Ordering::Relaxed);
        self.idle.store(nanoseconds(idle), Ordering::Release);
    }

    /// Active and idle, once.
    fn take(&self) -> Option<(u64, u64)> {
        if self.idle.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let idle = self.idle.swap(0, Ordering::Acquire);
        Some((self.active.load(Ordering::Relaxed), idle))
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            snapshot: Mutex::default(),
            description: Mutex::default(),
            turns: AtomicU64::new(0),
            timeouts: Timeouts::default(),
            advanced: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            job: Mutex::default(),
            born: Instant::now(),
        }
    }
}

impl Shared {
    pub(super) fn read(&self) -> Snapshot {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the worker last published.
    pub(super) fn silent(&self) -> Duration {
        let advanced = Duration::from_millis(self.advanced.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(advanced)
    }

    /// Whether the worker has ended: nothing that is published will change any more.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn advance(&self) {
        let milliseconds = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.advanced.store(milliseconds, Ordering::Relaxed);
    }

    /// Asks the worker to look through its flows. A question that it has not taken yet is replaced.
    pub(super) fn ask(&self, job: Job) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        self.wanted.store(true, Ordering::Release);
    }

    fn question(&self) -> Option<Job> {
        if !self.wanted.load(Ordering::Relaxed) || !self.wanted.swap(false, Ordering::Acquire) {
            return None;
        }
        self.job.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn description(&self) -> Option<Description> {
        self.description.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Worker {
    pub(super) source: Box<dyn Source + Send>,
    pub(super) meter: FlowMeter,
    pub(super) supply: Supply,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Arc<AtomicBool>,
    /// Frames to meter before stopping by itself.
    pub(super) count: Option<u64>,
    /// When its source was last asked how it gets its frames.
    pub(super) described: Option<Instant>,
    /// A look through the flows that is under way, because somebody asked for it.
    pub(super) look: Option<Look>,
}

impl Worker {
    /// Runs to the end; the meter is drained whatever ended it.
    pub(super) fn run(mut self) -> Result<(), CaptureError> {
        let outcome = self.meter_all().and_then(|()| self.drain());
        self.supply.wait();
        self.meter.finish(&mut self.supply);
        self.publish(true);
        self.shared.turns.store(ENDED, Ordering::Relaxed);
        self.look = None;
        self.shared.ended.store(true, Ordering::Release);
        outcome
    }

    fn meter_all(&mut self) -> Result<(), CaptureError> {
        let mut until_publish = 0u32;
        let mut flushed = Timestamp(0);
        let live = self.source.progress().is_none();
        let mut left = self.count.unwrap_or(u64::MAX);
        let mut turns = 0;
        while !self.stop.load(Ordering::Relaxed) && left > 0 {
            turns += 1;
            self.shared.turns.store(turns, Ordering::Relaxed);
            let (meter, supply) = (&mut self.meter, &mut self.supply);
            let poll = self.source.poll(WAIT, &mut |frames| meter.frames(frames, supply))?;
            match poll {
                Poll::Frames(count) => left = left.saturating_sub(count as u64),
                Poll::Idle => {
                    self.meter.idle(wall_clock(), &mut self.supply);
                    until_publish = 0;
                }
                Poll::End => break,
            }
            if self.meter.now().since(flushed) > FLUSH_AFTER {
                flushed = self.meter.now();
                self.meter.flush(&mut self.supply);
                // On a wire this is a matter of a fifth of a second, however small the batches.
                if live {
                    until_publish = 0;
                }
                if let Some((active, idle)) = self.shared.timeouts.take() {
                    self.meter.set_timeouts(active, idle);
                }
            }
            if until_publish == 0 {
                until_publish = PUBLISH_EVERY;
                self.publish(false);
                if let Some(job) = self.shared.question() {
                    self.look = Some(Look::new(job));
                }
            }
            until_publish -= 1;
            if self.look.as_mut().is_some_and(|look| look.step(&self.meter, poll)) {
                self.look = None;
            }
        }
        Ok(())
    }

    /// Meters what a live source had taken when it was told to stop, so that no frame is left between its counters.
    fn drain(&mut self) -> Result<(), CaptureError> {
        let began = Instant::now();
        let mut left = self.source.stop();
        while left && began.elapsed() < DRAIN {
            let (meter, supply) = (&mut self.meter, &mut self.supply);
            let poll = self.source.poll(WAIT, &mut |frames| meter.frames(frames, supply))?;
            left = matches!(poll, Poll::Frames(_));
        }
        Ok(())
    }

    /// Tells the supervisor how things stand. `at_rest`: also what needs a walk over the table.
    fn publish(&mut self, at_rest: bool) {
        self.shared.advance();
        let (live, capacity) = self.meter.fill();
        let snapshot = Snapshot {
            source: self.source.counters(),
            outcomes: self.meter.outcomes(),
            flows: self.meter.counters(),
            fragments: self.meter.fragment_counters(),
            chains_overflow: self.meter.chains_overflow(),
            tunnels_overflow: self.meter.tunnels_overflow(),
            live,
            capacity,
            held: self.meter.held(),
            resident_packets: if at_rest { self.meter.resident().0 } else { 0 },
            now: self.meter.now(),
            progress: self.source.progress(),
        };
        *self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        if at_rest || self.described.is_none_or(|when| when.elapsed() >= DESCRIBE_EVERY) {
            self.described = Some(Instant::now());
            let description = self.source.describe();
            *self.shared.description.lock().unwrap_or_else(PoisonError::into_inner) = description;
        }
    }
}

/// The wall clock. The probe's threads read it; the meter and the exporter are told.
pub(super) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_secs(), since.subsec_nanos())
}
