//! What happened to records, into the counters of their collector: the one place that knows which line each goes to.

use super::transport::{Outcome, Tally};
use crate::capture::Timestamp;
use crate::telemetry::CollectorCounters;

/// Puts what happened to messages into the books.
pub(super) fn settle(counters: &mut CollectorCounters, outcome: &Outcome, now: Timestamp) {
    let Outcome { sent, queue_full, refused, .. } = outcome;
    counters.sent += sent.tally.flows;
    counters.options += sent.tally.options;
    counters.messages += sent.messages;
    counters.octets += sent.length;
    counters.lost.queue += queue_full.tally.flows;
    counters.lost.send += refused.tally.flows;
    counters.refused += queue_full.messages + refused.messages;
    for lost in [queue_full.tally, refused.tally] {
        if lost.flows > 0 {
            note_loss(counters, lost, now);
        }
    }
}

/// A record that could not be made.
#[cold]
pub(super) fn lose_encode(counters: &mut CollectorCounters, lost: Tally, now: Timestamp) {
    counters.lost.encode += lost.flows;
    note_loss(counters, lost, now);
}

fn note_loss(counters: &mut CollectorCounters, lost: Tally, now: Timestamp) {
    counters.not_sent_packets = counters.not_sent_packets.wrapping_add(lost.packets);
    counters.not_sent_octets = counters.not_sent_octets.wrapping_add(lost.octets);
    if counters.first_lost == 0 {
        counters.first_lost = now.0;
    }
    counters.last_lost = now.0;
}
