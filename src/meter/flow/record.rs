//! What is kept of a flow, and what leaves the meter when it ends.
//!
//! [`FlowRecord`] is one table entry: two cache lines, for every flow. [`Extra`] is kept beside it, only for flows
//! that have a feature a plain flow lacks, or for all when the template asks for such elements.

use crate::capture::Timestamp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Flow Key (RFC 7011 section 2): the fields that tell flows apart, packed into six words so that hash and comparison
/// are over words. Fields that the plan does not make keys are zero.
///
/// ```text
/// words 0-1  source address (network order octets; IPv4 in the first four, the rest zero)
/// words 2-3  destination address
/// word 4     source port 16 | destination port or ICMP type and code 16 | VLAN 12 | customer VLAN 12 | protocol 8
/// word 5     flow label 20 | traffic class 8 | chain 24 | interface 6 | flags 6, of which
///            bit 0 IPv6, bit 1 ports unknown, bits 2-3 tunnel level
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct Key(pub [u64; 6]);

impl Key {
    const IPV6: u64 = 1;
    const NO_PORTS: u64 = 2;

    /// Puts the fields of word 4 together.
    #[inline]
    #[must_use]
    pub const fn word4(
        source: u16,
        destination: u16,
        vlan: u16,
        customer: u16,
        protocol: u8,
    ) -> u64 {
        (source as u64) << 48
            | (destination as u64) << 32
            | ((vlan & 0xfff) as u64) << 20
            | ((customer & 0xfff) as u64) << 8
            | protocol as u64
    }

    /// Puts the fields of word 5 together. `label`, `class`, `chain` and `interface` are zero unless they are keys.
    #[inline]
    #[must_use]
    pub const fn word5(label: u32, class: u8, chain: u32, interface: u8, flags: u8) -> u64 {
        ((label & 0xf_ffff) as u64) << 44
            | (class as u64) << 36
            | ((chain & 0xff_ffff) as u64) << 12
            | ((interface & 0x3f) as u64) << 6
            | (flags & 0x3f) as u64
    }

    /// Whether the addresses are IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.0[5] & Self::IPV6 != 0
    }

    /// Whether the ports are unknown: a later fragment whose first was never seen, or a cut header.
    #[inline]
    #[must_use]
    pub const fn ports_unknown(&self) -> bool {
        self.0[5] & Self::NO_PORTS != 0
    }

    /// 0 for the outermost IP header, 1 for the one it carries, and so on.
    #[must_use]
    pub const fn tunnel_level(&self) -> u8 {
        (self.0[5] >> 2 & 3) as u8
    }

    /// The 16 source address octets; IPv4 uses the first four.
    #[inline]
    #[must_use]
    pub fn source_octets(&self) -> [u8; 16] {
        octets(self.0[0], self.0[1])
    }

    /// The 16 destination address octets; IPv4 uses the first four.
    #[inline]
    #[must_use]
    pub fn destination_octets(&self) -> [u8; 16] {
        octets(self.0[2], self.0[3])
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        address(self.is_ipv6(), self.source_octets())
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        address(self.is_ipv6(), self.destination_octets())
    }

    /// Source port; 0 where the protocol has none.
    #[inline]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        (self.0[4] >> 48) as u16
    }

    /// Destination port; for ICMP and ICMPv6 type × 256 + code; 0 where the protocol has none.
    #[inline]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        (self.0[4] >> 32) as u16
    }

    /// VLAN identifier of the outer tag, 0 without a tag (or with a priority tag).
    #[inline]
    #[must_use]
    pub const fn vlan(&self) -> u16 {
        (self.0[4] >> 20 & 0xfff) as u16
    }

    /// VLAN identifier of the inner tag, 0 without one.
    #[inline]
    #[must_use]
    pub const fn customer_vlan(&self) -> u16 {
        (self.0[4] >> 8 & 0xfff) as u16
    }

    /// Upper-layer protocol: the last Next Header value (`protocolIdentifier`, DESIGN section 4).
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.0[4] as u8
    }
}

const fn octets(first: u64, second: u64) -> [u8; 16] {
    (first as u128 | (second as u128) << 64).to_le_bytes()
}

