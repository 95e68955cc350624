//! What is known of one packet.

use super::{Chain, Key, Layer2, Segments, ShortChain, TcpOptions, Tunnel, feature};
use super::{Options, TunnelMode, user};
use crate::capture::Timestamp;

/// The facts of one IP packet that every flow needs: fixed size, two cache lines at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Flow Key of the packet as such. For a later fragment the ports are unknown until the fragment table attaches it.
    pub key: Key,
    /// When the frame was observed.
    pub time: Timestamp,
    /// Octets of the IP packet: header and payload as the header says.
    pub length: u32,
    /// The chain of extension headers, where that is all the packet has beside the plain facts.
    pub chain: ShortChain,
    /// Flow label, 20 bits; 0 for IPv4.
    pub label: u32,
    /// Interface of the frame.
    pub interface: u32,
    /// Bits of `ipv6ExtensionHeadersFull` (RFC 9740 section 3.3).
    pub headers: u16,
    /// TCP flags, 12 bits; 0 where there is no TCP header.
    pub tcp_flags: u16,
    /// Bits of [`feature`].
    pub features: u16,
    /// Hop limit or TTL.
    pub hop_limit: u8,
    /// Traffic class or TOS octet.
    pub traffic_class: u8,
    /// Next Header of the IPv6 header, protocol of the IPv4 header.
    pub next_header: u8,
    /// Index into [`Packets::details`], or [`Facts::PLAIN`].
    pub detail: u8,
    /// Number of the frame in its batch.
    pub frame: u8,
    /// Biflow: whether the key was turned round, so that both directions have the same.
    pub reversed: bool,
}

impl Facts {
    /// Value of `detail` for a packet that has none.
    pub const PLAIN: u8 = u8::MAX;
}

/// Fragment fields of one packet (RFC 8200 section 4.5, RFC 791 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Identification: 32 bits, IPv4 16 bits.
    pub identification: u32,
    /// Offset in units of 8 octets.
    pub offset: u16,
    /// `fragmentFlags`: 0x40 Don't Fragment (IPv4 only), 0x20 More Fragments.
    pub flags: u8,
    /// Octets of the fragmentable part that this packet states to carry.
    pub length: u32,
    /// The first octets of the fragmentable part, as far as captured: enough for the ports and a rewritten port.
    pub head: [u8; 32],
    /// How many of `head` are set.
    pub head_length: u8,
    /// For a first fragment: octets of extension headers between the Fragment header and the upper layer; `u16::MAX` if
    /// the upper layer was not reached.
    pub upper_offset: u16,
    /// Whether the packet ends (by its own length, not by the capture) before the upper layer's ports do (RFC 7112).
    pub tiny: bool,
}

impl Fragment {
    /// More Fragments.
    pub const MORE: u8 = 0x20;
    /// Don't Fragment.
    pub const DONT: u8 = 0x40;

    /// Keeps the first octets of the fragmentable part, never more than the packet states to carry.
    #[must_use]
    pub(super) fn with_head(mut self, part: &[u8], upper_offset: u16) -> Self {
        let count = part.len().min(self.head.len()).min(self.length as usize);
        self.head[..count].copy_from_slice(&part[..count]);
        self.head_length = count as u8;
        self.upper_offset = upper_offset;
        self
    }

    /// Whether fragments follow this one.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.flags & Self::MORE != 0
    }

    /// Offset 0 and no more to come: a whole packet (RFC 6946). IPv4 has no such fragments.
    #[must_use]
    pub const fn atomic(&self) -> bool {
        self.offset == 0 && !self.more()
    }
}

/// What a packet has beside the plain facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// Link layer; `octets` is the length of this frame.
    pub layer2: Layer2,
    /// Extension header chain; empty if there is none.
    pub chain: Chain,
    /// Fragment fields, if it is a fragment.
    pub fragment: Option<Fragment>,
    /// First Segment Routing Header.
    pub segments: Segments,
    /// TCP options.
    pub tcp_options: TcpOptions,
    /// What carried this packet.
    pub tunnel: Tunnel,
    /// SPI of the first ESP or AH header.
    pub spi: u32,
    /// Topmost MPLS label stack entries.
    pub mpls: [u32; 3],
    /// Label stack entries seen.
    pub mpls_depth: u8,
    /// Where the layers of this packet begin in the frame, for user-defined elements.
    pub layers: Layers,
    /// Values of user-defined elements; only those in `user_set` are there.
    pub user: [u64; user::MOST],
    /// Bit n: `user[n]` was found in this packet.
    pub user_set: u8,
}

/// Offsets into the frame's captured octets; 0 where the layer was not found (the IP header may be at 0: see `ip`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers {
    /// IP header.
    pub ip: u16,
    /// Upper-layer header, 0 if it was not reached.
    pub transport: u16,
    /// Octets behind the transport header, 0 if not reached.
    pub payload: u16,
    /// First extension headers: type and offset.
    pub headers: [(u8, u16); 8],
    /// How many of `headers` are set.
    pub header_count: u8,
}

