//! Fragments to the flow of their datagram.
//!
//! In: the facts of a fragment. Out: the same facts, under the key of the datagram's first fragment, in an order in which they
//! can be metered, each with a [`Verdict`].
//!
//! The first fragment (offset 0) carries the ports. Later ones take protocol and ports from it; those that arrive before it
//! are held until it comes, or until the datagram's time is over: then they are orphans, metered without ports.
//! An atomic fragment (RFC 6946) never comes here: it is a whole packet. The rules, one by one, are in
//! `docs/semantics.md`, "Fragments".
//!
//! Bounds: datagrams ([`Limits::datagrams`]), held packets ([`Limits::held`]), ranges of one datagram
//! ([`Limits::ranges`]), time ([`Limits::lifetime`]). What finds no room is metered at once without ports and counted.

use super::{Key, Timestamp};
use crate::meter::packet::{Detail, Facts, Fragment};
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

/// Bounds of the fragment table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Datagrams at a time.
    pub datagrams: usize,
    /// Packets held at a time, in all.
    pub held: usize,
    /// Fragments of one datagram whose ranges are remembered; further ones are attached, but not judged.
    pub ranges: usize,
    /// Nanoseconds from the first fragment to arrive to the end of the datagram.
    pub lifetime: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { datagrams: 16_384, held: 65_536, ranges: 256, lifetime: 15_000_000_000 }
    }
}

/// What a fragment is among those of its datagram, judged once, on arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Same offset, length and M as an earlier one.
    pub duplicate: bool,
    /// Octets in common with earlier ones, and no duplicate (RFC 5722).
    pub overlap: bool,
    /// Offset below the largest before.
    pub out_of_order: bool,
    /// First packet of its datagram that is metered.
    pub begins: bool,
    /// The datagram is complete with it.
    pub completes: bool,
    /// An overlap wrote other octets over the ports; the destination port now reads so.
    pub rewritten_port: Option<u16>,
}

/// One packet on its way to the table.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Its facts, the key being that of the flow it belongs to.
    pub facts: Facts,
    /// Its detail.
    pub detail: Detail,
    /// Its place among the fragments.
    pub verdict: Verdict,
}

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    addresses: [u64; 4],
    identification: u32,
    /// VLANs; IPv4: also the protocol.
    word4: u64,
    /// Version, tunnel level and tunnel.
    flags: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    end: u32,
    more: bool,
}

/// The port octets that the first fragment showed, and where they stand in the datagram.
#[derive(Clone, Copy, Debug)]
struct Ports {
    at: u32,
    octets: [u8; 4],
}

#[derive(Debug)]
struct Datagram {
    /// Protocol, ports and the unknown mark of the first fragment, when it has come: key words 4 and 5.
    first: Option<(u64, u64)>,
    ports: Option<Ports>,
    ranges: Vec<Range>,
    /// The union of the ranges: disjoint, in order, none touching the next.
    covered: Vec<(u32, u32)>,
    /// Where the first last fragment (M 0) to arrive ends.
    end: Option<u32>,
    largest: Option<u16>,
    complete: bool,
    metered: bool,
    held: Vec<Judged>,
    /// Distinguishes this datagram from an earlier one of the same identity in the queue of ends.
    serial: u64,
}

/// Counters of the table, each a line of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams begun.
    pub datagrams: u64,
    /// Packets held for a time.
    pub held: u64,
    /// Packets metered without ports, their first fragment never having come.
    pub orphans: u64,
    /// Packets metered without ports, the table or the hold being full.
    pub overflow: u64,
    /// Fragments of datagrams with more ranges than are remembered.
    pub unjudged: u64,
}

