//! What the layers of a packet hold beyond the plain facts, and the bits that say so.

use std::hash::{Hash, Hasher};

/// What a flow has beside the plain facts: decides which elements its record carries.
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
    /// The flow was carried by a tunnel (the record's extra says by which).
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

    /// Reserved for the table: the first packet of a biflow came from the endpoint that the key names second.
    pub const TURNED: u16 = 1 << 13;

    /// A TCP header was cut, by the capture or by the packet's own end, before its control bits.
    pub const FLAGS_UNSEEN: u16 = 1 << 14;

    /// What makes a flow special enough for an extra, whatever the template.
    pub const SPECIAL: u16 = HEADERS | FRAGMENT | SEGMENTS | SPI | MPLS | TUNNEL | CHAIN_CUT;
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

/// Most runs of one chain that are kept; a longer chain has [`Chain::complete`] false.
pub const RUNS: usize = 24;

/// One IPv6 extension header chain (RFC 9740 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Hash for Chain {
    /// All runs as one piece: as many short ones would cost ten times as much.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut runs = [0; 2 * RUNS];
        for (two, (kind, times)) in runs.as_chunks_mut().0.iter_mut().zip(self.runs) {
            *two = [kind, times];
        }
        state.write(&runs);
        let rest = u64::from(self.length) << 32
            | u64::from(self.headers) << 16
            | u64::from(self.run_count) << 8
            | u64::from(self.complete);
        state.write_u64(rest);
    }
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
    /// Octets of the whole header, TLVs included, if all of them are kept; else 0.
    pub whole: u8,
    /// The first octets of the header (`srhIPv6Section`): 8 fixed ones, the segment list, TLVs.
    pub octets: Section,
    /// Destination address of the packet in force: `srhActiveSegmentIPv6`.
    pub active: [u8; 16],
}

impl Segments {
    /// Octets before the segment list.
    const FIXED: usize = 8;

    /// The segments kept, in the order of the header: octets, 16 each (`srhSegmentIPv6ListSection`).
    #[must_use]
    pub fn list(&self) -> &[u8] {
        &self.octets.0[Self::FIXED..Self::FIXED + 16 * usize::from(self.count).min(SEGMENTS)]
    }

    /// The segments kept, each to be changed in place: also in [`Self::section`].
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut [u8; 16]> {
        let end = Self::FIXED + 16 * usize::from(self.count).min(SEGMENTS);
        self.octets.0[Self::FIXED..end].as_chunks_mut().0.iter_mut()
    }

    /// The header as it was on the wire, or nothing if it was longer than what is kept, or cut.
    #[must_use]
    pub fn section(&self) -> &[u8] {
        self.octets.0.get(..usize::from(self.whole)).unwrap_or(&[])
    }
}

/// Room for the first octets of a Segment Routing Header: [`SEGMENTS`] segments, and an HMAC TLV of 40 octets behind them.
#[derive(Clone, Copy, Debug)]
pub struct Section(pub [u8; 8 + 16 * SEGMENTS + 40]);

impl Default for Section {
    fn default() -> Self {
        Self([0; 8 + 16 * SEGMENTS + 40])
    }
}

const _: () = assert!(
    size_of::<Section>() < 255,
    "its length fits one octet, also before the record (RFC 7011 section 7)"
);

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

impl Tunnel {
    /// The same for both directions of a conversation: the ends in order, and no endpoint identifier, which each end
    /// of GTP-U chooses for itself (3GPP TS 29.281 section 3.1).
    #[must_use]
    pub fn either_way(self) -> Self {
        let identifier = if self.kind == TunnelKind::GtpU { 0 } else { self.identifier };
        let (source, destination) =
            (self.source.min(self.destination), self.source.max(self.destination));
        Self { source, destination, identifier, ..self }
    }
}