fn address(ipv6: bool, octets: [u8; 16]) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::from(octets))
    } else {
        IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
    }
}

/// flowEndReason (IANA IPFIX registry, element 136).
pub mod end_reason {
    /// No packet for the idle timeout.
    pub const IDLE: u8 = 1;
    /// The flow is older than the active timeout; it goes on in a new record.
    pub const ACTIVE: u8 = 2;
    /// The end was seen (TCP FIN or RST).
    pub const END: u8 = 3;
    /// The meter was stopped.
    pub const FORCED: u8 = 4;
    /// The table was full.
    pub const RESOURCES: u8 = 5;
}

/// What a flow has beside the plain facts: decides which elements its record carries ([`FlowRecord::features`]).
pub mod feature {
    /// At least one packet had an IPv6 extension header (or Next Header 59).
    pub const HEADERS: u16 = 1;
    /// At least one packet was a fragment (also an atomic one).
    pub const FRAGMENT: u16 = 1 << 1;
    /// A Segment Routing Header was seen.
    pub const SEGMENTS: u16 = 1 << 2;
    /// An ESP or AH header was seen: `IPSecSPI`.
    pub const SPI: u16 = 1 << 3;
    /// MPLS labels were seen.
    pub const MPLS: u16 = 1 << 4;
    /// The flow was carried by a tunnel ([`super::Extra::tunnel`] says which).
    pub const TUNNEL: u16 = 1 << 5;
    /// TCP options were read.
    pub const TCP_OPTIONS: u16 = 1 << 6;
    /// A chain walk was cut by the limit or by the captured octets: `ipv6ExtensionHeadersLimit` is false.
    pub const CHAIN_CUT: u16 = 1 << 7;
    /// The extra pool was full when the flow needed one: facts beyond the plain ones are missing.
    pub const EXTRA_LOST: u16 = 1 << 8;
    /// Packets of both directions are in this record (RFC 5103).
    pub const REVERSE: u16 = 1 << 9;
    /// Reserved for the table: a FIN or RST was seen, the flow is about to end.
    pub const CLOSING: u16 = 1 << 10;
    /// More than one distinct flow label, traffic class or hop limit was seen.
    pub const CHANGED: u16 = 1 << 11;
    /// The frame had link-layer addresses.
    pub const LAYER2: u16 = 1 << 12;

    /// What makes a flow special enough for an [`super::Extra`] whatever the template.
    pub const SPECIAL: u16 = HEADERS | FRAGMENT | SEGMENTS | SPI | MPLS | TUNNEL | CHAIN_CUT;
}

/// One flow as the table keeps it: 128 octets, two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct FlowRecord {
    /// Flow Key.
    pub key: Key,
    /// IP octets: headers and payload as the IP header says (`octetDeltaCount`).
    pub octets: u64,
    /// Observation of the last packet.
    pub last: Timestamp,
    /// Packets (`packetDeltaCount`).
    pub packets: u64,
    /// Observation of the first packet.
    pub first: Timestamp,
    /// Smallest IP packet, octets (`minimumIpTotalLength`).
    pub min_length: u32,
    /// Largest IP packet, octets (`maximumIpTotalLength`).
    pub max_length: u32,
    /// Flow label of the first packet, 20 bits (`flowLabelIPv6`).
    pub label: u32,
    /// Index of the [`Extra`], or [`FlowRecord::NO_EXTRA`].
    pub extra: u32,
    /// ifIndex (or number within the capture file) of the first packet (`ingressInterface`).
    pub interface: u32,
    /// Bits of `ipv6ExtensionHeadersFull` (RFC 9740 section 3.3), all packets OR-ed; bit 0 is Destination Options.
    pub headers: u16,
    /// TCP flags, all packets OR-ed: 12 bits (`tcpControlBits`, RFC 9565).
    pub tcp_flags: u16,
    /// Bits of [`feature`].
    pub features: u16,
    /// Hop limit or TTL of the first packet (`ipTTL`).
    pub hop_limit: u8,
    /// Smallest hop limit or TTL (`minimumTTL`).
    pub min_hop_limit: u8,
    /// Largest hop limit or TTL (`maximumTTL`).
    pub max_hop_limit: u8,
    /// Traffic class or TOS octet of the first packet (`ipClassOfService`).
    pub traffic_class: u8,
    /// Next Header of the IPv6 header (`nextHeaderIPv6`) of the first packet; IPv4: the protocol.
    pub next_header: u8,
    /// Why the record ends ([`end_reason`]); 0 while the flow is live.
    pub end_reason: u8,
    /// Spare.
    pub reserved: [u8; 12],
}

