//! Flow Key: the fields of a packet that tell flows apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Flow Key (RFC 7011 section 2): the fields that tell flows apart, packed into six words so that hash and comparison
/// are over words. Fields that the plan does not make keys are zero.
///
/// ```text
/// words 0-1  source address (network order octets; IPv4 in the first four, the rest zero)
/// words 2-3  destination address
/// word 4     source port 16 | destination port or ICMP type and code 16 | VLAN 12 | customer VLAN 12 | protocol 8
/// word 5     flow label 20 | traffic class 8 | chain 15 | tunnel 15 | flags 6, of which
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

    /// Puts the fields of word 5 together. `label`, `class` and `chain` are zero unless they are keys, `tunnel` for an
    /// outermost header; the last two are numbers that the meter gives out.
    #[inline]
    #[must_use]
    pub const fn word5(label: u32, class: u8, chain: u16, tunnel: u16, flags: u8) -> u64 {
        ((label & 0xf_ffff) as u64) << 44
            | (class as u64) << 36
            | ((chain & 0x7fff) as u64) << 21
            | ((tunnel & 0x7fff) as u64) << 6
            | (flags & 0x3f) as u64
    }

    /// Both directions of a conversation as one key: the endpoint with the larger address and port is turned to the
    /// front. Returns whether it was turned. Protocols without two ports, ICMP among them, keep their direction.
    #[must_use]
    pub const fn turned(&self) -> (Self, bool) {
        let [a, b, c, d, upper, rest] = self.0;
        let (source, destination) = (upper >> 48, upper >> 32 & 0xffff);
        let smaller = a < c || a == c && (b < d || b == d && source <= destination);
        if smaller {
            return (*self, false);
        }
        let ports = destination << 48 | source << 32;
        (Self([c, d, a, b, ports | upper & 0xffff_ffff, rest]), true)
    }

    /// The key with source and destination exchanged.
    #[must_use]
    pub const fn reverse(&self) -> Self {
        let [a, b, c, d, upper, rest] = self.0;
        let ports = (upper >> 32 & 0xffff) << 48 | (upper >> 48) << 32;
        Self([c, d, a, b, ports | upper & 0xffff_ffff, rest])
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
