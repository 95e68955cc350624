//! The threads of a probe.
//!
//! In: a [`Plan`]: opened sources and resolved settings. Out: a [`Ledger`].
//!
//! ```text
//! worker (one a source)   source → meter → batches of ended flows ─┐
//! worker …                                                         ├─► exporter: records, messages, collectors
//! supervisor (caller's)   signals, progress, ledger                ┘
//! ```
//!
//! Workers share nothing but the fixed supply of batches. A worker over a wire never waits for the exporter: what finds no
//! empty batch is lost and counted. A worker over a file waits.

mod board;
mod exporting;
mod look;
mod notify;
mod report;
pub mod sandbox;
mod service;
mod supply;
mod worker;

pub use notify::Notifier;
pub use report::Progress;
pub use service::Service;

use crate::capture::{CaptureError, Source};
use crate::export::{Destination, ExportPlan, Exporter, Opening, TransportError};
use crate::meter::flow::{FlowMeter, MeterError, Settings};
use crate::telemetry::http::Listener;
use crate::telemetry::{Endpoints, Ledger, Subject};
use board::Board;
use exporting::Exporting;
use sandbox::Sandbox;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use worker::{Shared, Worker};

/// Batches that go round between workers and exporter: 256 flows each.
const BATCHES: usize = 512;
/// How often the supervisor looks around.
const LOOK: Duration = Duration::from_millis(200);

/// One source, and the processor its worker is to stay on.
pub struct Input {
    /// Where frames come from.
    pub source: Box<dyn Source + Send>,
    /// What to call it in messages.
    pub name: String,
    /// Processor to pin the worker to.
    pub cpu: Option<usize>,
}

/// Everything a run needs.
pub struct Plan {
    /// One worker each.
    pub inputs: Vec<Input>,
    /// For each worker's meter.
    pub meter: Settings,
    /// For the exporter.
    pub export: ExportPlan,
    /// Over files: wait rather than lose.
    pub patient: bool,
    /// Frames after which to stop.
    pub count: Option<u64>,
    /// Time after which to stop.
    pub duration: Option<Duration>,
    /// What to give up once everything is open.
    pub sandbox: Option<Sandbox>,
    /// Longest time from the word to stop to the end.
    pub drain: Duration,
    /// Where others may look at the run: metrics, status page, control socket.
    pub listeners: Vec<Listener>,
    /// Who in this process looks at the run: gets it when it has begun.
    pub watcher: Option<mpsc::Sender<Arc<dyn Subject>>>,
}

/// What changes while a probe runs: a configuration read again.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Active and idle timeout.
    pub timeouts: Option<(Duration, Duration)>,
    /// Collectors.
    pub destinations: Option<Vec<Destination>>,
}

/// Why a probe does not start or does not end well.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The capture.
    #[error("{error}")]
    Capture {
        /// Which source.
        name: String,
        /// What is wrong.
        error: CaptureError,
    },
    /// The meter.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// A collector.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The operating system.
    #[error("{0}")]
    System(String),
}

/// How a run ended.
pub struct Outcome {
    /// Everything that was counted.
    pub ledger: Ledger,
    /// What ended sources before their time.
    pub errors: Vec<ProbeError>,
}

