//! What is kept beside a flow's plain facts: a bounded pool, and how a packet's detail goes into it.

use super::chains::Chains;
use super::fragments::Verdict;
use super::user::Values;
use super::{CHAINS, DISTINCT, Distinct, Extra, FlowRecord, Fragments, Reverse, feature};
use crate::meter::packet::user::Extractions;
use crate::meter::packet::{Detail, Facts, Fragment};

/// Extras in use and free. Never grows beyond the room it was made with.
#[derive(Debug)]
pub(super) struct Pool {
    extras: Vec<Extra>,
    /// As many as `extras` if the plan has user-defined elements, else none.
    values: Vec<Values>,
    elements: Extractions,
    free: Vec<u32>,
    capacity: usize,
}

/// The pool is empty, and this is the first time that the flow finds it so, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoExtra {
    First,
    Again,
}

impl Pool {
    /// Sees that the flow has an extra.
    pub(super) fn take_for(&mut self, record: &mut FlowRecord) -> Result<(), NoExtra> {
        if record.extra != FlowRecord::NO_EXTRA {
            return Ok(());
        }
        if let Some(extra) = self.take() {
            record.extra = extra;
            return Ok(());
        }
        if record.has(feature::EXTRA_LOST) {
            return Err(NoExtra::Again);
        }
        record.features |= feature::EXTRA_LOST;
        Err(NoExtra::First)
    }

    pub(super) fn new(capacity: usize, elements: Extractions) -> Self {
        let values = if elements.is_empty() { 0 } else { capacity };
        Self {
            extras: Vec::with_capacity(capacity),
            values: Vec::with_capacity(values),
            elements,
            free: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// An empty extra, or `None` if all are in use.
    fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            self.extras[index as usize] = Extra::default();
            if let Some(values) = self.values.get_mut(index as usize) {
                *values = Values::default();
            }
            return Some(index);
        }
        if self.extras.len() == self.capacity {
            return None;
        }
        self.extras.push(Extra::default());
        if !self.elements.is_empty() {
            self.values.push(Values::default());
        }
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

    /// The extra at `index`, to be read.
    pub(super) fn peek(&self, index: u32) -> Option<&Extra> {
        self.extras.get(index as usize)
    }

    /// Takes the user-defined values of a packet into those of the flow at `index`.
    pub(super) fn count_user(&mut self, index: u32, detail: &Detail) {
        if let Some(values) = self.values.get_mut(index as usize) {
            values.count(&self.elements, detail);
        }
    }

    /// The user-defined values of the flow at `index`.
    pub(super) fn user(&self, index: u32) -> &[u64] {
        self.values.get(index as usize).map_or(&[], |values| values.values(self.elements.len()))
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
    /// Takes in one packet. `record` has already counted it; `record.packets` is 1 for the first. `wide`: every packet has a
    /// detail, so that what changes within a flow can be told.
    pub(super) fn count(
        &mut self,
        record: &mut FlowRecord,
        facts: &Facts,
        detail: &Detail,
        verdict: &Verdict,
        chains: &mut Chains,
        wide: bool,
    ) {
        if record.packets == 1 {
            self.layer2 = detail.layer2;
            self.mpls = detail.mpls;
            self.mpls_depth = detail.mpls_depth;
            self.tunnel = detail.tunnel;
        } else {
            self.layer2.octets += detail.layer2.octets;
        }
        if facts.features & feature::TCP_OPTIONS != 0 {
            self.tcp_options.merge(&detail.tcp_options);
        }
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
        if !wide {
            return;
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

    /// Takes in a packet whose short chain is all that it has beside the plain facts.
    pub(super) fn count_short(&mut self, facts: &Facts, chains: &mut Chains) {
        self.seen |= facts.features;
        self.add_chain(chains.number_of_short(facts.chain));
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

impl Reverse {
    /// Takes in one packet of the reverse direction.
    pub(super) fn count(&mut self, facts: &Facts) {
        if self.packets == 0 {
            self.first = facts.time;
            self.last = facts.time;
            self.min_length = u32::MAX;
            self.label = facts.label;
            self.hop_limit = facts.hop_limit;
            self.min_hop_limit = facts.hop_limit;
            self.traffic_class = facts.traffic_class;
            self.next_header = facts.next_header;
        }
        self.packets += 1;
        self.octets += u64::from(facts.length);
        self.first = self.first.min(facts.time);
        self.last = self.last.max(facts.time);
        self.min_length = self.min_length.min(facts.length);
        self.max_length = self.max_length.max(facts.length);
        self.min_hop_limit = self.min_hop_limit.min(facts.hop_limit);
        self.max_hop_limit = self.max_hop_limit.max(facts.hop_limit);
        self.headers |= facts.headers;
        self.tcp_flags |= facts.tcp_flags;
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
