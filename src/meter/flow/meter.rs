//! The meter of one worker: frames in, ended flows out.
//!
//! A packet takes three steps through the table: when it is read, its key is hashed and the bucket brought near; some packets
//! later the bucket is searched and the entry found brought near; when the batch is read, every entry is compared in full and
//! updated. So the memory latency of one packet is hidden behind the work on the others.
//!
//! Records of a key follow each other by the rules of `docs/semantics.md`, "Flow, record, and its end": judged when a packet
//! arrives, and by a sweep over the table that only ever ends what those rules would end. Time is that of the frames.
//!
//! Invariant: packets parsed = packets in the table + held as fragments + in ended records.

mod due;
mod expiry;
mod line;
mod more;

use super::chains::Chains;
use super::extra::{NoExtra, Pool};
use super::fragments::{self, Fragments, Judged};
use super::hash::Secret;
use super::numbers::Numbers;
use super::table::{Insert, NONE, Table, prefetch};
use super::{FlowBatch, FlowRecord, Key, Tunnel, end_reason, feature};
use crate::capture::{Frame, Timestamp};
use crate::meter::packet::{self, Detail, Facts, Packets};
use due::Due;
use line::{LEAD, Line};
use more::{More, NO_VERDICT};

/// TCP FIN and RST.
const FIN_RST: u16 = 0x05;
/// Frames ahead of the one in hand that are brought near.
const AHEAD: usize = 4;
/// `due` counts in units of 2²⁷ ns (134 ms) from the first frame: 18 years in 32 bits.
const DUE_SHIFT: u32 = 27;

/// What a meter is made with. Part of the plan, resolved once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Flows the table has room for.
    pub capacity: usize,
    /// Flows that can have an [`super::Extra`] at a time.
    pub extras: usize,
    /// Nanoseconds of silence that end a record (reason 1).
    pub idle: u64,
    /// Nanoseconds of age at which a record ends (reason 2).
    pub active: u64,
    /// Nanoseconds of silence after a FIN or RST that end a record (reason 3).
    pub tcp_end: u64,
    /// Bounds of the fragment table.
    pub fragments: fragments::Limits,
    /// What the parser is asked for.
    pub parse: packet::Options,
    /// Both directions of a conversation in one record (RFC 5103). Needs `parse.detail` and as many extras as flows.
    pub biflow: bool,
    /// The chain of extension headers is part of the Flow Key. Needs `parse.detail`.
    pub chain_key: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1 << 20,
            extras: 1 << 18,
            idle: 30_000_000_000,
            active: 300_000_000_000,
            tcp_end: 5_000_000_000,
            fragments: fragments::Limits::default(),
            parse: packet::Options::default(),
            biflow: false,
            chain_key: false,
        }
    }
}

/// Where ended flows go: a bounded supply of batches.
pub trait Outlet {
    /// An empty batch, or `None` if all are in use: then flows are lost, and counted.
    fn empty(&mut self) -> Option<Box<FlowBatch>>;
    /// Takes a batch with flows.
    fn ended(&mut self, batch: Box<FlowBatch>);
}

/// Counters of the flow side of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records begun.
    pub created: u64,
    /// Records ended, by flowEndReason (index 0 unused).
    pub ended: [u64; 6],
    /// Packets in ended records.
    pub ended_packets: u64,
    /// Octets in ended records.
    pub ended_octets: u64,
    /// Records lost because no batch was free.
    pub lost_flows: u64,
    /// Packets in them.
    pub lost_packets: u64,
    /// Octets in them.
    pub lost_octets: u64,
    /// Flows that needed an extra when none was free.
    pub extras_lost: u64,
}

/// One worker's Metering Process.
pub struct FlowMeter {
    packets: Packets,
    line: Box<Line>,
    flows: Flows,
}

/// The flow side: all but the packets of the batch in hand.
struct Flows {
    settings: Settings,
    table: Table,
    due: Due,
    extras: Pool,
    chains: Chains,
    tunnels: Numbers<Tunnel>,
    fragments: Fragments,
    judged: Vec<Judged>,
    batch: Option<Box<FlowBatch>>,
    counters: Counters,
    base: Option<Timestamp>,
    now: Timestamp,
    swept: Timestamp,
    hand: usize,
}

/// Why a meter cannot be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum MeterError {
    /// The capacity is 0 or beyond 32 bits.
    #[error("a flow table for {0} flows cannot be: choose 1 to 4294967294")]
    Capacity(usize),
    /// The memory cannot be had.
    #[error("no memory for a flow table of {0} flows ({1} MiB): choose fewer flows")]
    Memory(usize, usize),
}