#[derive(Clone, Copy, Debug)]
struct Keyed(SipHasher13);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }

    fn hash_one<T: std::hash::Hash>(&self, value: T) -> u64 {
        let mut hasher = self.0;
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// Datagrams that are not over.
#[derive(Debug)]
pub struct Fragments {
    limits: Limits,
    datagrams: HashMap<Identity, Datagram, Keyed>,
    /// In order of their beginning, which is the order of their end.
    ends: VecDeque<(Timestamp, u64, Identity)>,
    held: usize,
    serial: u64,
    /// What was counted.
    pub counters: Counters,
}

impl Fragments {
    /// No datagrams. `secret` keys the hash, as identifications come from the network.
    #[must_use]
    pub fn new(limits: Limits, secret: [u8; 16]) -> Self {
        Self {
            limits,
            datagrams: HashMap::with_hasher(Keyed(SipHasher13::new_with_key(&secret))),
            ends: VecDeque::new(),
            held: 0,
            serial: 0,
            counters: Counters::default(),
        }
    }

    /// Whether the time of any datagram is over at `now`.
    #[inline]
    #[must_use]
    pub fn any_over(&self, now: Timestamp) -> bool {
        self.ends.front().is_some_and(|end| now.since(end.0) > self.limits.lifetime)
    }

    /// Packets held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The time before which no held packet was observed: flows must not idle out past it. `None` if none is held.
    #[must_use]
    pub fn oldest_held(&self) -> Option<Timestamp> {
        if self.held == 0 { None } else { self.ends.front().map(|end| end.0) }
    }

    /// Takes a fragment that is not atomic and appends to `out` what can be metered now.
    pub fn take(
        &mut self,
        facts: &Facts,
        detail: &Detail,
        fragment: &Fragment,
        out: &mut Vec<Judged>,
    ) {
        self.expire(facts.time, out);
        let identity = identity(&facts.key, fragment);
        let first = fragment.offset == 0;
        // Identification reuse: a first fragment for a datagram that has all its octets begins the next one.
        let mut known = self.datagrams.get(&identity).map(|datagram| datagram.complete);
        if first && known == Some(true) {
            self.end(&identity, out);
            known = None;
        }
        let mut packet = Judged { facts: *facts, detail: *detail, verdict: Verdict::default() };
        if known.is_none() && !self.begin(identity, facts.time) {
            self.counters.overflow += 1;
            out.push(packet);
            return;
        }
        let Some(datagram) = self.datagrams.get_mut(&identity) else { return };
        let judged = datagram.ranges.len() < self.limits.ranges;
        self.counters.unjudged += u64::from(!judged);
        packet.verdict = datagram.judge(fragment, judged);
        if first && datagram.ports.is_none() {
            datagram.take_ports(&facts.key, fragment);
        }
        if first && datagram.wants(&facts.key) {
            datagram.take_first(&facts.key);
            self.held -= datagram.held.len();
            for held in std::mem::take(&mut datagram.held) {
                out.push(datagram.release(held));
            }
        }
        if datagram.first.is_some() {
            out.push(datagram.release(packet));
        } else if self.held < self.limits.held {
            self.held += 1;
            self.counters.held += 1;
            datagram.held.push(packet);
        } else {
            self.counters.overflow += 1;
            out.push(packet);
        }
    }

    fn begin(&mut self, identity: Identity, time: Timestamp) -> bool {
        // `ends` keeps a place for each datagram until its time is over, also if identification reuse ended it before.
        if self.datagrams.len() >= self.limits.datagrams
            || self.ends.len() >= self.limits.datagrams * 4
        {
            return false;
        }
        self.counters.datagrams += 1;
        self.serial += 1;
        self.ends.push_back((time, self.serial, identity));
        self.datagrams.insert(
            identity,
            Datagram {
                first: None,
                ports: None,
                ranges: Vec::new(),
                covered: Vec::new(),
                end: None,
                largest: None,
                complete: false,
                metered: false,
                held: Vec::new(),
                serial: self.serial,
            },
        );
        true
    }

    /// Ends the datagrams whose time is over at `now`; appends their orphans to `out`.
    #[inline]
    pub fn expire(&mut self, now: Timestamp, out: &mut Vec<Judged>) {
        while let Some(&(begun, serial, identity)) = self.ends.front() {
            if now.since(begun) <= self.limits.lifetime {
                break;
            }
            self.ends.pop_front();
            if self.datagrams.get(&identity).is_some_and(|datagram| datagram.serial == serial) {
                self.end(&identity, out);
            }
        }
    }

    /// Ends all datagrams.
    pub fn finish(&mut self, out: &mut Vec<Judged>) {
        while let Some((_, serial, identity)) = self.ends.pop_front() {
            if self.datagrams.get(&identity).is_some_and(|datagram| datagram.serial == serial) {
                self.end(&identity, out);
            }
        }
    }

    fn end(&mut self, identity: &Identity, out: &mut Vec<Judged>) {
        let Some(mut datagram) = self.datagrams.remove(identity) else { return };
        self.held -= datagram.held.len();
        self.counters.orphans += datagram.held.len() as u64;
        for held in std::mem::take(&mut datagram.held) {
            out.push(datagram.release(held));
        }
    }
}

fn identity(key: &Key, fragment: &Fragment) -> Identity {
    let vlans = key.0[4] & Key::word4(0, 0, 0xfff, 0xfff, 0);
    let protocol = if key.is_ipv6() { 0 } else { key.0[4] & 0xff };
    Identity {
        addresses: [key.0[0], key.0[1], key.0[2], key.0[3]],
        identification: fragment.identification,
        word4: vlans | protocol,
        flags: key.0[5] & Key::word5(0, 0, 0, u16::MAX, 0b1101),
    }
}

/// Source port, destination port and protocol in key word 4.
const UPPER: u64 = Key::word4(u16::MAX, u16::MAX, 0, 0, u8::MAX);
/// The mark of unknown ports in key word 5.
const UNKNOWN: u64 = Key::word5(0, 0, 0, 0, 2);

impl Datagram {
    /// Whether a first fragment tells more than those before it: a piece too small for the ports, sent ahead, must not hide
    /// what the real one says.
    fn wants(&self, key: &Key) -> bool {
        self.first.is_none_or(|(_, unknown)| unknown != 0 && key.0[5] & UNKNOWN == 0)
    }

    /// The first fragment has come: what it says of the upper layer holds from now on.
    fn take_first(&mut self, key: &Key) {
        self.first = Some((key.0[4] & UPPER, key.0[5] & UNKNOWN));
    }

    /// The port octets that a first fragment shows, if it shows them.
    fn take_ports(&mut self, key: &Key, fragment: &Fragment) {
        let protocol = key.protocol();
        let at = usize::from(fragment.upper_offset);
        let shown = fragment.head.get(..usize::from(fragment.head_length)).unwrap_or(&[]);
        if key.0[5] & UNKNOWN == 0
            && crate::meter::packet::transport::has_two_ports(protocol)
            && let Some(octets) = shown.get(at..at + 4).and_then(|octets| octets.first_chunk())
        {
            self.ports = Some(Ports { at: at as u32, octets: *octets });
        }
    }

    /// Gives a packet the key of the datagram.
    fn release(&mut self, mut packet: Judged) -> Judged {
        if let Some((upper, unknown)) = self.first {
            packet.facts.key.0[4] = packet.facts.key.0[4] & !UPPER | upper;
            packet.facts.key.0[5] = packet.facts.key.0[5] & !UNKNOWN | unknown;
        }
        packet.verdict.begins = !self.metered;
        self.metered = true;
        packet
    }

    fn judge(&mut self, fragment: &Fragment, remember: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let start = u32::from(fragment.offset) * 8;
        let length = fragment.length.min(u32::from(u16::MAX));
        let range = Range { start, end: start + length, more: fragment.more() };
        let written = self.ports.and_then(|ports| ports.overwritten(fragment, start));
        let same = self.ranges.contains(&range);
        if same && written.is_none() {
            verdict.duplicate = true;
        } else if same || self.meets(range.start, range.end) {
            verdict.overlap = true;
            verdict.rewritten_port = written;
        } else if self.largest.is_some_and(|largest| fragment.offset < largest) {
            verdict.out_of_order = true;
        }
        self.largest = Some(self.largest.map_or(fragment.offset, |l| l.max(fragment.offset)));
        if remember && !verdict.duplicate {
            self.ranges.push(range);
            self.cover(range.start, range.end);
            if !range.more && self.end.is_none() {
                self.end = Some(range.end);
            }
        }
        let complete = self.end.is_some_and(|end| {
            self.covered.first().is_some_and(|first| first.0 == 0 && first.1 >= end)
        });
        verdict.completes = complete && !self.complete;
        self.complete = complete;
        verdict
    }

    /// Whether [start, end) has an octet in common with what was covered before.
    fn meets(&self, start: u32, end: u32) -> bool {
        let after = self.covered.partition_point(|interval| interval.1 <= start);
        self.covered.get(after).is_some_and(|interval| interval.0 < end && start < end)
    }

    /// Adds [start, end) to the union.
    fn cover(&mut self, start: u32, end: u32) {
        // A fragment without octets covers nothing, and must not stand in the way of one that does.
        if start == end {
            return;
        }
        let first = self.covered.partition_point(|interval| interval.1 < start);
        let last = self.covered.partition_point(|interval| interval.0 <= end);
        let merged = self.covered[first..last]
            .iter()
            .fold((start, end), |whole, one| (whole.0.min(one.0), whole.1.max(one.1)));
        self.covered.splice(first..last, [merged]);
    }
}

impl Ports {
    /// The destination port as it reads with the octets that `fragment`, which begins at `start`, shows in place of the old
    /// ones; `None` if it shows none of the four, or the same.
    fn overwritten(&self, fragment: &Fragment, start: u32) -> Option<u16> {
        let mut octets = self.octets;
        for (place, octet) in octets.iter_mut().enumerate() {
            let at = (self.at + place as u32).checked_sub(start).map(|at| at as usize);
            let shown = fragment.head.get(..usize::from(fragment.head_length)).unwrap_or(&[]);
            if let Some(new) = at.and_then(|at| shown.get(at)) {
                *octet = *new;
            }
        }
        (octets != self.octets).then(|| u16::from_be_bytes([octets[2], octets[3]]))
    }
}
