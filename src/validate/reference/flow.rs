//! What is kept of a flow record (section 5 of the module above).
//!
//! In: packets of one key, in the order in which they are counted. Out: [`Flow`], from which
//! [`Flow::elements`](super::elements) reads every element.

use super::chain::{Chain, Segments};
use super::facts::{Facts, Ports};
use super::fragments::Verdict;
use super::link::Link;
use super::tunnel::Carrier;
use crate::capture::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Flow Key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Source address; its kind is the IP version.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// `protocolIdentifier`.
    pub protocol: u8,
    /// Ports, or type and code.
    pub ports: Ports,
    /// Outer VLAN identifier, 0 without a tag.
    pub vlan: u16,
    /// Inner VLAN identifier, 0 without one.
    pub customer_vlan: u16,
    /// 0 for the outermost IP header.
    pub level: u8,
    /// What carries it, if it is not the outermost.
    pub carrier: Option<Carrier>,
    /// Flow label and traffic class, where they are keys.
    pub label_and_class: Option<(u32, u8)>,
    /// The packet's chain, where it is a key.
    pub chain: Option<Chain>,
}

/// Fragment facts of a record (section 6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounts {
    /// `fragmentIdentification` of the first fragment.
    pub identification: u32,
    /// `fragmentOffset` of the first fragment.
    pub offset: u16,
    /// `fragmentFlags` of the first fragment.
    pub flags: u8,
    /// Smallest offset that is not 0, 0 if there is none.
    pub minimum_offset: u16,
    /// Packets with a fragment header.
    pub packets: u64,
    /// Those that are atomic.
    pub atomic: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Overlaps.
    pub overlaps: u64,
    /// Out of order.
    pub out_of_order: u64,
    /// First fragments without the ports.
    pub tiny: u64,
    /// Datagrams not complete when the record ended.
    pub incomplete: u64,
    /// The destination port that an overlap wrote.
    pub rewritten_port: Option<u16>,
}

/// One flow record.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Flow Key.
    pub key: Key,
    /// Earliest observation.
    pub first: Timestamp,
    /// Latest observation.
    pub last: Timestamp,
    /// `packetDeltaCount`.
    pub packets: u64,
    /// `octetDeltaCount`.
    pub octets: u64,
    /// `minimumIpTotalLength`.
    pub minimum_length: u64,
    /// `maximumIpTotalLength`.
    pub maximum_length: u64,
    /// The first packet counted.
    pub first_packet: Facts,
    /// Link layer of the first packet counted.
    pub link: Link,
    /// Interface of the first packet counted.
    pub interface: u32,
    /// `layer2OctetDeltaCount`: octets of Ethernet frames; 0 inside a tunnel.
    pub layer2_octets: u64,
    /// `tcpControlBits`.
    pub tcp_flags: u16,
    /// Kinds of TCP options.
    pub tcp_kinds: BTreeSet<u8>,
    /// ExIDs of two octets, in order of appearance.
    pub exids16: Vec<u16>,
    /// ExIDs of four octets, in order of appearance.
    pub exids32: Vec<u32>,
    /// Bits of `ipv6ExtensionHeadersFull`.
    pub header_bits: u16,
    /// `ipv6ExtensionHeadersLimit`.
    pub complete: bool,
    /// Distinct chains in order of appearance.
    pub chains: Vec<Chain>,
    /// `IPSecSPI`.
    pub spi: Option<u32>,
    /// The first SRH.
    pub segments: Option<Segments>,
    /// Flow labels, and how many packets had each.
    pub labels: BTreeMap<u32, u64>,
    /// Traffic classes.
    pub classes: BTreeMap<u8, u64>,
    /// Hop limits.
    pub hop_limits: BTreeMap<u8, u64>,
    /// Fragments, if there were any.
    pub fragments: Option<FragmentCounts>,
    /// Whether a packet ended before its TCP flags.
    pub tcp_flags_cut: bool,
    /// What carried the flow.
    pub carrier: Option<Carrier>,
    /// `flowEndReason`.
    pub end_reason: u8,
}