impl FlowMeter {
    /// A meter with empty tables. `random`: 96 octets nobody else knows.
    ///
    /// # Errors
    /// [`MeterError`].
    pub fn new(settings: Settings, random: [u8; 96]) -> Result<Self, MeterError> {
        let capacity = settings.capacity;
        if capacity == 0 || capacity >= NONE as usize {
            return Err(MeterError::Capacity(capacity));
        }
        let (mut table, mut fragments, mut chains) = ([0; 64], [0; 16], [0; 16]);
        table.copy_from_slice(&random[..64]);
        fragments.copy_from_slice(&random[64..80]);
        chains.copy_from_slice(&random[80..]);
        let memory = MeterError::Memory(capacity, capacity.saturating_mul(160) >> 20);
        let flows = Flows {
            table: Table::new(capacity, Secret::new(table)).ok_or(memory)?,
            due: Due::new(capacity).ok_or(memory)?,
            extras: Pool::new(settings.extras.min(capacity), settings.parse.user),
            chains: Chains::new(chains),
            tunnels: Numbers::new(chains),
            fragments: Fragments::new(settings.fragments, fragments),
            judged: Vec::new(),
            batch: None,
            counters: Counters::default(),
            base: None,
            now: Timestamp(0),
            swept: Timestamp(0),
            hand: 0,
            settings,
        };
        Ok(Self { packets: Packets::default(), line: Line::new(), flows })
    }

    /// Meters a batch of frames (at most [`crate::capture::BATCH`]).
    pub fn frames(&mut self, frames: &[Frame<'_>], outlet: &mut dyn Outlet) {
        let Self { packets, line, flows } = self;
        packets.clear();
        let (mut latest, mut hashed, mut searched) = (Timestamp(0), 0, 0);
        for (place, frame) in frames.iter().enumerate() {
            if let Some(next) = frames.get(place + AHEAD) {
                bring_near(next);
            }
            packet::read(frame, &flows.settings.parse, packets);
            latest = latest.max(frame.time);
            hashed = line.hash(packets.facts(), hashed, &flows.table);
            searched = line.search(hashed.saturating_sub(LEAD), searched, &flows.table);
        }
        line.search(hashed, searched, &flows.table);
        flows.advance(latest);
        flows.count(&line.candidates, Batch { packets, frames }, outlet);
        flows.sweep(outlet);
    }

    /// Other timeouts from now on, in nanoseconds, for the flows that go on, too. A walk over all entries.
    pub fn set_timeouts(&mut self, active: u64, idle: u64) {
        self.flows.set_timeouts(active, idle);
    }

    /// Hands on the flows that ended since the last full batch. To be called when the source is idle.
    pub fn flush(&mut self, outlet: &mut dyn Outlet) {
        self.flows.flush(outlet);
    }

    /// Time goes on without frames: expires as if a frame had come at `now`, and hands on what has ended.
    pub fn idle(&mut self, now: Timestamp, outlet: &mut dyn Outlet) {
        if self.flows.base.is_some() {
            self.flows.advance(now);
            self.flows.release_fragments(self.flows.now, outlet);
            self.flows.sweep(outlet);
            self.flows.flush(outlet);
        }
    }

    /// Ends everything (reason 3 for a closing TCP flow, 1 for one already silent for too long, else 4) and hands it on.
    pub fn finish(&mut self, outlet: &mut dyn Outlet) {
        self.flows.finish(outlet);
    }

    /// Packets and octets that are in the table now. Walks the table: for the ledger at rest, not for the loop.
    #[must_use]
    pub fn resident(&self) -> (u64, u64) {
        let table = &self.flows.table;
        (0..table.high_water()).filter_map(|index| table.used(index)).fold(
            (0, 0),
            |(packets, octets), record| {
                let reverse = self.flows.extras.peek(record.extra).map(|extra| extra.reverse);
                let reverse = reverse.unwrap_or_default();
                (
                    packets + record.packets + reverse.packets,
                    octets + record.octets + reverse.octets,
                )
            },
        )
    }

    /// Entries of the table that were ever used, and so the end of what [`Self::live`] can show.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.flows.table.high_water()
    }

    /// The live records in a slice of the table, with what is kept beside them: for a look at the flows, slice by slice.
    pub fn live(
        &self,
        entries: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (&FlowRecord, Option<&super::Extra>)> {
        entries
            .filter_map(|index| self.flows.table.used(index))
            .map(|record| (record, self.flows.extras.peek(record.extra)))
    }

    /// Counters of the flow side.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.flows.counters
    }

    /// Frames by outcome.
    #[must_use]
    pub fn outcomes(&self) -> packet::Outcomes {
        self.packets.outcomes()
    }

    /// Counters of the fragment table.
    #[must_use]
    pub fn fragment_counters(&self) -> fragments::Counters {
        self.flows.fragments.counters
    }

