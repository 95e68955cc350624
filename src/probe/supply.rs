//! Ended flows from a worker to the exporter: a fixed number of batches that go round.
//!
//! Nothing is allocated once they exist. A worker that watches a wire never waits: with no empty batch its flows are lost,
//! and counted. A worker that reads a file waits: the file does not run away.

use crate::meter::flow::{FlowBatch, Outlet};
use crossbeam::channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A worker's end.
pub(super) struct Supply {
    full: Sender<Box<FlowBatch>>,
    empty: Receiver<Box<FlowBatch>>,
    patient: bool,
}

/// The exporter's end: what workers sent, and where emptied batches go back to.
pub(super) struct Returns {
    pub(super) full: Receiver<Box<FlowBatch>>,
    empty: Sender<Box<FlowBatch>>,
    /// Workers that have not finished.
    pub(super) workers: Arc<AtomicUsize>,
}

/// `batches` batches between `workers` workers and one exporter. `patient` workers wait for an empty one.
pub(super) fn supply(workers: usize, batches: usize, patient: bool) -> (Vec<Supply>, Returns) {
    let (full_in, full_out) = bounded(batches);
    let (empty_in, empty_out) = bounded(batches);
    for _ in 0..batches {
        // There is room for all of them: this cannot fail.
        let _ = empty_in.try_send(Box::new(FlowBatch::with_room()));
    }
    let supplies = (0..workers)
        .map(|_| Supply { full: full_in.clone(), empty: empty_out.clone(), patient })
        .collect();
    let workers = Arc::new(AtomicUsize::new(workers));
    (supplies, Returns { full: full_out, empty: empty_in, workers })
}

impl Supply {
    /// From here on an empty batch is waited for: nothing is captured any more that could be missed meanwhile.
    pub(super) fn wait(&mut self) {
        self.patient = true;
    }
}

impl Outlet for Supply {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        if self.patient { self.empty.recv().ok() } else { self.empty.try_recv().ok() }
    }

    fn ended(&mut self, batch: Box<FlowBatch>) {
        // As many places as batches: never full. Closed only when the exporter is gone, and then the process ends.
        let _ = self.full.send(batch);
    }
}

impl Returns {
    /// Gives a batch back to be filled again.
    pub(super) fn give_back(&self, mut batch: Box<FlowBatch>) {
        batch.clear();
        let _ = self.empty.try_send(batch);
    }

    /// Whether every worker has finished.
    pub(super) fn finished(&self) -> bool {
        self.workers.load(Ordering::Acquire) == 0
    }
}