impl FlowRecord {
    /// Value of `extra` when there is none.
    pub const NO_EXTRA: u32 = u32::MAX;

    /// Whether all bits of `feature` are set.
    #[inline]
    #[must_use]
    pub const fn has(&self, feature: u16) -> bool {
        self.features & feature == feature
    }
}

const _: () = assert!(size_of::<FlowRecord>() == 128, "a table entry is two cache lines");

/// Most distinct values kept exactly; beyond that only counted as "more" ([`Distinct::count`] saturates).
pub const DISTINCT: usize = 8;

/// The distinct values of a field that may change within a flow: exact up to [`DISTINCT`], then saturating.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distinct {
    /// Values in order of appearance; only the first `count.min(DISTINCT)` are set.
    pub values: [u32; DISTINCT],
    /// Distinct values seen; [`DISTINCT`] + 1 means "more than [`DISTINCT`]".
    pub count: u8,
    /// Smallest value.
    pub min: u32,
    /// Largest value.
    pub max: u32,
}

/// Link-layer facts of the first frame, and the octets of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layer2 {
    /// `sourceMacAddress`.
    pub source: [u8; 6],
    /// `destinationMacAddress`.
    pub destination: [u8; 6],
    /// Outer 802.1Q or 802.1ad tag control information (priority 3, DEI 1, VID 12 bits).
    pub tag: u16,
    /// Inner tag control information.
    pub customer_tag: u16,
    /// 0, 1 or 2 (more are skipped and counted here).
    pub tags: u8,
    /// EtherType of the payload, behind the tags.
    pub ether_type: u16,
    /// Octets of the frames, link header included (`layer2OctetDeltaCount`).
    pub octets: u64,
}

/// Fragment facts (RFC 8200 section 4.5; IPv4: RFC 791). Values of the first fragment seen, unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fragments {
    /// `fragmentIdentification` of the first fragment seen.
    pub identification: u32,
    /// `fragmentOffset` of the first fragment seen, 8-octet units, 13 bits.
    pub offset: u16,
    /// `fragmentFlags` of the first fragment seen: bit 1 (0x40) DF, bit 2 (0x20) MF.
    pub flags: u8,
    /// Smallest non-zero offset of any fragment, 8-octet units; 0 if there was none.
    pub min_offset: u16,
    /// Fragment packets.
    pub packets: u32,
    /// Atomic fragments (offset 0, M 0; RFC 6946).
    pub atomic: u32,
    /// Fragments that repeat an earlier one exactly (offset and length).
    pub duplicates: u32,
    /// Fragments that overlap an earlier one of the datagram, not being exact duplicates (RFC 5722).
    pub overlaps: u32,
    /// Fragments, neither duplicate nor overlap, that arrived after one with a larger offset.
    pub out_of_order: u32,
    /// Datagrams that were not complete when the record ended.
    pub incomplete: u32,
    /// Whether an overlap rewrote the octets of the ports.
    pub ports_rewritten: bool,
    /// The destination port that the overlap wrote, if `ports_rewritten`.
    pub rewritten_port: u16,
    /// First fragments too small to hold the upper-layer ports (RFC 7112).
    pub tiny: u32,
}

/// Most runs of one chain that are kept; a longer chain has [`Chain::complete`] false.
pub const RUNS: usize = 24;

