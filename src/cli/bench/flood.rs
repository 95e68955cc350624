//! The highest rate of new flows without a loss: worker, exporter and socket, each flow exported within the run.
//!
//! RFC 6645 calls it the Flow Monitoring Throughput: every packet is a flow of its own, and the rate is searched at which
//! no record is lost. Wall clock: other load on the machine lowers the figure.

use super::frames::{Arena, Shape};
use super::measure::{as_frame, discard};
use crate::capture::{BATCH, CaptureError, Description, Frame, Poll, Source, SourceCounters};
use crate::cli::Failure;
use crate::export::ExportPlan;
use crate::meter::flow::Settings;
use crate::probe::{self, Input, Plan};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds after which a silent flow ends.
const IDLE: u64 = 200;
/// Lowest rate that is tried, flows a second.
const LOWEST: f64 = 100_000.0;
/// Highest rate that is tried.
const HIGHEST: f64 = 20_000_000.0;

/// A source of new flows at a rate.
struct Flood {
    arena: Arena,
    rate: f64,
    lasts: Duration,
    epoch: Duration,
    started: Option<Instant>,
    sent: u64,
}

impl Source for Flood {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let until = started.elapsed() + timeout;
        loop {
            let elapsed = started.elapsed();
            if elapsed >= self.lasts {
                return Ok(Poll::End);
            }
            if (elapsed.as_secs_f64() * self.rate) as u64 >= self.sent + BATCH as u64 {
                let time = (self.epoch + elapsed).as_nanos() as u64;
                self.arena.renumber(|| {
                    self.sent += 1;
                    self.sent
                });
                let frames: arrayvec::ArrayVec<Frame<'_>, BATCH> =
                    self.arena.frames().map(|data| as_frame(data, time)).collect();
                sink(&frames);
                return Ok(Poll::Frames(frames.len()));
            }
            if elapsed >= until {
                return Ok(Poll::Idle);
            }
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn counters(&mut self) -> SourceCounters {
        SourceCounters { delivered: self.sent, ..SourceCounters::default() }
    }

    fn stop(&mut self) -> bool {
        false
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    fn describe(&mut self) -> Option<Description> {
        None
    }
}

/// What one run at a rate did.
struct Trial {
    offered: f64,
    made: u64,
    sent: u64,
}

fn trial(rate: f64, lasts: Duration) -> Result<Trial, Failure> {
    let (socket, destination) = discard()?;
    let source = Flood {
        arena: Arena::new(Shape::Ipv6, BATCH),
        rate,
        lasts,
        epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        started: None,
        sent: 0,
    };
    // The sweep passes the table once a second, so a flow may stay for that time beyond its idle timeout.
    let capacity = (rate * 2.5) as usize + 65_536;
    let plan = Plan {
        inputs: vec![Input { source: Box::new(source), name: "flood".to_owned(), cpu: None }],
        meter: Settings { capacity, extras: 1024, idle: IDLE * 1_000_000, ..Settings::default() },
        export: ExportPlan { destinations: vec![destination], ..ExportPlan::default() },
        patient: false,
        count: None,
        duration: None,
        sandbox: None,
        drain: Duration::from_secs(10),
        listeners: Vec::new(),
        watcher: None,
    };
    let outcome = probe::run(plan, &Arc::new(AtomicBool::new(false)), &mut |_| None)?;
    drop(socket);
    let made = outcome.ledger.flows.created;
    let sent = outcome.ledger.collectors.iter().map(|(_, counters)| counters.sent).sum();
    Ok(Trial { offered: rate * lasts.as_secs_f64(), made, sent })
}

/// Searches the highest rate at which all flows offered are made and sent, to one part in twenty.
pub(super) fn search(lasts: Duration) -> Result<f64, Failure> {
    let (mut good, mut bad) = (0.0, HIGHEST);
    let mut rate = 1_000_000.0;
    while bad - good > good.max(LOWEST) / 20.0 {
        let Trial { offered, made, sent } = trial(rate, lasts)?;
        tracing::debug!(
            "{rate:.0} new flows a second: {offered:.0} wanted, {made} made, {sent} sent"
        );
        // The pace is held to one part in a hundred, or the worker is too slow for it.
        if sent == made && made as f64 >= offered * 0.99 - 2.0 * BATCH as f64 {
            good = rate;
        } else {
            bad = rate;
        }
        rate = if bad < HIGHEST { (good + bad) / 2.0 } else { (good * 2.0).min(HIGHEST * 0.99) };
        if rate < LOWEST {
            break;
        }
    }
    Ok(good)
}
