//! What a right exporter says of crafted traffic: element names as IANA spells them, and their values.
//!
//! In: what a case meant to send. Out: JSON. Own elements are `sixtap:NAME`. Invariant: an element that is not named
//! has no one right value, or must be absent.

use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv6Addr};

/// Bits of `ipv6ExtensionHeadersFull` (RFC 9740 section 3.3): bit n is 1 << n.
pub mod bit {
    /// Destination Options.
    pub const DST: u16 = 1;
    /// Hop-by-Hop Options.
    pub const HOP: u16 = 1 << 1;
    /// No Next Header.
    pub const NO_NEXT: u16 = 1 << 2;
    /// Unknown.
    pub const UNKNOWN: u16 = 1 << 3;
    /// Fragment header of a first fragment.
    pub const FRA0: u16 = 1 << 4;
    /// Routing header.
    pub const RH: u16 = 1 << 5;
    /// Fragment header of a later fragment.
    pub const FRA1: u16 = 1 << 6;
    /// Mobility header.
    pub const MOB: u16 = 1 << 7;
    /// Encapsulating Security Payload.
    pub const ESP: u16 = 1 << 8;
    /// Authentication Header.
    pub const AH: u16 = 1 << 9;
    /// Host Identity Protocol.
    pub const HIP: u16 = 1 << 10;
    /// Shim6.
    pub const SHIM6: u16 = 1 << 11;
    /// Experiment 1.
    pub const EXP1: u16 = 1 << 12;
}

/// The truth of one flow record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// Element name to value.
    pub elements: Map<String, Value>,
}

/// What is to be said of a flow's fragments: the first fragment counted, then how many of what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fragments {
    /// `fragmentIdentification` of the first fragment counted.
    pub identification: u32,
    /// `fragmentOffset` of the first fragment counted, 8-octet units.
    pub offset: u16,
    /// M flag of the first fragment counted.
    pub more: bool,
    /// Fragment packets.
    pub packets: u32,
    /// Atomic fragments.
    pub atomic: u32,
    /// Exact duplicates.
    pub duplicates: u32,
    /// Overlaps that are no duplicates.
    pub overlaps: u32,
    /// Neither, and behind one with a larger offset.
    pub out_of_order: u32,
    /// Datagrams never complete.
    pub incomplete: u32,
    /// First fragments too small for the ports.
    pub tiny: u32,
    /// Smallest offset that is not 0.
    pub smallest_offset: u16,
    /// Destination port that an overlap wrote.
    pub rewritten: Option<u16>,
}

