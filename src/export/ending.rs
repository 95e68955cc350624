//! The end of sessions: of all at once, within a bound.
//!
//! Everything that is held is on its way to every collector before any is waited for, and then all are waited for in
//! turns: one that does not read takes no time from the others, nor their last records.

use super::options::Statistics;
use super::outlet::Outlet;
use super::record::Records;
use crate::capture::Timestamp;
use std::time::{Duration, Instant};

/// How long one is waited for before it is the next one's turn.
const TURN: Duration = Duration::from_millis(5);

/// How long the last statistics of a session may take, where its records went.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A run over a file gives up when no collector has taken anything for so long.
const STALLED: Duration = Duration::from_secs(10);

/// How long an end takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// At most so long.
    Within(Duration),
    /// As long as anybody takes anything.
    WhileItMoves,
}

impl Bound {
    /// When nobody says how long: as long as collectors that are slow deserve.
    pub(super) const USUAL: Self = Self::Within(Duration::from_secs(6));
    /// For some collectors while others go on.
    pub(super) const SHORT: Self = Self::Within(Duration::from_secs(2));

    /// How long records may take: the rest is for the last statistics.
    fn for_records(self) -> Duration {
        match self {
            Self::Within(bound) => bound * 3 / 4,
            Self::WhileItMoves => STALLED,
        }
    }

    fn last_words(self, passed: Duration) -> Duration {
        match self {
            Self::Within(bound) => LAST_WORDS.min(bound.saturating_sub(passed)),
            Self::WhileItMoves => LAST_WORDS,
        }
    }
}

/// Sends what is left and the last statistics, and ends the sessions. What a collector has not taken then is lost, and counted.
pub(super) fn end(
    outlets: &mut [&mut Outlet],
    records: &Records,
    bound: Bound,
    now: Timestamp,
    statistics: &Statistics,
) {
    let began = Instant::now();
    for outlet in outlets.iter_mut() {
        outlet.close(records, now, statistics);
    }
    let mut waiting = vec![true; outlets.len()];
    let (mut least, mut since) = (u64::MAX, began);
    loop {
        for (outlet, waits) in outlets.iter_mut().zip(&mut waiting).filter(|(_, waits)| **waits) {
            *waits = outlet.drain(records, after(now, began.elapsed()), TURN);
        }
        if bound == Bound::WhileItMoves {
            let held = outlets.iter().map(|outlet| outlet.held()).sum();
            if held < least {
                (least, since) = (held, Instant::now());
            }
        }
        if !waiting.contains(&true) || since.elapsed() >= bound.for_records() {
            break;
        }
    }
    for (outlet, waits) in outlets.iter_mut().zip(waiting) {
        let patience = if waits { Duration::ZERO } else { bound.last_words(began.elapsed()) };
        outlet.finish(after(now, began.elapsed()), statistics, patience);
    }
}

fn after(now: Timestamp, passed: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)))
}
