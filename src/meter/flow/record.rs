//! What is kept of a flow, and what leaves the meter when it ends.
//!
//! [`FlowRecord`] is one table entry: two cache lines, for every flow. [`Extra`] is kept beside it, only for flows
//! that have a feature a plain flow lacks, or for all when the template asks for such elements.

use crate::capture::Timestamp;
use crate::meter::packet::{Chain, Key, Layer2, Segments, ShortChain, TcpOptions, Tunnel};

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
    /// Bits of [`super::feature`].
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
    /// A chain that the [`Extra`] has, the one taken in last: another packet with it changes nothing there.
    pub chain: ShortChain,
    /// Spare.
    pub reserved: [u8; 8],
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
    /// Bits of [`super::feature`] of the packets counted here: which of the fields below are set.
    pub seen: u16,
    /// Security Parameters Index of the first ESP or AH header (`IPSecSPI`).
    pub spi: u32,
    /// Topmost MPLS label stack entries as on the wire (label 20, TC 3, S 1 bits; `mplsTopLabelStackSection` …).
    pub mpls: [u32; 3],
    /// Label stack entries seen (more than 3 possible).
    pub mpls_depth: u8,
    /// Identifiers of the distinct chains, by the worker's table of chains; resolved into [`FlowBatch::chains`].
    pub chains: [u32; CHAINS],
    /// Biflow: the last packet of the forward direction, while [`FlowRecord::last`] is that of both.
    pub forward_last: Timestamp,
    /// Distinct chains seen; [`CHAINS`] + 1 means "more than [`CHAINS`]".
    pub chain_count: u8,
    /// Where this flow's chains begin in [`FlowBatch::chains`] (set when the flow ends).
    pub first_chain: u32,
    /// Where this flow's user values begin in [`FlowBatch::user`] (set when the flow ends).
    pub first_user: u32,
}

/// Ended flows on their way from a worker to the exporter.
///
/// Allocated once with room for [`FlowBatch::CAPACITY`] flows and recycled; room for what only some flows have comes as it is needed.
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

    /// An empty batch with room for [`Self::CAPACITY`] flows.
    #[must_use]
    pub fn with_room() -> Self {
        Self { flows: Vec::with_capacity(Self::CAPACITY), ..Self::default() }
    }

    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.extras.clear();
        self.chains.clear();
        self.user.clear();
    }

    /// Empties the batch, and keeps memory for the plain facts of [`Self::CAPACITY`] flows only.
    pub fn keep_plain_room(&mut self) {
        self.flows.clear();
        (self.extras, self.chains, self.user) = (Vec::new(), Vec::new(), Vec::new());
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