impl Flow {
    /// Sets an element.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.elements.insert(name.to_owned(), value.into());
        self
    }

    /// A flow between two addresses. For IPv6 `nextHeaderIPv6` is the protocol, until [`Flow::chain`] says otherwise.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        let family = if source.is_ipv6() { "IPv6" } else { "IPv4" };
        let flow = Self::default()
            .set("ipVersion", if source.is_ipv6() { 6 } else { 4 })
            .set(&format!("source{family}Address"), source.to_string())
            .set(&format!("destination{family}Address"), destination.to_string())
            .set("protocolIdentifier", protocol);
        if source.is_ipv6() { flow.set("nextHeaderIPv6", protocol) } else { flow }
    }

    /// Ports, source first.
    #[must_use]
    pub fn ports(self, ports: (u16, u16)) -> Self {
        self.set("sourceTransportPort", ports.0).set("destinationTransportPort", ports.1)
    }

    /// ICMPv6 type and code.
    #[must_use]
    pub fn icmpv6(self, kind: u8, code: u8) -> Self {
        self.set("icmpTypeCodeIPv6", u16::from(kind) << 8 | u16::from(code))
    }

    /// ICMP type and code.
    #[must_use]
    pub fn icmp(self, kind: u8, code: u8) -> Self {
        self.set("icmpTypeCodeIPv4", u16::from(kind) << 8 | u16::from(code))
    }

    /// Traffic class or TOS octet, and hop limit or TTL, of every packet.
    #[must_use]
    pub fn class_and_hops(self, class: u8, hops: u8) -> Self {
        self.set("ipClassOfService", class)
            .set("ipTTL", hops)
            .set("minimumTTL", hops)
            .set("maximumTTL", hops)
    }

    /// Length in octets of every IP packet, headers included.
    #[must_use]
    pub fn lengths(self, lengths: &[u64]) -> Self {
        self.set("packetDeltaCount", lengths.len())
            .set("octetDeltaCount", lengths.iter().sum::<u64>())
            .set("minimumIpTotalLength", lengths.iter().min().copied().unwrap_or(0))
            .set("maximumIpTotalLength", lengths.iter().max().copied().unwrap_or(0))
    }

    /// Extension headers: the first one's number, the bits of [`bit`] OR-ed over all packets, octets of the chain, and
    /// whether every chain could be walked to its end. A flow of first and later fragments has more than one chain,
    /// so that no one length is right (RFC 9740 section 3.6); "no next header" and an unknown upper layer are no headers and
    /// have none.
    #[must_use]
    pub fn chain(self, first: u8, bits: u16, length: u32, complete: bool) -> Self {
        let flow = self
            .set("nextHeaderIPv6", first)
            .set("ipv6ExtensionHeadersFull", bits)
            .set("ipv6ExtensionHeadersLimit", complete);
        let listed = bits & !(bit::NO_NEXT | bit::UNKNOWN) != 0;
        if !listed || bits & bit::FRA0 != 0 && bits & bit::FRA1 != 0 {
            return flow;
        }
        flow.set("ipv6ExtensionHeadersChainLength", length)
    }

    /// Takes an element back: it has no one right value after all.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.elements.shift_remove(name);
        self
    }

    /// TCP flags, OR-ed.
    #[must_use]
    pub fn tcp(self, flags: u16) -> Self {
        self.set("tcpControlBits", flags)
    }

    /// Fragments.
    #[must_use]
    pub fn fragments(self, fragments: Fragments) -> Self {
        self.set("fragmentIdentification", fragments.identification)
            .set("fragmentOffset", fragments.offset)
            .set("fragmentFlags", if fragments.more { 0x20 } else { 0 })
            .set("sixtap:fragmentMinimumOffset", fragments.smallest_offset)
            .set("sixtap:fragmentPackets", fragments.packets)
            .set("sixtap:fragmentAtomicCount", fragments.atomic)
            .set("sixtap:fragmentDuplicateCount", fragments.duplicates)
            .set("sixtap:fragmentOverlapCount", fragments.overlaps)
            .set("sixtap:fragmentOutOfOrderCount", fragments.out_of_order)
            .set("sixtap:fragmentIncompleteDatagramCount", fragments.incomplete)
            .set("sixtap:fragmentTinyFirstCount", fragments.tiny)
            .set("sixtap:fragmentPortsRewritten", fragments.rewritten.is_some())
            .set("sixtap:fragmentRewrittenDestinationPort", fragments.rewritten.unwrap_or(0))
    }

    /// Why the record ends (`flowEndReason`), where the packets alone decide it.
    #[must_use]
    pub fn ends(self, reason: u8) -> Self {
        self.set("flowEndReason", reason)
    }

    /// Segment Routing Header (RFC 9487).
    #[must_use]
    pub fn segments(self, flags: u8, tag: u16, left: u8, active: Ipv6Addr) -> Self {
        self.set("srhFlagsIPv6", flags)
            .set("srhTagIPv6", tag)
            .set("srhSegmentsIPv6Left", left)
            .set("srhActiveSegmentIPv6", active.to_string())
    }
}

/// A time as RFC 3339 text with milliseconds. Every crafted frame stands on a whole millisecond.
#[must_use]
pub fn milliseconds(time: u64) -> Value {
    let (days, of_day) = (time / 86_400_000_000_000, time % 86_400_000_000_000 / 1_000_000);
    let (year, month, day) = civil(days);
    let (seconds, milliseconds) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    json!(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"
    ))
}

/// Days since 1970-01-01 to year, month and day (Gregorian). Counts in years that begin on March 1st.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(milliseconds(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(milliseconds(951_782_400_123_000_000), "2000-02-29T00:00:00.123Z");
        assert_eq!(milliseconds(1_767_225_599_999_000_000), "2025-12-31T23:59:59.999Z");
    }
}