/// Why a frame is not metered. Each is a line of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The link type of the capture is not known.
    LinkType = 0,
    /// The captured octets end within the link header.
    LinkCut = 1,
    /// The frame carries no IP packet (ARP, LLDP, …).
    NotIp = 2,
    /// The captured octets end within the IP header.
    IpCut = 3,
    /// The version field is not that of the protocol announced.
    Version = 4,
    /// IPv4 header length below 20 octets, or a total length below the header length.
    Length = 5,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] =
        [Self::LinkType, Self::LinkCut, Self::NotIp, Self::IpCut, Self::Version, Self::Length];

    /// As the ledger and the metrics spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::LinkCut => "link_cut",
            Self::NotIp => "not_ip",
            Self::IpCut => "ip_cut",
            Self::Version => "version",
            Self::Length => "length",
        }
    }
}

/// Frames by what became of them. Σ of all fields but `inner` and the octets = frames read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Frames with at least one metered packet.
    pub metered: u64,
    /// Packets metered beyond the first of their frame (`--tunnel both`).
    pub inner: u64,
    /// Frames not metered, by [`Reason`].
    pub ignored: [u64; Reason::COUNT],
    /// Octets on the wire of frames not metered, but for those without an IP packet (`ignoredOctetTotalCount`).
    pub ignored_octets: u64,
    /// What the metered packets were.
    pub traffic: Traffic,
}

/// The metered packets by what they were. Inner packets of `--tunnel both` are among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// IPv6 packets; the others are IPv4.
    pub ipv6: u64,
    /// IP octets, of IPv4 and of IPv6.
    pub octets: [u64; 2],
    /// IPv6 packets with at least one extension header, No Next Header among them.
    pub extended: u64,
    /// IPv6 packets by header: index n is bit n of `ipv6ExtensionHeadersFull` ([`super::ipv6::bit`]).
    pub headers: [u64; super::ipv6::bit::NAMES.len()],
    /// Packets of which the chain was not walked to its end.
    pub cut: u64,
    /// Fragments of IPv4 and of IPv6, but for atomic ones.
    pub fragments: [u64; 2],
    /// IPv6 atomic fragments (RFC 6946): whole packets.
    pub atomic: u64,
}

impl Traffic {
    /// Counts a packet.
    #[inline(always)]
    fn add(&mut self, facts: &Facts) {
        let ipv6 = facts.key.is_ipv6();
        self.ipv6 += u64::from(ipv6);
        self.octets[usize::from(ipv6)] += u64::from(facts.length);
    }

    /// Counts what only a packet with a [`Detail`] can be.
    fn add_detail(&mut self, facts: &Facts, detail: &Detail) {
        self.cut += u64::from(facts.features & feature::CHAIN_CUT != 0);
        if let Some(fragment) = &detail.fragment {
            if fragment.atomic() && facts.key.is_ipv6() {
                self.atomic += 1;
            } else {
                self.fragments[usize::from(facts.key.is_ipv6())] += 1;
            }
        }
    }
}

/// Packets with extension headers in the batch in hand, and how many of them have each: small counters side by side, which
/// the compiler counts up together. [`Packets::CAPACITY`] fits an octet.
#[derive(Clone, Copy, Debug, Default)]
struct Extended {
    packets: u8,
    headers: [u8; 16],
}

impl Extended {
    #[inline(always)]
    fn add(&mut self, headers: u16) {
        self.packets += u8::from(headers != 0);
        let [low, high] = headers.to_le_bytes();
        for (bit, count) in self.headers.iter_mut().enumerate() {
            let octet = if bit < 8 { low } else { high };
            *count += u8::from(octet & 1 << (bit % 8) != 0);
        }
    }

    fn add_to(&self, traffic: &mut Traffic) {
        traffic.extended += u64::from(self.packets);
        for (sum, count) in traffic.headers.iter_mut().zip(self.headers) {
            *sum += u64::from(count);
        }
    }
}

/// What one batch of frames holds, reused from batch to batch.
#[derive(Debug)]
pub struct Packets {
    /// Room for [`Self::CAPACITY`]; the first `count` are set.
    facts: Box<[Facts]>,
    count: usize,
    /// Frames of the batch so far.
    frames: u8,
    details: Vec<Detail>,
    outcomes: Outcomes,
    /// What `outcomes` lacks of the batch in hand.
    extended: Extended,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            facts: vec![Facts::default(); Self::CAPACITY].into_boxed_slice(),
            count: 0,
            frames: 0,
            details: Vec::with_capacity(Self::DETAILS),
            outcomes: Outcomes::default(),
            extended: Extended::default(),
        }
    }
}

