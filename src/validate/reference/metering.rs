//! Frames to flows (sections 5 to 7 of the module above).
//!
//! In: frames in order of observation. Out: every record, and what became of every frame.
//! Invariants: frames = metered + Σ `unmetered`; metered = Σ `packets` of the flows (mode `both`: of level 0).

use super::facts::{self, Facts, Ports};
use super::flow::{Flow, Key, Observation};
use super::fragments::{Datagram, Verdict};
use super::link::{self, Link, Reason};
use super::tunnel::{self, Carrier};
use crate::capture::{Frame, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Which IP header of a packet in a packet makes the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelMode {
    /// The outermost.
    #[default]
    Outer,
    /// The innermost that can be read.
    Inner,
    /// Every one.
    Both,
}

/// How to meter.
#[derive(Clone, Debug)]
pub struct Options {
    /// A record older than this ends with the next packet.
    pub active: Duration,
    /// A record without packets for longer than this ends.
    pub idle: Duration,
    /// A record with FIN or RST and no packets for longer than this ends.
    pub tcp_end: Duration,
    /// Life of a datagram; never longer than `idle`.
    pub reassembly: Duration,
    /// Most extension headers to look at.
    pub header_limit: Option<usize>,
    /// Flow label and traffic class are part of the key.
    pub label_and_class_key: bool,
    /// The chain is part of the key.
    pub chain_key: bool,
    /// Which header makes the flow.
    pub tunnel: TunnelMode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            active: Duration::from_secs(300),
            idle: Duration::from_secs(30),
            tcp_end: Duration::from_secs(5),
            reassembly: Duration::from_secs(15),
            header_limit: None,
            label_and_class_key: false,
            chain_key: false,
            tunnel: TunnelMode::Outer,
        }
    }
}

/// What the reference found.
#[derive(Clone, Debug, Default)]
pub struct Metered {
    /// Every record, in the order in which they began.
    pub flows: Vec<Flow>,
    /// Frames given.
    pub frames: u64,
    /// Frames that are in a flow.
    pub metered: u64,
    /// Frames that are not, by reason.
    pub unmetered: BTreeMap<Reason, u64>,
}

/// IP headers of a packet in a packet that are looked at.
const LEVELS: u8 = 3;

type DatagramKey = (IpAddr, IpAddr, u32, u16, u16, u8, Option<u8>, Option<Carrier>);

/// A datagram and its packets.
#[derive(Debug)]
struct Entry {
    begun: Timestamp,
    /// Order in which datagrams began.
    number: u64,
    pieces: Datagram,
    /// Protocol and ports of the first fragment.
    owner: Option<(u8, Ports)>,
    held: Vec<Observation>,
    counted: bool,
}

/// The reference meter.
#[derive(Debug, Default)]
pub struct Reference {
    options: Options,
    metered: Metered,
    /// The open record of each key: its index in `metered.flows`.
    open: BTreeMap<Key, usize>,
    datagrams: BTreeMap<DatagramKey, Entry>,
    /// The datagrams in order of age: when each began, and its number.
    ages: BTreeMap<(Timestamp, u64), DatagramKey>,
    datagrams_begun: u64,
    latest: Timestamp,
}

impl Reference {
    /// A meter that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Takes the next frame.
    pub fn observe(&mut self, frame: &Frame<'_>) {
        self.latest = self.latest.max(frame.time);
        self.end_datagrams(Some(frame.time));
        self.metered.frames += 1;
        match link::locate(frame) {
            Err(reason) => *self.metered.unmetered.entry(reason).or_default() += 1,
            Ok(located) => {
                self.metered.metered += 1;
                for (level, facts, link, carrier) in self.levels(located) {
                    self.packet(Observation {
                        facts,
                        link,
                        interface: frame.interface,
                        wire_length: frame.wire_length,
                        time: frame.time,
                        level,
                        carrier,
                        verdict: Verdict::default(),
                        begins_datagram: false,
                    });
                }
            }
        }
    }

    /// Records begun so far.
    #[must_use]
    pub const fn flows(&self) -> usize {
        self.metered.flows.len()
    }

    /// Ends what is open and hands over all records.
    #[must_use]
    pub fn finish(mut self) -> Metered {
        self.end_datagrams(None);
        for index in self.open.into_values() {
            let flow = &mut self.metered.flows[index];
            flow.end_reason = if flow.is_closing() {
                3
            } else if exceeds(self.latest.since(flow.last), self.options.idle) {
                1
            } else {
                4
            };
        }
        self.metered
    }

    /// The IP headers of a packet that the tunnel mode asks for, outermost first.
    fn levels(&self, outermost: link::Located<'_>) -> Vec<(u8, Facts, Link, Option<Carrier>)> {
        let mut levels = Vec::new();
        let mut next = Some((outermost, None));
        while let Some((mut located, carrier)) = next.take() {
            let link = std::mem::take(&mut located.link);
            let (facts, packet) = facts::read(&located, self.options.header_limit);
            let level = levels.len() as u8;
            if self.options.tunnel != TunnelMode::Outer && level + 1 < LEVELS {
                next =
                    tunnel::inside(&facts, packet).map(|(inner, carrier)| (inner, Some(carrier)));
            }
            levels.push((level, facts, link, carrier));
        }
        if self.options.tunnel == TunnelMode::Inner {
            levels.drain(..levels.len() - 1);
        }
        levels
    }