    /// Packets held as fragments now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.flows.fragments.held()
    }

    /// Flows in the table now, and the room there is.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        (self.flows.table.len(), self.flows.table.capacity())
    }

    /// Latest time seen.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.flows.now
    }

    /// Chains that found no room in the table of chains.
    #[must_use]
    pub fn chains_overflow(&self) -> u64 {
        self.flows.chains.overflow()
    }

    /// Packets in tunnels that found no room in the table of tunnels: their flows are told apart by their own header only.
    #[must_use]
    pub fn tunnels_overflow(&self) -> u64 {
        self.flows.tunnels.overflow
    }

    /// The keyed hash of `key`, as this meter's table uses it: for measurements and tests.
    #[must_use]
    pub fn hash(&self, key: &Key) -> u64 {
        self.flows.table.hash(key)
    }

    /// The live record of `key`.
    #[must_use]
    pub fn record(&self, key: &Key) -> Option<&FlowRecord> {
        let table = &self.flows.table;
        table.used(table.find(table.hash(key), key)? as usize)
    }
}

impl Flows {
    fn advance(&mut self, time: Timestamp) {
        if self.base.is_none() {
            self.base = Some(time);
            self.swept = time;
        }
        self.now = self.now.max(time);
    }

    /// Packets of a batch, in order. `candidates`: where the search has led for each.
    fn count(&mut self, candidates: &[u32], batch: Batch<'_>, outlet: &mut dyn Outlet) {
        let (idle, active) = (self.settings.idle, self.settings.active);
        for (facts, candidate) in batch.packets.facts().iter().zip(candidates) {
            if self.fragments.any_over(facts.time) {
                self.release_fragments(facts.time, outlet);
            }
            if facts.detail == Facts::PLAIN
                && let Some(record) = self.table.matching(*candidate, &facts.key)
                && facts.time.since(record.last) <= idle
                && facts.time.since(record.first) <= active
                && (record.features & feature::CLOSING) == 0
                && facts.tcp_flags & FIN_RST == 0
                && (facts.chain.is_none() || record.has_chain_of(facts))
            {
                record.count(facts);
            } else {
                self.count_special(facts, batch, outlet);
            }
        }
    }

    /// A packet that the last pass does not count at once.
    #[inline(never)]
    fn count_special(&mut self, facts: &Facts, batch: Batch<'_>, outlet: &mut dyn Outlet) {
        let Some(detail) = batch.packets.detail(facts) else {
            let more = More::Chain(batch.frames.get(usize::from(facts.frame)));
            self.count_one(facts, if facts.chain.is_none() { More::Nothing } else { more }, outlet);
            return;
        };
        let carried = (facts.key.tunnel_level() > 0).then(|| self.carried(facts, detail));
        let facts = carried.as_ref().unwrap_or(facts);
        if let Some(fragment) = detail.fragment
            && !(fragment.atomic() && facts.key.is_ipv6())
        {
            let mut judged = std::mem::take(&mut self.judged);
            self.fragments.take(facts, detail, &fragment, &mut judged);
            self.count_judged(&mut judged, outlet);
            self.judged = judged;
        } else {
            self.count_one(facts, More::Detail(detail, &NO_VERDICT), outlet);
        }
    }

    /// Counts the fragments that no first one has come for by `time`.
    #[inline(never)]
    fn release_fragments(&mut self, time: Timestamp, outlet: &mut dyn Outlet) {
        let mut judged = std::mem::take(&mut self.judged);
        self.fragments.expire(time, &mut judged);
        self.count_judged(&mut judged, outlet);
        self.judged = judged;
    }

    fn count_judged(&mut self, judged: &mut Vec<Judged>, outlet: &mut dyn Outlet) {
        for packet in judged.drain(..) {
            let more = More::Detail(&packet.detail, &packet.verdict);
            self.count_one(&packet.facts, more, outlet);
        }
    }

    /// The packet with what carries it in its key: the same addresses in two tunnels are two networks.
    fn carried(&mut self, facts: &Facts, detail: &Detail) -> Facts {
        let (mut facts, mut tunnel) = (*facts, detail.tunnel);
        if self.settings.biflow {
            tunnel = tunnel.either_way();
        }
        facts.key.0[5] |= Key::word5(0, 0, 0, self.tunnels.number(&tunnel) as u16, 0);
        facts
    }

    /// The key under which the packet is counted: turned for a biflow, with the chain where that is a key.
    fn final_key(&mut self, facts: &mut Facts, detail: Option<&Detail>) {
        if self.settings.biflow && packet::transport::has_two_ports(facts.key.protocol()) {
            (facts.key, facts.reversed) = facts.key.turned();
        }
        if self.settings.chain_key
            && facts.features & feature::HEADERS != 0
            && let Some(detail) = detail
        {
            // 0 is for packets without a chain.
            let number = self.chains.number(&detail.chain) as u16 + 1;
            facts.key.0[5] |= Key::word5(0, 0, number, 0, 0);
        }
    }

