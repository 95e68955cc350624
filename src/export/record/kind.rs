//! What kind of flow it is: which conditions of a preset hold for it.
//!
//! In: a finished flow. Out: a bit mask. Invariant: two flows of one kind have records of one Template.

use crate::meter::flow::{FinishedFlow, feature};

/// Conditions that hold for a flow, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind(pub u32);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $bit:literal $text:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: u32 = 1 << $bit;)*
        }
        /// Each condition with its words, as `sixtap elements` and the documentation print them.
        const WORDS: &[(u32, &str)] = &[$((1 << $bit, $text)),*];
    };
}

kinds! {
    /// The addresses are IPv6; unset: IPv4.
    IPV6 = 0 "IPv6";
    /// TCP, UDP, UDP-Lite, SCTP or DCCP, and the ports were seen.
    PORTS = 1 "ports";
    /// TCP, and the TCP header was seen.
    TCP = 2 "TCP";
    /// ICMP over IPv4, and type and code were seen.
    ICMP = 3 "ICMP";
    /// ICMPv6 over IPv6, and type and code were seen.
    ICMPV6 = 4 "ICMPv6";
    /// The frame had a VLAN tag.
    VLAN = 5 "VLAN tag";
    /// The frame had two VLAN tags.
    CUSTOMER_VLAN = 6 "two VLAN tags";
    /// IPv6 extension headers.
    HEADERS = 7 "extension headers";
    /// Fragments.
    FRAGMENT = 8 "fragments";
    /// A Segment Routing Header.
    SEGMENTS = 9 "Segment Routing Header";
    /// A Segment Routing Header whose list holds at least one segment.
    SEGMENT_LIST = 10 "segment list";
    /// ESP or AH.
    SPI = 11 "ESP or AH";
    /// At least one MPLS label.
    MPLS = 12 "MPLS";
    /// At least two MPLS labels.
    MPLS2 = 13 "two MPLS labels";
    /// At least three MPLS labels.
    MPLS3 = 14 "three MPLS labels";
    /// Carried by a tunnel.
    TUNNEL = 15 "tunnel";
    /// Carried by a tunnel over IPv6.
    TUNNEL_IPV6 = 16 "tunnel over IPv6";
    /// TCP options were seen.
    TCP_OPTIONS = 17 "TCP options";
    /// A TCP option of kind 64 or above was seen (so that `tcpOptionsFull` needs all its 32 octets).
    TCP_OPTIONS_WIDE = 18 "TCP option kind above 63";
    /// Two-octet experiment identifiers in TCP options.
    EXID16 = 19 "2-octet TCP ExID";
    /// Four-octet experiment identifiers in TCP options.
    EXID32 = 20 "4-octet TCP ExID";
    /// The record holds both directions.
    REVERSE = 21 "both directions";
    /// Flow label, traffic class or hop limit changed within the flow.
    CHANGED = 22 "label, class or hop limit changed";
    /// Link-layer facts are known.
    LAYER2 = 23 "link layer known";
    /// All packets had one and the same chain of extension headers, and it is known. A packet that has only 59 or an unknown
    /// upper layer has no header to list.
    ONE_CHAIN = 24 "one chain";
    /// Packets had different chains of extension headers, and they are known.
    SEVERAL_CHAINS = 25 "several chains";
    /// The meter had no room for the flow's facts beyond the plain ones.
    EXTRA_LOST = 26 "facts lost";
    /// Values of user-defined elements are known.
    USER = 27 "user-defined values";
    /// A Segment Routing Header of which every octet is known.
    SEGMENT_SECTION = 28 "whole Segment Routing Header";
}

