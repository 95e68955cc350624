//! Ended flows from a worker to the exporter: a fixed number of batches that go round.
//!
//! A worker that watches a wire never waits: with no empty batch its flows are lost, and counted. A worker that reads a file waits: the
//! file does not run away.
//!
//! A few batches are *warm*: used again and again, they keep the room that rich flows took, so nothing is allocated while they
//! suffice. The others are for a wave of ended flows; back from it they keep room for plain flows only. Were all to go round in turn, each would
//! come to have the room of the richest flows there ever were.

use crate::meter::flow::{FlowBatch, Outlet};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded, select};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A worker's end.
pub(super) struct Supply {
    full: Sender<Box<FlowBatch>>,
    warm: Receiver<Box<FlowBatch>>,
    cold: Receiver<Box<FlowBatch>>,
    patient: bool,
}

/// The exporter's end: what workers sent, and where emptied batches go back to.
pub(super) struct Returns {
    pub(super) full: Receiver<Box<FlowBatch>>,
    warm: Sender<Box<FlowBatch>>,
    cold: Sender<Box<FlowBatch>>,
    /// Workers that have not finished.
    pub(super) workers: Arc<AtomicUsize>,
}

/// Warm batches a worker: one that it fills, one that is read, and as many on the way.
const WARM: usize = 4;

/// `batches` batches between `workers` workers and one exporter. `patient` workers wait for an empty one.
pub(super) fn supply(workers: usize, batches: usize, patient: bool) -> (Vec<Supply>, Returns) {
    let (full_in, full_out) = bounded(batches);
    let (warm_in, warm_out) = bounded(batches.min(WARM * workers.max(1)));
    let (cold_in, cold_out) = bounded(batches);
    for _ in 0..batches {
        // There is room for all of them: this cannot fail.
        let _ = cold_in.try_send(Box::new(FlowBatch::with_room()));
    }
    let supplies = (0..workers)
        .map(|_| Supply {
            full: full_in.clone(),
            warm: warm_out.clone(),
            cold: cold_out.clone(),
            patient,
        })
        .collect();
    let workers = Arc::new(AtomicUsize::new(workers));
    (supplies, Returns { full: full_out, warm: warm_in, cold: cold_in, workers })
}

impl Supply {
    /// From here on an empty batch is waited for: nothing is captured any more that could be missed meanwhile.
    pub(super) fn wait(&mut self) {
        self.patient = true;
    }
}

impl Outlet for Supply {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        let at_hand = self.warm.try_recv().or_else(|_| self.cold.try_recv()).ok();
        if at_hand.is_some() || !self.patient {
            return at_hand;
        }
        select! {
            recv(self.warm) -> batch => batch.ok(),
            recv(self.cold) -> batch => batch.ok(),
        }
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
        if let Err(TrySendError::Full(mut batch)) = self.warm.try_send(batch) {
            batch.keep_plain_room();
            let _ = self.cold.try_send(batch);
        }
    }

    /// Whether every worker has finished.
    pub(super) fn finished(&self) -> bool {
        self.workers.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::flow::Extra;

    /// Sends `count` batches of rich flows at once, and gives them back.
    fn wave(supply: &mut Supply, returns: &Returns, count: usize) {
        for _ in 0..count {
            let mut batch = supply.empty().expect("a batch");
            batch.extras.resize(FlowBatch::CAPACITY, Extra::default());
            supply.ended(batch);
        }
        for batch in returns.full.try_iter().collect::<Vec<_>>() {
            returns.give_back(batch);
        }
    }

    #[test]
    fn only_a_few_batches_keep_the_room_of_rich_flows() {
        let (mut supplies, returns) = supply(1, 64, false);
        let supply = &mut supplies[0];
        for count in [1, 3, 64, 20, 2, 64] {
            wave(supply, &returns, count);
        }
        let all: Vec<_> = std::iter::from_fn(|| supply.empty()).collect();
        assert_eq!(all.len(), 64, "none is lost");
        assert!(all.iter().all(|batch| batch.extras.is_empty()));
        assert!(all.iter().all(|batch| batch.flows.capacity() >= FlowBatch::CAPACITY));
        assert_eq!(all.iter().filter(|batch| batch.extras.capacity() > 0).count(), WARM);
    }

    #[test]
    fn the_same_batches_are_used_again() {
        let (mut supplies, returns) = supply(1, 64, true);
        wave(&mut supplies[0], &returns, 2);
        for _ in 0..100 {
            let first = supplies[0].empty().expect("a batch");
            assert!(first.extras.capacity() >= FlowBatch::CAPACITY);
            supplies[0].ended(first);
            returns.give_back(returns.full.recv().expect("it"));
        }
    }

    #[test]
    fn a_patient_worker_gets_what_comes_back() {
        let (mut supplies, returns) = supply(1, 8, true);
        let taken: Vec<_> = (0..8).filter_map(|_| supplies[0].empty()).collect();
        let returned = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            taken.into_iter().for_each(|batch| returns.give_back(batch));
            returns
        });
        assert_eq!((0..8).filter_map(|_| supplies[0].empty()).count(), 8);
        drop(returned.join().expect("the exporter"));
        assert!(supplies[0].empty().is_none(), "the exporter is gone");
    }
}
