//! The image of a flow: every value a record may carry, in network byte order, at a fixed place.
//!
//! In: a finished flow and which groups of values its Template needs. Out: [`Image`], from which a record is a few
//! copies. The plain values stand in the order of the `default` preset, so that a plain record is one or two copies.
//!
//! Invariants: places do not overlap but where the comment says so (a value of one family or protocol class stands
//! where that of another would); only the groups asked for are valid.

use super::kind::Kind;
use crate::capture::Timestamp;
use crate::ipfix::time::Ntp;
use crate::meter::flow::{
    Chain, Distinct, Extra, FinishedFlow, FlowRecord, Fragments, Layer2, Reverse, TcpOptions,
    Tunnel, feature,
};

/// The place of one value in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// First octet.
    pub at: u16,
    /// Octets.
    pub length: u16,
}

impl Slot {
    /// First octet behind the value.
    #[must_use]
    pub const fn end(self) -> usize {
        self.at as usize + self.length as usize
    }
}

/// Lays slots out one behind the other.
macro_rules! slots {
    ($at:expr;) => {
        /// Octets in use.
        pub(crate) const END: u16 = $at;
    };
    ($at:expr; $(#[$doc:meta])* $name:ident $length:literal, $($rest:tt)*) => {
        $(#[$doc])*
        pub(crate) const $name: Slot = Slot { at: $at, length: $length };
        slots!($name.at + $name.length; $($rest)*);
    };
}

/// Values of every flow ([`super::group::PLAIN`]).
pub(crate) mod plain {
    use super::Slot;
    slots! { 0;
        SOURCE_IPV6 16,
        DESTINATION_IPV6 16,
        SOURCE_PORT 2,
        DESTINATION_PORT 2,
        PROTOCOL 1,
        VERSION 1,
        CLASS 1,
        END_REASON 1,
        TTL 1,
        MIN_TTL 1,
        MAX_TTL 1,
        START_MS 8,
        END_MS 8,
        OCTETS 8,
        PACKETS 8,
        MIN_LENGTH 4,
        MAX_LENGTH 4,
        INTERFACE 4,
        NEXT_HEADER 1,
        LABEL 4,
        TCP_FLAGS 2,
        /// Zero octets, for values shorter than their field.
        ZERO 32,
    }
    /// IPv4: the addresses end where the IPv6 ones do.
    pub(crate) const SOURCE_IPV4: Slot = Slot { at: 24, length: 4 };
    /// IPv4: see [`SOURCE_IPV4`].
    pub(crate) const DESTINATION_IPV4: Slot = Slot { at: 28, length: 4 };
    /// ICMP and ICMPv6: in the place of the source port, type × 256 + code.
    pub(crate) const ICMP_TYPE_CODE: Slot = SOURCE_PORT;
    /// ICMP and ICMPv6: in the place of the destination port.
    pub(crate) const ICMP_TYPE: Slot = Slot { at: DESTINATION_PORT.at, length: 1 };
    /// ICMP and ICMPv6: see [`ICMP_TYPE`].
    pub(crate) const ICMP_CODE: Slot = Slot { at: DESTINATION_PORT.at + 1, length: 1 };
}

/// Values computed from the plain facts ([`super::group::DERIVED`]).
pub(crate) mod derived {
    use super::Slot;
    slots! { super::plain::END;
        START_S 4,
        END_S 4,
        START_US 8,
        END_US 8,
        START_NS 8,
        END_NS 8,
        DURATION_MS 4,
        DURATION_US 4,
        DSCP 1,
        PRECEDENCE 1,
        MULTICAST 1,
        VLAN 2,
        CUSTOMER_VLAN 2,
        TUNNEL_LEVEL 1,
        EXTRA_LOST 1,
    }
}

/// Extension headers ([`super::group::HEADERS`]).
pub(crate) mod headers {
    use super::Slot;
    slots! { super::derived::END;
        OLD_BITS 4,
        BITS 2,
        COMPLETE 1,
        CHAIN_LENGTH 4,
        CHAIN_COUNT 1,
    }
}

/// Fragments ([`super::group::FRAGMENTS`]).
pub(crate) mod fragments {
    use super::Slot;
    slots! { super::headers::END;
        IDENTIFICATION 4,
        OFFSET 2,
        FLAGS 1,
        MIN_OFFSET 2,
        PACKETS 4,
        ATOMIC 4,
        DUPLICATES 4,
        OVERLAPS 4,
        OUT_OF_ORDER 4,
        INCOMPLETE 4,
        TINY 4,
        PORTS_REWRITTEN 1,
        REWRITTEN_PORT 2,
    }
}

/// Link layer, MPLS and IPsec ([`super::group::LAYER2`]).
pub(crate) mod layer2 {
    use super::Slot;
    slots! { super::fragments::END;
        SOURCE_MAC 6,
        DESTINATION_MAC 6,
        PRIORITY 1,
        CUSTOMER_PRIORITY 1,
        DEI 1,
        CUSTOMER_DEI 1,
        ETHER_TYPE 2,
        OCTETS 8,
        MPLS1 3,
        MPLS2 3,
        MPLS3 3,
        SPI 4,
    }
}

/// Segment Routing Header and tunnel ([`super::group::ROUTE`]).
pub(crate) mod route {
    use super::Slot;
    slots! { super::layer2::END;
        SRH_FLAGS 1,
        SRH_TAG 2,
        SRH_LEFT 1,
        SRH_ACTIVE 16,
        TUNNEL_KIND 1,
        TUNNEL_IDENTIFIER 4,
        TUNNEL_SOURCE 16,
        TUNNEL_DESTINATION 16,
    }
    /// IPv4 outer header: the first four octets.
    pub(crate) const TUNNEL_SOURCE_IPV4: Slot = Slot { at: TUNNEL_SOURCE.at, length: 4 };
    /// IPv4 outer header: the first four octets.
    pub(crate) const TUNNEL_DESTINATION_IPV4: Slot = Slot { at: TUNNEL_DESTINATION.at, length: 4 };
}

/// TCP options and values that change within a flow ([`super::group::CHANGE`]).
pub(crate) mod change {
    use super::Slot;
    slots! { super::route::END;
        TCP_OPTIONS 32,
        LABEL_COUNT 1,
        LABEL_MIN 4,
        LABEL_MAX 4,
        CLASS_COUNT 1,
        CLASS_MIN 1,
        CLASS_MAX 1,
        HOP_LIMIT_COUNT 1,
    }
}

/// The reverse direction ([`super::group::REVERSE`]).
pub(crate) mod reverse {
    use super::Slot;
    slots! { super::change::END;
        START_MS 8,
        END_MS 8,
        OCTETS 8,
        PACKETS 8,
        MIN_LENGTH 4,
        MAX_LENGTH 4,
        TCP_FLAGS 2,
        TTL 1,
        MIN_TTL 1,
        MAX_TTL 1,
        CLASS 1,
        NEXT_HEADER 1,
        LABEL 4,
        BITS 2,
        OLD_BITS 4,
    }
}

/// Values that do not change from flow to flow; set once.
pub(crate) mod constant {
    use super::Slot;
    slots! { super::reverse::END;
        ACTIVE_TIMEOUT 2,
        IDLE_TIMEOUT 2,
        BIFLOW_DIRECTION 1,
        /// Always 0: unknown.
        SEGMENT_TYPE 1,
    }
}

/// Times as NetFlow v9 has them ([`super::group::UPTIME`]): milliseconds since [`Image::boot`].
pub(crate) mod uptime {
    use super::Slot;
    slots! { super::constant::END;
        FIRST 4,
        LAST 4,
    }
}

/// User-defined values ([`super::group::USER`]), eight octets each.
pub const USER: u16 = uptime::END;

/// Most user-defined elements.
pub const USER_ELEMENTS: usize = 32;

const SIZE: usize = USER as usize + 8 * USER_ELEMENTS;

/// The values of one flow. Reused from flow to flow.
#[derive(Clone, Debug)]
pub struct Image {
    octets: [u8; SIZE],
    /// What `sysUpTime` counts from, milliseconds since 1970.
    pub(in crate::export) boot: u64,
}

impl Default for Image {
    fn default() -> Self {
        Self { octets: [0; SIZE], boot: 0 }
    }
}

/// RFC 7011 section 6.1.5: true is 1, false is 2.
const fn boolean(value: bool) -> u8 {
    if value { 1 } else { 2 }
}

impl Image {
    /// The octets at `from`.
    #[inline]
    #[must_use]
    pub fn octets(&self, from: u16, length: u16) -> &[u8] {
        &self.octets[usize::from(from)..usize::from(from) + usize::from(length)]
    }

    #[inline]
    fn put<const N: usize>(&mut self, slot: Slot, value: [u8; N]) {
        debug_assert_eq!(usize::from(slot.length), N);
        self.octets[usize::from(slot.at)..usize::from(slot.at) + N].copy_from_slice(&value);
    }

    /// Sets what is the same for all flows: timeouts in seconds, saturating.
    pub fn set_constants(&mut self, active_timeout: u64, idle_timeout: u64) {
        let seconds = |value: u64| u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
        self.put(constant::ACTIVE_TIMEOUT, seconds(active_timeout));
        self.put(constant::IDLE_TIMEOUT, seconds(idle_timeout));
        // The flow's source is the sender of the first packet seen (RFC 5103 section 5.1).
        self.put(constant::BIFLOW_DIRECTION, [1]);
    }

    /// Writes the plain values and those of `groups` ([`super::group`]).
    #[inline]
    pub fn fill(&mut self, flow: &FinishedFlow<'_>, kind: Kind, groups: u16) {
        use super::group;
        self.plain(flow.record, kind);
        if groups == 0 {
            return;
        }
        if groups & group::DERIVED != 0 {
            self.derived(flow);
        }
        if groups & group::HEADERS != 0 {
            self.headers(flow);
        }
        if groups & group::USER != 0 {
            for index in 0..USER_ELEMENTS {
                let value = flow.user.get(index).copied().unwrap_or(0);
                let slot = Slot { at: USER + 8 * index as u16, length: 8 };
                self.put(slot, value.to_be_bytes());
            }
        }
        if groups & group::UPTIME != 0 {
            let since_boot = |at: Timestamp| {
                let milliseconds = at.milliseconds().saturating_sub(self.boot);
                u32::try_from(milliseconds).unwrap_or(u32::MAX).to_be_bytes()
            };
            let (start, end) = (since_boot(flow.record.first), since_boot(flow.record.last));
            self.put(uptime::FIRST, start);
            self.put(uptime::LAST, end);
        }
        if groups & group::EXTRA == 0 {
            return;
        }
        // Only a shared template asks for facts the flow does not have: they are zero.
        let nothing = Extra::default();
        let extra = flow.extra.unwrap_or(&nothing);
        if groups & group::FRAGMENTS != 0 {
            self.fragments(&extra.fragments, flow.record.key.is_ipv6());
        }
        if groups & group::LAYER2 != 0 {
            self.layer2(&extra.layer2);
            for (slot, entry) in
                [layer2::MPLS1, layer2::MPLS2, layer2::MPLS3].into_iter().zip(extra.mpls)
            {
                let [a, b, c, _] = entry.to_be_bytes();
                self.put(slot, [a, b, c]);
            }
            self.put(layer2::SPI, extra.spi.to_be_bytes());
        }
        if groups & group::ROUTE != 0 {
            self.put(route::SRH_FLAGS, [extra.segments.flags]);
            self.put(route::SRH_TAG, extra.segments.tag.to_be_bytes());
            self.put(route::SRH_LEFT, [extra.segments.left]);
            self.put(route::SRH_ACTIVE, extra.segments.active);
            self.tunnel(&extra.tunnel);
        }
        if groups & group::CHANGE != 0 {
            self.tcp_options(&extra.tcp_options);
            self.changes(&extra.labels, &extra.traffic_classes, &extra.hop_limits);
        }
        if groups & group::REVERSE != 0 {
            self.reverse(&extra.reverse, flow.record.key.protocol());
        }
    }

    #[inline]
    fn plain(&mut self, record: &FlowRecord, kind: Kind) {
        let key = &record.key;
        if kind.0 & Kind::IPV6 != 0 {
            self.put(plain::SOURCE_IPV6, key.source_octets());
            self.put(plain::DESTINATION_IPV6, key.destination_octets());
            self.put(plain::VERSION, [6]);
        } else {
            let [a, b, c, d, ..] = key.source_octets();
            self.put(plain::SOURCE_IPV4, [a, b, c, d]);
            let [a, b, c, d, ..] = key.destination_octets();
            self.put(plain::DESTINATION_IPV4, [a, b, c, d]);
            self.put(plain::VERSION, [4]);
        }
        let [first, second] = key.destination_port().to_be_bytes();
        if kind.0 & (Kind::ICMP | Kind::ICMPV6) == 0 {
            self.put(plain::SOURCE_PORT, key.source_port().to_be_bytes());
        } else {
            self.put(plain::ICMP_TYPE_CODE, [first, second]);
        }
        self.put(plain::DESTINATION_PORT, [first, second]);
        self.put(plain::PROTOCOL, [key.protocol()]);
        self.put(plain::CLASS, [record.traffic_class]);
        self.put(plain::END_REASON, [record.end_reason]);
        self.put(plain::TTL, [record.hop_limit]);
        self.put(plain::MIN_TTL, [record.min_hop_limit]);
        self.put(plain::MAX_TTL, [record.max_hop_limit]);
        self.put(plain::START_MS, record.first.milliseconds().to_be_bytes());
        self.put(plain::END_MS, record.last.milliseconds().to_be_bytes());
        self.put(plain::OCTETS, record.octets.to_be_bytes());
        self.put(plain::PACKETS, record.packets.to_be_bytes());
        self.put(plain::MIN_LENGTH, record.min_length.to_be_bytes());
        self.put(plain::MAX_LENGTH, record.max_length.to_be_bytes());
        self.put(plain::INTERFACE, record.interface.to_be_bytes());
        self.put(plain::NEXT_HEADER, [record.next_header]);
        // 20 bits are the label; RFC 9565: 12 bits are flags and the other four are sent as 0.
        self.put(plain::LABEL, (record.label & 0xf_ffff).to_be_bytes());
        self.put(plain::TCP_FLAGS, (record.tcp_flags & 0x0fff).to_be_bytes());
    }

    fn derived(&mut self, flow: &FinishedFlow<'_>) {
        let record = flow.record;
        let key = &record.key;
        let microseconds = |at: Timestamp| Ntp::microseconds_from_unix_nanos(at.0).0.to_be_bytes();
        let nanoseconds = |at: Timestamp| Ntp::from_unix_nanos(at.0).0.to_be_bytes();
        self.put(derived::START_S, (record.first.seconds() as u32).to_be_bytes());
        self.put(derived::END_S, (record.last.seconds() as u32).to_be_bytes());
        self.put(derived::START_US, microseconds(record.first));
        self.put(derived::END_US, microseconds(record.last));
        self.put(derived::START_NS, nanoseconds(record.first));
        self.put(derived::END_NS, nanoseconds(record.last));
        let duration = record.last.since(record.first);
        let saturate = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
        self.put(derived::DURATION_MS, saturate(duration / 1_000_000));
        self.put(derived::DURATION_US, saturate(duration / 1_000));
        self.put(derived::DSCP, [record.traffic_class >> 2]);
        self.put(derived::PRECEDENCE, [record.traffic_class >> 5]);
        self.put(derived::MULTICAST, [multicast(key.is_ipv6(), key.destination_octets())]);
        let layer2 = flow.extra.filter(|_| record.has(feature::LAYER2)).map(|extra| &extra.layer2);
        let tag = |tags: u8, tag: fn(&Layer2) -> u16, key: u16| match layer2 {
            Some(layer2) if layer2.tags >= tags => tag(layer2) & 0x0fff,
            _ => key,
        };
        self.put(derived::VLAN, tag(1, |layer2| layer2.tag, key.vlan()).to_be_bytes());
        let customer = tag(2, |layer2| layer2.customer_tag, key.customer_vlan());
        self.put(derived::CUSTOMER_VLAN, customer.to_be_bytes());
        self.put(derived::TUNNEL_LEVEL, [key.tunnel_level()]);
        self.put(derived::EXTRA_LOST, [boolean(record.has(feature::EXTRA_LOST))]);
    }

    fn headers(&mut self, flow: &FinishedFlow<'_>) {
        let record = flow.record;
        self.put(headers::OLD_BITS, old_bits(record.headers, record.key.protocol()).to_be_bytes());
        self.put(headers::BITS, record.headers.to_be_bytes());
        let count = flow.extra.map_or(0, |extra| extra.chain_count);
        self.put(headers::COMPLETE, [boolean(!record.has(feature::CHAIN_CUT))]);
        let length = flow.chains.first().map_or(0, |chain: &Chain| chain.length);
        self.put(headers::CHAIN_LENGTH, length.to_be_bytes());
        self.put(headers::CHAIN_COUNT, [count]);
    }

    fn fragments(&mut self, facts: &Fragments, ipv6: bool) {
        // RFC 8200 has no DF bit; the other bits of the octet are reserved.
        let flags = facts.flags & if ipv6 { 0x20 } else { 0x60 };
        self.put(fragments::IDENTIFICATION, facts.identification.to_be_bytes());
        self.put(fragments::OFFSET, facts.offset.to_be_bytes());
        self.put(fragments::FLAGS, [flags]);
        self.put(fragments::MIN_OFFSET, facts.min_offset.to_be_bytes());
        self.put(fragments::PACKETS, facts.packets.to_be_bytes());
        self.put(fragments::ATOMIC, facts.atomic.to_be_bytes());
        self.put(fragments::DUPLICATES, facts.duplicates.to_be_bytes());
        self.put(fragments::OVERLAPS, facts.overlaps.to_be_bytes());
        self.put(fragments::OUT_OF_ORDER, facts.out_of_order.to_be_bytes());
        self.put(fragments::INCOMPLETE, facts.incomplete.to_be_bytes());
        self.put(fragments::TINY, facts.tiny.to_be_bytes());
        self.put(fragments::PORTS_REWRITTEN, [boolean(facts.ports_rewritten)]);
        self.put(fragments::REWRITTEN_PORT, facts.rewritten_port.to_be_bytes());
    }

    fn layer2(&mut self, facts: &Layer2) {
        self.put(layer2::SOURCE_MAC, facts.source);
        self.put(layer2::DESTINATION_MAC, facts.destination);
        self.put(layer2::PRIORITY, [(facts.tag >> 13) as u8]);
        self.put(layer2::CUSTOMER_PRIORITY, [(facts.customer_tag >> 13) as u8]);
        self.put(layer2::DEI, [boolean(facts.tag & 0x1000 != 0)]);
        self.put(layer2::CUSTOMER_DEI, [boolean(facts.customer_tag & 0x1000 != 0)]);
        self.put(layer2::ETHER_TYPE, facts.ether_type.to_be_bytes());
        self.put(layer2::OCTETS, facts.octets.to_be_bytes());
    }

    fn tunnel(&mut self, facts: &Tunnel) {
        self.put(route::TUNNEL_KIND, [facts.kind as u8]);
        self.put(route::TUNNEL_IDENTIFIER, facts.identifier.to_be_bytes());
        self.put(route::TUNNEL_SOURCE, facts.source);
        self.put(route::TUNNEL_DESTINATION, facts.destination);
    }

    fn tcp_options(&mut self, facts: &TcpOptions) {
        let mut kinds = facts.kinds;
        if facts.exids16_count > 0 || facts.exids32_count > 0 {
            // RFC 9740 section 4: with lists of experiment identifiers, bits 253 and 254 are 0.
            kinds[3] &= !(3 << (253 - 192));
        }
        let at = usize::from(change::TCP_OPTIONS.at);
        for (index, word) in kinds.iter().rev().enumerate() {
            let from = at + 8 * index;
            self.octets[from..from + 8].copy_from_slice(&word.to_be_bytes());
        }
    }

    fn changes(&mut self, labels: &Distinct, classes: &Distinct, hop_limits: &Distinct) {
        self.put(change::LABEL_COUNT, [labels.count]);
        self.put(change::LABEL_MIN, labels.min.to_be_bytes());
        self.put(change::LABEL_MAX, labels.max.to_be_bytes());
        self.put(change::CLASS_COUNT, [classes.count]);
        self.put(change::CLASS_MIN, [classes.min as u8]);
        self.put(change::CLASS_MAX, [classes.max as u8]);
        self.put(change::HOP_LIMIT_COUNT, [hop_limits.count]);
    }

    fn reverse(&mut self, facts: &Reverse, protocol: u8) {
        self.put(reverse::START_MS, facts.first.milliseconds().to_be_bytes());
        self.put(reverse::END_MS, facts.last.milliseconds().to_be_bytes());
        self.put(reverse::OCTETS, facts.octets.to_be_bytes());
        self.put(reverse::PACKETS, facts.packets.to_be_bytes());
        self.put(reverse::MIN_LENGTH, facts.min_length.to_be_bytes());
        self.put(reverse::MAX_LENGTH, facts.max_length.to_be_bytes());
        self.put(reverse::TCP_FLAGS, (facts.tcp_flags & 0x0fff).to_be_bytes());
        self.put(reverse::TTL, [facts.hop_limit]);
        self.put(reverse::MIN_TTL, [facts.min_hop_limit]);
        self.put(reverse::MAX_TTL, [facts.max_hop_limit]);
        self.put(reverse::CLASS, [facts.traffic_class]);
        self.put(reverse::NEXT_HEADER, [facts.next_header]);
        self.put(reverse::LABEL, (facts.label & 0xf_ffff).to_be_bytes());
        self.put(reverse::BITS, facts.headers.to_be_bytes());
        self.put(reverse::OLD_BITS, old_bits(facts.headers, protocol).to_be_bytes());
    }
}

/// `isMulticast` (IANA element 206): IPv6 scope in the upper four bits, then the T flag; the lowest bit is IPv4's.
fn multicast(ipv6: bool, destination: [u8; 16]) -> u8 {
    match (ipv6, destination) {
        (true, [0xff, flags_and_scope, ..]) => {
            flags_and_scope << 4 | (flags_and_scope >> 4 & 1) << 3
        }
        (false, [224..=239, ..]) => 1,
        _ => 0,
    }
}

/// `ipv6ExtensionHeaders` (element 64, deprecated) from the bits of element 515, in the numbering of erratum 1738, bit 0
/// the least significant: DST 0, HOP 1, UNK 3, FRA0 4, RH 5, FRA1 6, MOB 12, ESP 13, AH 14, PAY 15 (IPComp, the upper
/// layer `protocol` 108). "No next header", HIP, Shim6, 253 and 254 had no bit.
pub(crate) const fn old_bits(bits: u16, protocol: u8) -> u32 {
    /// DST, HOP, UNK, FRA0, RH and FRA1 have the same place in both.
    const SAME: u16 = 0b0111_1011;
    const IPCOMP: u8 = 108;
    (bits & SAME) as u32
        | ((bits >> 7 & 1) as u32) << 12
        | ((bits >> 8 & 1) as u32) << 13
        | ((bits >> 9 & 1) as u32) << 14
        | if protocol == IPCOMP { 1 << 15 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multicast_bits() {
        let destination = |first: u8, second: u8| {
            let mut octets = [0u8; 16];
            (octets[0], octets[1]) = (first, second);
            octets
        };
        assert_eq!(multicast(true, destination(0xff, 0x02)), 0x20);
        assert_eq!(multicast(true, destination(0xff, 0x1e)), 0xe8);
        assert_eq!(multicast(true, destination(0x20, 0x01)), 0);
        assert_eq!(multicast(false, destination(224, 0)), 1);
        assert_eq!(multicast(false, destination(240, 0)), 0);
        assert_eq!(multicast(false, destination(10, 0)), 0);
    }

    #[test]
    fn old_extension_header_bits() {
        // Destination Options, Hop-by-Hop and Routing stand where they stood.
        assert_eq!(old_bits(0x0023, 6), 0x23);
        assert_eq!(old_bits(0x0008 | 0x0010 | 0x0040, 6), 0x58);
        // Mobility, ESP, AH have moved.
        assert_eq!(old_bits(0x0080, 6), 0x1000);
        assert_eq!(old_bits(0x0100, 50), 0x2000);
        assert_eq!(old_bits(0x0200, 6), 0x4000);
        // HIP, Shim6, 253 and 254 had no bit, bit 2 was reserved, IPComp had one.
        assert_eq!(old_bits(0x3c04, 59), 0);
        assert_eq!(old_bits(0, 108), 0x8000);
    }
}
