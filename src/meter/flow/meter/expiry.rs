//! The end of records: the sweep that finds silent ones, and what happens to a record that ends.
//!
//! Invariant: the sweep only ever ends what the next packet of the flow would end, so that a record does not depend on
//! when the sweep comes by. It takes entries in groups, as packets are taken: what one record needs from memory is on its
//! way while others are worked on.

use super::due::Due;
use super::{Flows, Settings};
use crate::capture::Timestamp;
use crate::meter::flow::{CHAINS, FlowBatch, FlowRecord, Outlet, end_reason, feature};
use arrayvec::ArrayVec;
use std::ops::Range;

/// Nanoseconds in which the sweep passes the whole table once.
const SWEEP: u64 = 1_000_000_000;
/// Fewer entries than this are not worth a turn of the sweep.
const SLICE: usize = 256;
/// Entries that are looked at together.
const GROUP: usize = Due::GROUP;

/// A record that ends: its index, the hash of its key, flowEndReason.
type Ending = (u32, u64, u8);

impl Flows {
    /// A turn of the clock hand: as many entries as the time since the last turn is worth.
    pub(super) fn sweep(&mut self, outlet: &mut dyn Outlet) {
        let entries = self.table.high_water();
        let passed = self.now.since(self.swept).min(SWEEP);
        // No overflow: there are fewer than 2³² entries.
        let slice = (entries as u64 * passed / SWEEP) as usize;
        if slice < SLICE.min(entries) || slice == 0 {
            return;
        }
        self.swept = self.now;
        // Held fragments will be counted at their own, earlier times: nothing may idle out past those.
        let now = self.fragments.oldest_held().map_or(self.now, |held| held.min(self.now));
        let coarse = self.coarse(now);
        // Whole groups: a turn may go somewhat further than it has to.
        for _ in 0..slice.div_ceil(GROUP) {
            if self.hand >= entries {
                self.hand = 0;
            }
            let start = self.hand;
            self.hand += GROUP;
            if self.due.may_be_before(start, coarse) {
                self.examine(start..entries.min(start + GROUP), coarse, now, outlet);
                self.due.settle(start);
            }
        }
    }

    /// Ends the silent ones of `group`, and notes for the others when to look again.
    fn examine(
        &mut self,
        group: Range<usize>,
        coarse: u32,
        now: Timestamp,
        outlet: &mut dyn Outlet,
    ) {
        let mut ripe = ArrayVec::<usize, GROUP>::new();
        for index in group {
            if self.due.is_before(index, coarse) {
                self.table.near(index);
                ripe.push(index);
            }
        }
        let mut ending = ArrayVec::<Ending, GROUP>::new();
        for index in ripe {
            let Some(record) = self.table.used(index) else {
                self.due.clear(index);
                continue;
            };
            if let Some(reason) = self.settings.silent(record, now) {
                let hash = self.table.hash(&record.key);
                self.table.prefetch(hash);
                ending.push((index as u32, hash, reason));
            } else {
                let patience = self.settings.patience(record);
                let due = self.coarse(Timestamp(record.last.0.saturating_add(patience)));
                self.due.set(index, due);
            }
        }
        self.end_all(ending, outlet);
    }

    fn end_all(&mut self, ending: ArrayVec<Ending, GROUP>, outlet: &mut dyn Outlet) {
        for (index, hash, reason) in ending {
            self.end(index, hash, reason, outlet);
        }
    }

    /// Takes a record, whose key has `hash`, out of the table and hands it on.
    pub(super) fn end(&mut self, index: u32, hash: u64, reason: u8, outlet: &mut dyn Outlet) {
        let mut record = self.table.remove(index, hash);
        self.due.clear(index as usize);
        record.end_reason = reason;
        let place = record.extra;
        let extra = (place != FlowRecord::NO_EXTRA).then(|| self.extras.give_back(place));
        let reverse = extra.map_or((0, 0), |extra| (extra.reverse.packets, extra.reverse.octets));
        let (packets, octets) = (record.packets + reverse.0, record.octets + reverse.1);
        if self.settings.biflow {
            if record.features & feature::TURNED != 0 {
                record.key = record.key.reverse();
            }
            record.last = extra.map_or(record.last, |extra| extra.forward_last);
        }
        self.counters.ended[usize::from(reason)] += 1;
        self.counters.ended_packets += packets;
        self.counters.ended_octets += octets;
        if self.batch.is_none() {
            self.batch = outlet.empty();
        }
        let Some(batch) = &mut self.batch else {
            self.counters.lost_flows += 1;
            self.counters.lost_packets += packets;
            self.counters.lost_octets += octets;
            return;
        };
        if let Some(mut extra) = extra {
            record.extra = batch.extras.len() as u32;
            extra.first_chain = batch.chains.len() as u32;
            let count = usize::from(extra.chain_count).min(CHAINS);
            let numbers = &extra.chains[..count];
            batch.chains.extend(numbers.iter().map(|number| self.chains.chain(*number)));
            extra.first_user = batch.user.len() as u32;
            batch.user.extend_from_slice(self.extras.user(place));
            batch.extras.push(extra);
        }
        batch.flows.push(record);
        if batch.flows.len() >= FlowBatch::CAPACITY {
            self.flush(outlet);
        }
    }

    /// Hands on the batch in the making.
    pub(super) fn flush(&mut self, outlet: &mut dyn Outlet) {
        if let Some(batch) = self.batch.take_if(|batch| !batch.flows.is_empty()) {
            outlet.ended(batch);
        }
    }

    /// Ends everything.
    pub(super) fn finish(&mut self, outlet: &mut dyn Outlet) {
        let mut judged = std::mem::take(&mut self.judged);
        self.fragments.finish(&mut judged);
        self.count_judged(&mut judged, outlet);
        self.judged = judged;
        let entries = self.table.high_water();
        for start in (0..entries).step_by(GROUP) {
            let mut ending = ArrayVec::<Ending, GROUP>::new();
            for index in start..entries.min(start + GROUP) {
                let Some(record) = self.table.used(index) else { continue };
                let reason = if record.features & feature::CLOSING != 0 {
                    end_reason::END
                } else if self.now.since(record.last) > self.settings.idle {
                    end_reason::IDLE
                } else {
                    end_reason::FORCED
                };
                let hash = self.table.hash(&record.key);
                self.table.prefetch(hash);
                ending.push((index as u32, hash, reason));
            }
            self.end_all(ending, outlet);
        }
        self.flush(outlet);
    }
}

impl Settings {
    /// How long the record may be silent.
    fn patience(&self, record: &FlowRecord) -> u64 {
        if record.features & feature::CLOSING == 0 {
            self.idle
        } else {
            self.tcp_end.min(self.idle)
        }
    }

    /// Why the record, silent at `now`, has ended, if it has.
    fn silent(&self, record: &FlowRecord, now: Timestamp) -> Option<u8> {
        let silence = now.since(record.last);
        if record.features & feature::CLOSING != 0 && silence > self.tcp_end {
            Some(end_reason::END)
        } else if silence > self.idle {
            Some(end_reason::IDLE)
        } else {
            None
        }
    }

    /// Why a packet at `now` is no longer of the record, if it is not.
    pub(super) fn ends(&self, record: &FlowRecord, now: Timestamp) -> Option<u8> {
        self.silent(record, now)
            .or_else(|| (now.since(record.first) > self.active).then_some(end_reason::ACTIVE))
    }
}