    /// One packet, the careful way: finds or makes its record, ends what has to end.
    #[inline(never)]
    fn count_one(&mut self, facts: &Facts, more: More<'_>, outlet: &mut dyn Outlet) {
        let mut facts = *facts;
        if self.settings.biflow || self.settings.chain_key {
            self.final_key(&mut facts, more.detail());
        }
        let hash = self.table.hash(&facts.key);
        let known = self.table.find(hash, &facts.key);
        let ends = known.and_then(|index| {
            self.settings.ends(self.table.entry(index), facts.time).map(|reason| (index, reason))
        });
        if let Some((index, reason)) = ends {
            self.end(index, hash, reason, outlet);
        }
        let index = match known {
            Some(index) if ends.is_none() => index,
            _ => self.begin(&facts, hash, outlet),
        };
        let record = self.table.entry(index);
        if !matches!(more, More::Nothing)
            && let Err(NoExtra::First) = self.extras.take_for(record)
        {
            self.counters.extras_lost += 1;
        }
        if let More::Detail(detail, _) = more
            && record.extra != FlowRecord::NO_EXTRA
        {
            self.extras.count_user(record.extra, detail);
        }
        let reversed = facts.reversed != (record.features & feature::TURNED != 0);
        if reversed && record.extra != FlowRecord::NO_EXTRA {
            let extra = self.extras.extra(record.extra);
            extra.reverse.count(&facts);
            record.features |= feature::REVERSE;
            record.last = record.last.max(facts.time);
        } else {
            record.count(&facts);
            if record.extra != FlowRecord::NO_EXTRA {
                let extra = self.extras.extra(record.extra);
                more.count(record, extra, &facts, &self.settings.parse, &mut self.chains);
            }
        }
        if facts.tcp_flags & FIN_RST != 0 && record.features & feature::CLOSING == 0 {
            record.features |= feature::CLOSING;
            let due = self.coarse(Timestamp(facts.time.0.saturating_add(self.settings.tcp_end)));
            self.due.set(index as usize, due);
        }
    }

    fn begin(&mut self, facts: &Facts, hash: u64, outlet: &mut dyn Outlet) -> u32 {
        let index = loop {
            match self.table.insert(hash, &facts.key) {
                Insert::Entry(index) => break index,
                Insert::Evict(victim) => {
                    let key = self.table.entry(victim).key;
                    let hash = self.table.hash(&key);
                    self.end(victim, hash, end_reason::RESOURCES, outlet);
                }
            }
        };
        self.counters.created += 1;
        let record = self.table.entry(index);
        record.begin(facts);
        let due = self.coarse(Timestamp(facts.time.0.saturating_add(self.settings.idle)));
        self.due.set(index as usize, due);
        index
    }

    /// Other timeouts, for the flows that go on, too.
    fn set_timeouts(&mut self, active: u64, idle: u64) {
        self.settings.active = active;
        self.settings.idle = idle;
        // A shorter timeout may be over before an entry was to be looked at: the next sweep looks at all in use.
        self.due.hasten();
    }

    fn coarse(&self, time: Timestamp) -> u32 {
        let units = time.since(self.base.unwrap_or_default()) >> DUE_SHIFT;
        u32::try_from(units).unwrap_or(u32::MAX - 1)
    }
}

/// A batch of frames and the packets in them.
#[derive(Clone, Copy)]
struct Batch<'a> {
    packets: &'a Packets,
    frames: &'a [Frame<'a>],
}

/// The first cache lines of a frame: where the headers of a plain one are.
#[inline(always)]
fn bring_near(frame: &Frame<'_>) {
    for place in [0, 63] {
        if let Some(octet) = frame.data.get(place) {
            prefetch(octet);
        }
    }
}

impl FlowRecord {
    /// The values of the first packet. The key is set, the counters are zero.
    fn begin(&mut self, facts: &Facts) {
        self.first = facts.time;
        self.last = facts.time;
        self.min_length = u32::MAX;
        self.label = facts.label;
        self.extra = Self::NO_EXTRA;
        self.interface = facts.interface;
        self.hop_limit = facts.hop_limit;
        self.min_hop_limit = facts.hop_limit;
        self.max_hop_limit = facts.hop_limit;
        self.traffic_class = facts.traffic_class;
        self.next_header = facts.next_header;
        self.features = if facts.reversed { feature::TURNED } else { 0 };
    }

    /// Whether the extra has all that the packet has beside the plain facts.
    #[inline(always)]
    fn has_chain_of(&self, facts: &Facts) -> bool {
        self.chain == facts.chain && self.has(facts.features)
    }

    /// Counts one packet.
    #[inline(always)]
    fn count(&mut self, facts: &Facts) {
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
        self.features |= facts.features;
    }
}