/// One packet as it is counted.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    pub(super) facts: Facts,
    pub(super) link: Link,
    pub(super) interface: u32,
    pub(super) wire_length: u32,
    pub(super) time: Timestamp,
    pub(super) level: u8,
    pub(super) carrier: Option<Carrier>,
    pub(super) verdict: Verdict,
    /// The first packet of its datagram to be counted.
    pub(super) begins_datagram: bool,
}

impl Flow {
    pub(super) fn new(key: Key, packet: &Observation) -> Self {
        Self {
            key,
            first: packet.time,
            last: packet.time,
            packets: 0,
            octets: 0,
            minimum_length: u64::MAX,
            maximum_length: 0,
            first_packet: packet.facts.clone(),
            link: packet.link.clone(),
            interface: packet.interface,
            layer2_octets: 0,
            tcp_flags: 0,
            tcp_kinds: BTreeSet::new(),
            exids16: Vec::new(),
            exids32: Vec::new(),
            header_bits: 0,
            complete: true,
            chains: Vec::new(),
            spi: None,
            segments: None,
            labels: BTreeMap::new(),
            classes: BTreeMap::new(),
            hop_limits: BTreeMap::new(),
            fragments: None,
            tcp_flags_cut: false,
            carrier: packet.carrier.clone(),
            end_reason: 0,
        }
    }

    /// Whether a FIN or RST was seen.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.tcp_flags & 0b101 != 0
    }

    pub(super) fn count(&mut self, packet: &Observation) {
        let facts = &packet.facts;
        self.first = self.first.min(packet.time);
        self.last = self.last.max(packet.time);
        self.packets += 1;
        self.octets += facts.length;
        self.minimum_length = self.minimum_length.min(facts.length);
        self.maximum_length = self.maximum_length.max(facts.length);
        if packet.level == 0 {
            self.layer2_octets += u64::from(packet.wire_length);
        }
        self.tcp_flags |= facts.tcp_flags;
        self.tcp_flags_cut |= facts.tcp_flags_cut;
        self.tcp_kinds.extend(&facts.tcp_options.kinds);
        note(&mut self.exids16, &facts.tcp_options.exids16);
        note(&mut self.exids32, &facts.tcp_options.exids32);
        self.complete &= facts.complete;
        if let Some(chain) = &facts.chain {
            self.header_bits |= chain.bits;
            note(&mut self.chains, std::slice::from_ref(chain));
        }
        self.spi = self.spi.or(facts.spi);
        if self.segments.is_none() {
            self.segments.clone_from(&facts.segments);
        }
        if let Some(label) = facts.flow_label {
            *self.labels.entry(label).or_default() += 1;
        }
        *self.classes.entry(facts.traffic_class).or_default() += 1;
        *self.hop_limits.entry(facts.hop_limit).or_default() += 1;
        self.count_fragment(packet);
    }

    fn count_fragment(&mut self, packet: &Observation) {
        let Some(fragment) = &packet.facts.fragment else { return };
        let counts = self.fragments.get_or_insert_with(|| FragmentCounts {
            identification: fragment.identification,
            offset: fragment.offset,
            flags: u8::from(fragment.keep) << 6 | u8::from(fragment.more) << 5,
            ..FragmentCounts::default()
        });
        let verdict = packet.verdict;
        counts.packets += 1;
        counts.atomic += u64::from(fragment.atomic);
        counts.duplicates += u64::from(verdict.duplicate);
        counts.overlaps += u64::from(verdict.overlap);
        counts.out_of_order += u64::from(verdict.out_of_order);
        counts.tiny += u64::from(packet.facts.tiny);
        counts.incomplete += u64::from(packet.begins_datagram);
        if verdict.completes {
            counts.incomplete = counts.incomplete.saturating_sub(1);
        }
        if fragment.offset != 0
            && (counts.minimum_offset == 0 || fragment.offset < counts.minimum_offset)
        {
            counts.minimum_offset = fragment.offset;
        }
        counts.rewritten_port = counts.rewritten_port.or(verdict.rewritten_port);
    }
}

/// Adds those of `new` that `known` does not have.
fn note<T: Clone + PartialEq>(known: &mut Vec<T>, new: &[T]) {
    for value in new {
        if !known.contains(value) {
            known.push(value.clone());
        }
    }
}