    fn packet(&mut self, mut packet: Observation) {
        if !packet.facts.is_piece() {
            let owner = (packet.facts.protocol, packet.facts.ports);
            return self.count(&packet, owner);
        }
        let (key, is_first) = datagram_key(&packet);
        if is_first
            && self.datagrams.get(&key).is_some_and(|entry| entry.pieces.is_complete())
            && let Some(entry) = self.datagrams.remove(&key)
        {
            self.ages.remove(&(entry.begun, entry.number));
        }
        let number = self.datagrams_begun;
        let mut begun = 0;
        let entry = self.datagrams.entry(key.clone()).or_insert_with(|| {
            begun = 1;
            Entry {
                begun: packet.time,
                number,
                pieces: Datagram::default(),
                owner: None,
                held: Vec::new(),
                counted: false,
            }
        });
        self.datagrams_begun += begun;
        if begun == 1 {
            self.ages.insert((entry.begun, entry.number), key);
        }
        packet.verdict = entry.pieces.add(&packet.facts);
        let known = packet.facts.ports != Ports::Unknown;
        if is_first && entry.owner.is_none_or(|(_, ports)| ports == Ports::Unknown && known) {
            entry.owner = Some((packet.facts.protocol, packet.facts.ports));
        }
        entry.held.push(packet);
        if let Some(owner) = entry.owner {
            let mut ready = std::mem::take(&mut entry.held);
            if let Some(first) = ready.first_mut() {
                first.begins_datagram = !entry.counted;
                entry.counted = true;
            }
            for packet in ready {
                self.count(&packet, owner);
            }
        }
    }

    /// Ends datagrams that are too old at `now`, or all; the packets still held are orphans.
    fn end_datagrams(&mut self, now: Option<Timestamp>) {
        let life = self.options.reassembly.min(self.options.idle);
        let too_old = |begun| now.is_none_or(|now: Timestamp| exceeds(now.since(begun), life));
        let mut ended: Vec<(u64, DatagramKey)> = Vec::new();
        while let Some(oldest) = self.ages.first_entry().filter(|oldest| too_old(oldest.key().0)) {
            let number = oldest.key().1;
            ended.push((number, oldest.remove()));
        }
        ended.sort_unstable();
        for (_, key) in ended {
            let Some(mut entry) = self.datagrams.remove(&key) else { continue };
            if let Some(first) = entry.held.first_mut() {
                first.begins_datagram = true;
            }
            for packet in &entry.held {
                self.count(packet, (packet.facts.protocol, Ports::Unknown));
            }
        }
    }

    fn count(&mut self, packet: &Observation, (protocol, ports): (u8, Ports)) {
        let facts = &packet.facts;
        let key = Key {
            source: facts.source,
            destination: facts.destination,
            protocol,
            ports,
            vlan: packet.link.vlan(0),
            customer_vlan: packet.link.vlan(1),
            level: packet.level,
            carrier: packet.carrier.clone(),
            label_and_class: self
                .options
                .label_and_class_key
                .then(|| (facts.flow_label.unwrap_or(0), facts.traffic_class)),
            chain: facts.chain.clone().filter(|_| self.options.chain_key),
        };
        if let Some(&index) = self.open.get(&key) {
            let flow = &mut self.metered.flows[index];
            match end_reason(flow, packet.time, &self.options) {
                None => return flow.count(packet),
                Some(reason) => flow.end_reason = reason,
            }
        }
        let mut flow = Flow::new(key.clone(), packet);
        flow.count(packet);
        self.open.insert(key, self.metered.flows.len());
        self.metered.flows.push(flow);
    }
}

/// Why the record ends before a packet observed at `now` is counted, if it does.
fn end_reason(flow: &Flow, now: Timestamp, options: &Options) -> Option<u8> {
    if flow.is_closing() && exceeds(now.since(flow.last), options.tcp_end) {
        Some(3)
    } else if exceeds(now.since(flow.last), options.idle) {
        Some(1)
    } else if exceeds(now.since(flow.first), options.active) {
        Some(2)
    } else {
        None
    }
}

fn exceeds(nanoseconds: u64, limit: Duration) -> bool {
    u128::from(nanoseconds) > limit.as_nanos()
}

/// What a datagram is known by, and whether the packet is a first fragment.
fn datagram_key(packet: &Observation) -> (DatagramKey, bool) {
    let facts = &packet.facts;
    let (identification, is_first) = facts
        .fragment
        .as_ref()
        .map_or((0, false), |fragment| (fragment.identification, fragment.offset == 0));
    let protocol = facts.source.is_ipv4().then_some(facts.protocol);
    let (vlan, customer_vlan) = (packet.link.vlan(0), packet.link.vlan(1));
    let key = (
        facts.source,
        facts.destination,
        identification,
        vlan,
        customer_vlan,
        packet.level,
        protocol,
        packet.carrier.clone(),
    );
    (key, is_first)
}