/// One IPv6 extension header chain (RFC 9740 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Bits of `ipv6ExtensionHeadersFull` for this chain alone.
    pub headers: u16,
    /// Octets of all its headers (`ipv6ExtensionHeadersChainLength`); ESP counts 8.
    pub length: u32,
    /// Runs in wire order: header type and how many of it stand in a row (`ipv6ExtensionHeaderTypeCountList`).
    pub runs: [(u8, u8); RUNS],
    /// How many of `runs` are set.
    pub run_count: u8,
    /// Whether `runs` names every header.
    pub complete: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self { headers: 0, length: 0, runs: [(0, 0); RUNS], run_count: 0, complete: true }
    }
}

/// Most segments of a Segment Routing Header that are kept.
pub const SEGMENTS: usize = 8;

/// Facts of the first Segment Routing Header (RFC 8754, elements of RFC 9487).
#[derive(Clone, Copy, Debug, Default)]
pub struct Segments {
    /// `srhFlagsIPv6`.
    pub flags: u8,
    /// `srhTagIPv6`.
    pub tag: u16,
    /// `srhSegmentsIPv6Left`.
    pub left: u8,
    /// Segments kept, in the order of the header (index 0 is the last segment of the path).
    pub count: u8,
    /// Segments the header holds; more than `count` when it has more than [`SEGMENTS`] or was cut.
    pub total: u8,
    /// The segment list.
    pub list: [[u8; 16]; SEGMENTS],
    /// Destination address of the packet in force: `srhActiveSegmentIPv6`.
    pub active: [u8; 16],
}

/// TCP options of all packets (RFC 9740 section 4).
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpOptions {
    /// Bit n: option kind n (`tcpOptionsFull`), least significant word first.
    pub kinds: [u64; 4],
    /// Experiment identifiers of two octets (`tcpSharedOptionExID16List`).
    pub exids16: [u16; 4],
    /// How many of `exids16` are set.
    pub exids16_count: u8,
    /// Experiment identifiers of four octets (`tcpSharedOptionExID32List`).
    pub exids32: [u32; 4],
    /// How many of `exids32` are set.
    pub exids32_count: u8,
}

/// What carried an inner flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TunnelKind {
    /// Not carried by a tunnel.
    #[default]
    None = 0,
    /// IPv6 in IPv4 (RFC 4213).
    SixInFour = 1,
    /// IPv4 in IPv6 (RFC 2473).
    FourInSix = 2,
    /// IPv6 in IPv6 (RFC 2473).
    SixInSix = 3,
    /// IPv4 in IPv4 (RFC 2003).
    FourInFour = 4,
    /// GRE (RFC 2784, RFC 2890).
    Gre = 5,
    /// VXLAN (RFC 7348).
    Vxlan = 6,
    /// Geneve (RFC 8926).
    Geneve = 7,
    /// GTP-U (3GPP TS 29.281).
    GtpU = 8,
    /// Teredo (RFC 4380).
    Teredo = 9,
    /// AYIYA.
    Ayiya = 10,
}

/// What carried this flow (`--tunnel inner` and `both`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnel {
    /// The innermost tunnel around this flow.
    pub kind: TunnelKind,
    /// Whether the outer header is IPv6.
    pub outer_ipv6: bool,
    /// Outer source address; IPv4 uses the first four octets.
    pub source: [u8; 16],
    /// Outer destination address.
    pub destination: [u8; 16],
    /// VXLAN or Geneve network identifier, GRE key, GTP-U tunnel endpoint identifier; 0 where there is none.
    pub identifier: u32,
}

/// The reverse direction of a biflow (RFC 5103): the fields of [`FlowRecord`] for packets from destination to source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reverse {
    /// `reverseOctetDeltaCount`.
    pub octets: u64,
    /// `reversePacketDeltaCount`.
    pub packets: u64,
    /// First packet of the reverse direction.
    pub first: Timestamp,
    /// Last packet of the reverse direction.
    pub last: Timestamp,
    /// Smallest and largest IP packet, octets.
    pub min_length: u32,
    /// Largest IP packet, octets.
    pub max_length: u32,
    /// Flow label of the first reverse packet.
    pub label: u32,
    /// Extension header bits.
    pub headers: u16,
    /// TCP flags, OR-ed.
    pub tcp_flags: u16,
    /// Hop limit of the first reverse packet.
    pub hop_limit: u8,
    /// Smallest hop limit.
    pub min_hop_limit: u8,
    /// Largest hop limit.
    pub max_hop_limit: u8,
    /// Traffic class of the first reverse packet.
    pub traffic_class: u8,
    /// Next Header of the IPv6 header of the first reverse packet.
    pub next_header: u8,
}

