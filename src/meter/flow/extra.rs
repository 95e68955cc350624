//! What is kept beside a flow's plain facts: a bounded pool, and how a packet's detail goes into it.

use super::chains::Chains;
use super::fragments::Verdict;
use super::{CHAINS, DISTINCT, Distinct, Extra, FlowRecord, Fragments, feature};
use crate::meter::packet::{Detail, Facts, Fragment};

/// Extras in use and free. Never grows beyond the room it was made with.
#[derive(Debug)]
pub(super) struct Pool {
    extras: Vec<Extra>,
    free: Vec<u32>,
    capacity: usize,
}

impl Pool {
    pub(super) fn new(capacity: usize) -> Self {
        Self { extras: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity), capacity }
    }

    /// An empty extra, or `None` if all are in use.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            self.extras[index as usize] = Extra::default();
            return Some(index);
        }
        if self.extras.len() == self.capacity {
            return None;
        }
        self.extras.push(Extra::default());
        Some(self.extras.len() as u32 - 1)
    }

    /// Takes the extra at `index` out.
    pub(super) fn give_back(&mut self, index: u32) -> Extra {
        self.free.push(index);
        self.extras[index as usize]
    }

    pub(super) fn extra(&mut self, index: u32) -> &mut Extra {
        &mut self.extras[index as usize]
    }
}

impl Distinct {
    /// Takes in one more value.
    pub(super) fn add(&mut self, value: u32) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let known = usize::from(self.count).min(DISTINCT);
        if !self.values[..known].contains(&value) && usize::from(self.count) <= DISTINCT {
            if let Some(slot) = self.values.get_mut(known) {
                *slot = value;
            }
            self.count += 1;
        }
    }
}

impl Extra {
    /// Takes in one packet. `record` has already counted it; `record.packets` is 1 for the first.
    pub(super) fn count(
        &mut self,
        record: &mut FlowRecord,
        facts: &Facts,
        detail: &Detail,
        verdict: &Verdict,
        chains: &mut Chains,
    ) {
        if record.packets == 1 {
            self.layer2 = detail.layer2;
            self.mpls = detail.mpls;
            self.mpls_depth = detail.mpls_depth;
            self.tunnel = detail.tunnel;
        } else {
            self.layer2.octets += detail.layer2.octets;
        }
        self.tcp_options.merge(&detail.tcp_options);
        if let Some(fragment) = &detail.fragment {
            self.fragments.count(fragment, verdict);
        }
        if facts.features & feature::SPI != 0 && self.seen & feature::SPI == 0 {
            self.spi = detail.spi;
        }
        if facts.features & feature::SEGMENTS != 0 && self.seen & feature::SEGMENTS == 0 {
            self.segments = detail.segments;
        }
        self.seen |= facts.features;
        if facts.features & feature::HEADERS != 0 {
            self.add_chain(chains.number(&detail.chain));
        }
        if facts.key.is_ipv6() {
            self.labels.add(facts.label);
        }
        self.traffic_classes.add(u32::from(facts.traffic_class));
        self.hop_limits.add(u32::from(facts.hop_limit));
        if self.labels.count > 1 || self.traffic_classes.count > 1 || self.hop_limits.count > 1 {
            record.features |= feature::CHANGED;
        }
    }

    fn add_chain(&mut self, number: u32) {
        let known = usize::from(self.chain_count).min(CHAINS);
        if !self.chains[..known].contains(&number) && usize::from(self.chain_count) <= CHAINS {
            if let Some(slot) = self.chains.get_mut(known) {
                *slot = number;
            }
            self.chain_count += 1;
        }
    }
}

impl Fragments {
    fn count(&mut self, fragment: &Fragment, verdict: &Verdict) {
        if self.packets == 0 {
            self.identification = fragment.identification;
            self.offset = fragment.offset;
            self.flags = fragment.flags;
        }
        self.packets = self.packets.saturating_add(1);
        if fragment.offset != 0 && (self.min_offset == 0 || fragment.offset < self.min_offset) {
            self.min_offset = fragment.offset;
        }
        let add =
            |counter: &mut u32, once: bool| *counter = counter.saturating_add(u32::from(once));
        add(&mut self.atomic, fragment.atomic());
        add(&mut self.tiny, fragment.tiny);
        add(&mut self.duplicates, verdict.duplicate);
        add(&mut self.overlaps, verdict.overlap);
        add(&mut self.out_of_order, verdict.out_of_order);
        add(&mut self.incomplete, verdict.begins);
        if verdict.completes {
            self.incomplete = self.incomplete.saturating_sub(1);
        }
        if let Some(port) = verdict.rewritten_port
            && !self.ports_rewritten
        {
            self.ports_rewritten = true;
            self.rewritten_port = port;
        }
    }
}
