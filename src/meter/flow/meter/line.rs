//! What a batch's packets need of the table, on its way before they are counted.

use crate::meter::flow::table::{NONE, Table};
use crate::meter::packet::{Facts, Packets};

/// Packets between the look at a bucket and the search in it: what reading them takes is about what memory takes to answer.
pub(super) const LEAD: usize = 12;

/// The first two steps of the packets of a batch. Each packet's hash and bucket are looked at when it is read, the bucket is
/// searched [`LEAD`] packets later: what a step needs of memory is on its way while other packets are read.
///
/// A key that is not final yet (biflow, chain as key, tunnel) is searched in vain: that costs time, and changes nothing.
pub(super) struct Line {
    hashes: [u64; Packets::CAPACITY],
    pub(super) candidates: [u32; Packets::CAPACITY],
}

impl Line {
    /// Room for a batch.
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { hashes: [0; Packets::CAPACITY], candidates: [NONE; Packets::CAPACITY] })
    }

    /// Hashes the packets from `at` on and brings their buckets near; returns how many packets are hashed now.
    #[inline(always)]
    pub(super) fn hash(&mut self, facts: &[Facts], mut at: usize, table: &Table) -> usize {
        while let Some((facts, hash)) = facts.get(at).zip(self.hashes.get_mut(at)) {
            *hash = table.hash(&facts.key);
            table.prefetch(*hash);
            at += 1;
        }
        at
    }

    /// Searches the buckets of the packets from `at` up to `end` and brings the entries found near; returns `end`.
    #[inline(always)]
    pub(super) fn search(&mut self, end: usize, mut at: usize, table: &Table) -> usize {
        while at < end
            && let Some((hash, candidate)) = self.hashes.get(at).zip(self.candidates.get_mut(at))
        {
            *candidate = table.candidate(*hash);
            at += 1;
        }
        at
    }
}