/// Distinct chains of one flow that are kept in full.
pub const CHAINS: usize = 8;

/// What is kept beside a [`FlowRecord`] for a flow that has more than the plain facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    /// Link layer.
    pub layer2: Layer2,
    /// Fragments.
    pub fragments: Fragments,
    /// Segment Routing Header.
    pub segments: Segments,
    /// TCP options.
    pub tcp_options: TcpOptions,
    /// What carried the flow.
    pub tunnel: Tunnel,
    /// The reverse direction (biflow).
    pub reverse: Reverse,
    /// Flow labels.
    pub labels: Distinct,
    /// Traffic classes.
    pub traffic_classes: Distinct,
    /// Hop limits.
    pub hop_limits: Distinct,
    /// Bits of [`feature`] of the packets counted here: which of the fields below are set.
    pub seen: u16,
    /// Security Parameters Index of the first ESP or AH header (`IPSecSPI`).
    pub spi: u32,
    /// Topmost MPLS label stack entries as on the wire (label 20, TC 3, S 1 bits; `mplsTopLabelStackSection` …).
    pub mpls: [u32; 3],
    /// Label stack entries seen (more than 3 possible).
    pub mpls_depth: u8,
    /// Identifiers of the distinct chains, by the worker's table of chains; resolved into [`FlowBatch::chains`].
    pub chains: [u32; CHAINS],
    /// Distinct chains seen; [`CHAINS`] + 1 means "more than [`CHAINS`]".
    pub chain_count: u8,
    /// Where this flow's chains begin in [`FlowBatch::chains`] (set when the flow ends).
    pub first_chain: u32,
    /// Where this flow's user values begin in [`FlowBatch::user`] (set when the flow ends).
    pub first_user: u32,
}

/// Ended flows on their way from a worker to the exporter.
///
/// Allocated once with room for [`FlowBatch::CAPACITY`] flows and recycled.
#[derive(Debug, Default)]
pub struct FlowBatch {
    /// The flows. `extra` indexes `extras` of this batch.
    pub flows: Vec<FlowRecord>,
    /// The extras.
    pub extras: Vec<Extra>,
    /// The chains: those of one flow stand together.
    pub chains: Vec<Chain>,
    /// Values of user-defined elements, as many a flow as the plan defines; only for flows with an extra.
    pub user: Vec<u64>,
}

/// One ended flow, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct FinishedFlow<'a> {
    /// The plain facts.
    pub record: &'a FlowRecord,
    /// The others, if the flow has them.
    pub extra: Option<&'a Extra>,
    /// Its distinct chains, first seen first; empty without an extra or without extension headers.
    pub chains: &'a [Chain],
    /// Values of user-defined elements, in plan order.
    pub user: &'a [u64],
}

impl FlowBatch {
    /// Flows a batch has room for.
    pub const CAPACITY: usize = 256;

    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.extras.clear();
        self.chains.clear();
        self.user.clear();
    }

    /// The flows with what belongs to each. `user_elements`: how many the plan defines.
    pub fn iter(&self, user_elements: usize) -> impl Iterator<Item = FinishedFlow<'_>> {
        self.flows.iter().map(move |record| {
            let extra = self.extras.get(record.extra as usize);
            let chains = extra.map_or(&[][..], |extra| {
                let first = extra.first_chain as usize;
                let count = usize::from(extra.chain_count).min(CHAINS);
                self.chains.get(first..first + count).unwrap_or(&[])
            });
            let user = extra.map_or(&[][..], |extra| {
                let first = extra.first_user as usize;
                self.user.get(first..first + user_elements).unwrap_or(&[])
            });
            FinishedFlow { record, extra, chains, user }
        })
    }
}