impl Packets {
    /// IP headers of one frame that are metered at the most (`--tunnel both`).
    pub const DEPTH: usize = 3;
    /// Packets of one batch.
    pub const CAPACITY: usize = crate::capture::BATCH * Self::DEPTH;
    /// Details of one batch: the last index is [`Facts::PLAIN`] - 1.
    pub const DETAILS: usize = Self::CAPACITY;

    /// Empties the batch; the outcomes go on.
    #[inline]
    pub fn clear(&mut self) {
        self.count = 0;
        self.frames = 0;
        self.details.clear();
        if self.extended.packets > 0 {
            self.extended.add_to(&mut self.outcomes.traffic);
            self.extended = Extended::default();
        }
    }

    /// Frames by outcome since the start.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let mut outcomes = self.outcomes;
        self.extended.add_to(&mut outcomes.traffic);
        outcomes
    }

    /// The next frame begins.
    #[inline(always)]
    pub(super) fn begin_frame(&mut self) {
        self.frames = self.frames.wrapping_add(1);
    }

    /// The packets, in order of arrival.
    #[inline]
    #[must_use]
    pub fn facts(&self) -> &[Facts] {
        &self.facts[..self.count]
    }

    /// The details that [`Facts::detail`] indexes.
    #[inline]
    #[must_use]
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// Details, to be changed in place by who applies user-defined elements.
    #[must_use]
    pub fn detail(&self, facts: &Facts) -> Option<&Detail> {
        self.details.get(usize::from(facts.detail))
    }

    /// Appends the packet that `read` writes, in its place; nothing if it returns false.
    #[inline(always)]
    pub(super) fn write_plain(
        &mut self,
        label_key: bool,
        read: impl FnOnce(&mut Facts) -> bool,
    ) -> bool {
        let Some(facts) = self.facts.get_mut(self.count) else { return false };
        if !read(facts) {
            return false;
        }
        if label_key {
            facts.key.0[5] |= label_words(facts);
        }
        facts.frame = self.frames.wrapping_sub(1);
        self.outcomes.metered += 1;
        self.outcomes.traffic.add(facts);
        if facts.headers != 0 {
            self.extended.add(facts.headers);
        }
        self.count += 1;
        true
    }

    fn push(&mut self, facts: Facts) {
        // There is always room: a batch has at most BATCH frames and each at most DEPTH packets.
        debug_assert!(self.count < Self::CAPACITY);
        self.outcomes.traffic.add(&facts);
        if let Some(place) = self.facts.get_mut(self.count) {
            *place = facts;
            self.count += 1;
        }
    }

    /// Appends a packet with its detail. `packets_of_frame` counts those of the same frame so far.
    pub(super) fn push_detailed(
        &mut self,
        mut facts: Facts,
        detail: Detail,
        options: &Options,
        packets_of_frame: &mut usize,
    ) {
        if *packets_of_frame >= Self::DEPTH {
            return;
        }
        if *packets_of_frame == 0 {
            self.outcomes.metered += 1;
        } else {
            self.outcomes.inner += 1;
        }
        *packets_of_frame += 1;
        self.outcomes.traffic.add_detail(&facts, &detail);
        if facts.headers != 0 {
            self.extended.add(facts.headers);
        }
        facts.frame = self.frames.wrapping_sub(1);
        if options.label_key {
            facts.key.0[5] |= label_words(&facts);
        }
        if !options.detail {
            // What only the larger templates ask for is not kept for some flows by the accident of their framing.
            facts.features &= feature::SPECIAL | feature::FLAGS_UNSEEN;
        }
        facts.detail = Facts::PLAIN;
        if facts.features & feature::SPECIAL != 0 || options.detail {
            facts.detail = u8::try_from(self.details.len()).unwrap_or(Facts::PLAIN);
            self.details.push(detail);
        }
        self.push(facts);
    }

    /// Counts a frame that is not metered.
    pub(super) fn ignore(&mut self, reason: Reason, octets: u32) {
        self.outcomes.ignored[reason as usize] += 1;
        if reason != Reason::NotIp {
            self.outcomes.ignored_octets += u64::from(octets);
        }
    }
}

const _: () =
    assert!(Packets::DETAILS < Facts::PLAIN as usize, "detail indexes and `Extended` fit octets");

/// Flow label and traffic class as key fields (word 5 of [`Key`]).
fn label_words(facts: &Facts) -> u64 {
    Key::word5(facts.label, facts.traffic_class, 0, 0, 0)
}

impl Facts {
    /// Whether the packet is a fragment other than an atomic one.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.features & feature::FRAGMENT != 0
    }
}

impl TunnelMode {
    /// Whether the header at `level`, which does or does not carry another IP header, is metered.
    #[must_use]
    pub const fn wants(self, level: u8, carries: bool) -> bool {
        match self {
            Self::Outer => level == 0,
            Self::Inner => !carries,
            Self::Both => true,
        }
    }
}
