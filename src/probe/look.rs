//! A look through a worker's live flows, because somebody asked: slice by slice, between batches of frames.
//!
//! Nothing of it exists while nobody asks: a worker looks at one flag when it publishes its counters. The slices are small
//! while frames wait and large while none do, so that a look at a million flows delays no frame by more than some
//! microseconds. What is kept of a look is bounded by [`Ranking`].

use crate::capture::{BATCH, Poll};
use crate::meter::flow::{Extra, FlowMeter, FlowRecord};
use crate::telemetry::live::{Flow, Found, Fragments, Question, Ranking};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Table entries looked at after a full batch: there is no time to lose.
const SLICE_BUSY: usize = 256;
/// After a batch that was not full: the queue is nearly empty.
const SLICE_EASY: usize = 4096;
/// After a wait without frames.
const SLICE_IDLE: usize = 1 << 17;

/// One question, and where the answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) question: Arc<Question>,
    pub(super) answer: Sender<Found>,
}

/// A look that is under way.
#[derive(Debug)]
pub(super) struct Look {
    job: Job,
    next: usize,
    ranking: Ranking,
}

impl Look {
    pub(super) fn new(job: Job) -> Self {
        let ranking = Ranking::new(&job.question);
        Self { job, next: 0, ranking }
    }

    /// Looks through one more slice. True when it was the last one; then the answer is on its way.
    pub(super) fn step(&mut self, meter: &FlowMeter, poll: Poll) -> bool {
        let slice = match poll {
            Poll::Frames(count) if count >= BATCH / 2 => SLICE_BUSY,
            Poll::Frames(_) => SLICE_EASY,
            Poll::Idle | Poll::End => SLICE_IDLE,
        };
        let end = meter.entries().min(self.next.saturating_add(slice));
        for (record, extra) in meter.live(self.next..end) {
            self.ranking.add(&flow(record, extra));
        }
        self.next = end;
        if end < meter.entries() {
            return false;
        }
        // Who asked may have gone meanwhile.
        let _ = self.job.answer.send(self.ranking.take());
        true
    }
}

fn flow(record: &FlowRecord, extra: Option<&Extra>) -> Flow {
    let key = &record.key;
    let reverse = extra.map(|extra| extra.reverse).unwrap_or_default();
    let fragments = extra.map_or_else(Fragments::default, |extra| {
        let facts = &extra.fragments;
        Fragments {
            packets: facts.packets,
            atomic: facts.atomic,
            tiny: facts.tiny,
            overlaps: facts.overlaps,
            duplicates: facts.duplicates,
            out_of_order: facts.out_of_order,
            incomplete: facts.incomplete,
            ports_rewritten: facts.ports_rewritten,
        }
    });
    Flow {
        source: key.source(),
        destination: key.destination(),
        source_port: key.source_port(),
        destination_port: key.destination_port(),
        ports_unknown: key.ports_unknown(),
        protocol: key.protocol(),
        vlan: key.vlan(),
        packets: record.packets + reverse.packets,
        octets: record.octets + reverse.octets,
        first: record.first.0,
        last: record.last.0,
        headers: record.headers,
        tcp_flags: record.tcp_flags,
        label: record.label,
        fragments,
    }
}