/// Runs the probe until its sources end, `stop` is set, or the plan says so. `look` is called several times a second, first
/// when all threads run; what it gives changes the run.
///
/// # Errors
/// [`ProbeError`] if it cannot start; what goes wrong later is in the [`Outcome`].
pub fn run(
    mut plan: Plan,
    stop: &Arc<AtomicBool>,
    look: &mut dyn FnMut(&Progress) -> Option<Change>,
) -> Result<Outcome, ProbeError> {
    let started = worker::wall_clock();
    let count = plan.inputs.len();
    if let Some(sandbox) = &plan.sandbox {
        sandbox.enter();
    }
    let (supplies, returns) = supply::supply(count, BATCHES, plan.patient);
    let mut exporter = Exporter::new(&plan.export)?;
    if plan.patient {
        exporter.wait_connected(worker::wall_clock(), Duration::from_secs(5));
    }
    let workers_left = Arc::clone(&returns.workers);
    let (ended, ends) = mpsc::channel();
    let mut shares = Vec::new();
    let mut names = Vec::new();
    let mut threads = Vec::new();
    let mut prepared = Vec::new();
    for (input, supply) in std::mem::take(&mut plan.inputs).into_iter().zip(supplies) {
        let shared = Arc::new(Shared::default());
        shares.push(Arc::clone(&shared));
        names.push(input.name.clone());
        let worker = Worker {
            source: input.source,
            meter: FlowMeter::new(plan.meter, random()?)?,
            supply,
            shared,
            stop: Arc::clone(stop),
            count: plan.count,
            described: None,
            look: None,
        };
        prepared.push((worker, input.name, input.cpu));
    }
    for (number, (worker, name, cpu)) in prepared.into_iter().enumerate() {
        let (ended, workers_left) = (ended.clone(), Arc::clone(&workers_left));
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            if let Some(cpu) = cpu {
                // It could be taken away since the configuration was looked at.
                if let Err(error) = stay_on(cpu) {
                    tracing::warn!("{name}: cannot stay on processor {cpu}: {error}");
                }
            }
            let outcome = worker.run();
            workers_left.fetch_sub(1, Ordering::Release);
            // The supervisor waits for this; it is gone only if it has given up.
            let _ = ended.send(());
            outcome
        });
        threads.push(thread.map_err(|error| ProbeError::System(format!("no thread: {error}")))?);
    }
    drop(ended);
    let exporting = Exporting::start(exporter, returns, shares.clone())?;
    let board: Arc<dyn Subject> = Arc::new(Board {
        names: names.clone(),
        workers: shares.clone(),
        export: Arc::clone(&exporting.shared),
        started,
        looking: Mutex::new(()),
    });
    let _endpoints = Endpoints::start(plan.listeners, &board)
        .map_err(|error| ProbeError::System(format!("no thread: {error}")))?;
    if let Some(watcher) = plan.watcher {
        // Whoever wanted to look may have given up.
        let _ = watcher.send(board);
    }
    let deadline = plan.duration.map(|duration| Instant::now() + duration);
    let mut left = count;
    let mut until = None;
    let mut next = Instant::now();
    while left > 0 && until.is_none_or(|until| Instant::now() < until) {
        if Instant::now() >= next {
            next = Instant::now() + LOOK;
            let change = look(&Progress::new(&names, &shares, &exporting.shared));
            if let Some(change) = change {
                apply(change, &mut plan.export, &shares, &exporting);
            }
        }
        match ends.recv_timeout(LOOK) {
            Ok(()) => left -= 1,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            stop.store(true, Ordering::Relaxed);
        }
        if until.is_none() && stop.load(Ordering::Relaxed) {
            let by = Instant::now() + plan.drain;
            until = Some(by);
            let _ = exporting.shared.until.set(by);
        }
    }
    let mut errors = Vec::new();
    for (thread, name) in threads.into_iter().zip(names) {
        if !thread.is_finished() && until.is_some_and(|until| Instant::now() >= until) {
            errors
                .push(ProbeError::System(format!("{name}: not ended when the time for it was up")));
            continue;
        }
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => errors.push(ProbeError::Capture { name, error }),
            Err(_) => {
                errors.push(ProbeError::System(format!("{name}: the worker ended in a panic")));
            }
        }
    }
    let (shared, in_time) = exporting.join(until);
    let mut ledger = report::ledger(&shares, &shared);
    if !in_time {
        errors.push(ProbeError::System(format!(
            "records left when the {} seconds to send them were up: lost",
            plan.drain.as_secs_f64()
        )));
        for (_, collector) in &mut ledger.collectors {
            collector.lost.send += collector.held();
        }
    }
    Ok(Outcome { ledger, errors })
}

/// Tells the threads what changes. `plan`: what the exporter runs with.
fn apply(change: Change, plan: &mut ExportPlan, workers: &[Arc<Shared>], exporting: &Exporting) {
    if let Some((active, idle)) = change.timeouts {
        for worker in workers {
            worker.timeouts.give(active, idle);
        }
        (plan.active, plan.idle) = (active, idle);
    }
    let destinations = change.destinations.unwrap_or_else(|| plan.destinations.clone());
    let next = ExportPlan { destinations, ..plan.clone() };
    // Opened here: a name may take long to resolve, and the exporter has records to send meanwhile.
    match Opening::new(&next, &plan.destinations) {
        Ok(opening) => {
            *plan = next;
            // The exporter is gone only when the run ends.
            let _ = exporting.changes.send(opening);
        }
        Err(error) => tracing::error!("the collectors stay as they are: {error}"),
    }
}

/// Octets nobody else knows, for one worker's hashes.
fn random() -> Result<[u8; 96], ProbeError> {
    let mut octets = [0; 96];
    getrandom::fill(&mut octets)
        .map_err(|error| ProbeError::System(format!("no random octets for the secret: {error}")))?;
    Ok(octets)
}

/// Keeps the calling thread on one processor.
///
/// # Errors
/// EINVAL: the processor is not there, is offline, or the cpuset of this process does not have it.
pub fn stay_on(cpu: usize) -> std::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if cpu < rustix::thread::CpuSet::MAX_CPU {
        set.set(cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}