/// Flows of these upper layers have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl Kind {
    /// The class bits: family, upper layer and tags. The Template for kinds beyond the bound keeps them.
    pub const CLASS: u32 = Self::IPV6
        | Self::PORTS
        | Self::TCP
        | Self::ICMP
        | Self::ICMPV6
        | Self::VLAN
        | Self::CUSTOMER_VLAN;

    /// The kind of `flow`.
    #[inline]
    #[must_use]
    pub fn of(flow: &FinishedFlow<'_>) -> Self {
        let key = &flow.record.key;
        let protocol = key.protocol();
        let ipv6 = key.is_ipv6();
        let mut bits = if ipv6 { Self::IPV6 } else { 0 };
        if !key.ports_unknown() {
            bits |= match (protocol, ipv6) {
                // No packet showed its control bits: the record has none.
                (TCP, _)
                    if flow.record.tcp_flags == 0 && flow.record.has(feature::FLAGS_UNSEEN) =>
                {
                    Self::PORTS
                }
                (TCP, _) => Self::TCP | Self::PORTS,
                (ICMP, false) => Self::ICMP,
                (ICMPV6, true) => Self::ICMPV6,
                (other, _) if WITH_PORTS.contains(&other) => Self::PORTS,
                _ => 0,
            };
        }
        if key.vlan() != 0 {
            bits |= Self::VLAN;
        }
        if key.customer_vlan() != 0 {
            bits |= Self::VLAN | Self::CUSTOMER_VLAN;
        }
        if flow.record.features != 0 || flow.extra.is_some() {
            bits |= Self::of_features(flow);
        }
        Self(bits)
    }

    fn of_features(flow: &FinishedFlow<'_>) -> u32 {
        let features = flow.record.features;
        let bit = |feature, kind| if features & feature != 0 { kind } else { 0 };
        let mut bits = bit(feature::EXTRA_LOST, Self::EXTRA_LOST);
        // Extension headers are IPv6's; the meter's bits are not believed for IPv4.
        if flow.record.key.is_ipv6() {
            bits |= bit(feature::HEADERS, Self::HEADERS);
        }
        let Some(extra) = flow.extra else { return bits };
        bits |= bit(feature::FRAGMENT, Self::FRAGMENT)
            | bit(feature::SPI, Self::SPI)
            | bit(feature::REVERSE, Self::REVERSE)
            | bit(feature::CHANGED, Self::CHANGED)
            | bit(feature::LAYER2, Self::LAYER2);
        if features & feature::LAYER2 != 0 {
            bits |= match extra.layer2.tags {
                0 => 0,
                1 => Self::VLAN,
                _ => Self::VLAN | Self::CUSTOMER_VLAN,
            };
        }
        if features & feature::SEGMENTS != 0 {
            bits |= Self::SEGMENTS;
            bits |= if extra.segments.count > 0 { Self::SEGMENT_LIST } else { 0 };
            bits |= if extra.segments.whole > 0 { Self::SEGMENT_SECTION } else { 0 };
        }
        if features & feature::MPLS != 0 {
            bits |= match extra.mpls_depth {
                0 => 0,
                1 => Self::MPLS,
                2 => Self::MPLS | Self::MPLS2,
                _ => Self::MPLS | Self::MPLS2 | Self::MPLS3,
            };
        }
        if features & feature::TUNNEL != 0 {
            bits |= Self::TUNNEL;
            bits |= if extra.tunnel.outer_ipv6 { Self::TUNNEL_IPV6 } else { 0 };
        }
        if features & feature::TCP_OPTIONS != 0 {
            bits |= Self::of_tcp_options(&extra.tcp_options);
        }
        if bits & Self::HEADERS != 0 {
            bits |= match flow.chains {
                [] => 0,
                [chain] if chain.run_count == 0 => 0,
                [_] => Self::ONE_CHAIN,
                _ => Self::SEVERAL_CHAINS,
            };
        }
        bits | if flow.user.is_empty() { 0 } else { Self::USER }
    }

    fn of_tcp_options(options: &crate::meter::flow::TcpOptions) -> u32 {
        let [_, high @ ..] = options.kinds;
        // Experiment identifiers take bits 253 and 254 away (RFC 9740 section 4), so those alone need no wide field.
        let listed = options.exids16_count > 0 || options.exids32_count > 0;
        let experiments = if listed { 3 << (253 - 192) } else { 0 };
        let wide = high[0] != 0 || high[1] != 0 || high[2] & !experiments != 0;
        Self::TCP_OPTIONS
            | if wide { Self::TCP_OPTIONS_WIDE } else { 0 }
            | if options.exids16_count > 0 { Self::EXID16 } else { 0 }
            | if options.exids32_count > 0 { Self::EXID32 } else { 0 }
    }
}

/// When a field belongs to a record: all of one set of conditions hold and none of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// All of these must hold.
    pub all: u32,
    /// None of these may hold.
    pub none: u32,
}

impl Condition {
    /// Always.
    pub const ALWAYS: Self = Self { all: 0, none: 0 };

    /// When all of `all` hold.
    #[must_use]
    pub const fn when(all: u32) -> Self {
        Self { all, none: 0 }
    }

    /// This one, and none of `none` may hold.
    #[must_use]
    pub const fn unless(self, none: u32) -> Self {
        Self { all: self.all, none: self.none | none }
    }

    /// Whether a flow of `kind` meets it.
    #[must_use]
    pub const fn holds(self, kind: Kind) -> bool {
        kind.0 & self.all == self.all && kind.0 & self.none == 0
    }

    /// The condition bits it looks at.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.all | self.none
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ALWAYS {
            return f.write_str("always");
        }
        let mut separator = "";
        if self.none & Kind::IPV6 != 0 {
            f.write_str("IPv4")?;
            separator = ", ";
        }
        for (bit, word) in WORDS {
            let negation = match (self.all & bit != 0, self.none & bit & !Kind::IPV6 != 0) {
                (true, _) => "",
                (_, true) => "not ",
                _ => continue,
            };
            write!(f, "{separator}{negation}{word}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_as_words() {
        assert_eq!(Condition::ALWAYS.to_string(), "always");
        assert_eq!(Condition::when(0).unless(Kind::IPV6).to_string(), "IPv4");
        let condition = Condition::when(Kind::IPV6 | Kind::HEADERS).unless(Kind::ONE_CHAIN);
        assert_eq!(condition.to_string(), "IPv6, extension headers, not one chain");
    }
}
