//! IP headers, extension headers and link headers, as octets.
//!
//! Packets are made from the inside out: each function takes what is behind a header and gives it with the header.

use super::checksum::{fold, sum};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Protocol numbers (IANA), which are Next Header values too.
pub(in crate::craft) mod number {
    pub(in crate::craft) const HOP_BY_HOP: u8 = 0;
    pub(in crate::craft) const ICMP: u8 = 1;
    pub(in crate::craft) const IPV4: u8 = 4;
    pub(in crate::craft) const TCP: u8 = 6;
    pub(in crate::craft) const UDP: u8 = 17;
    pub(in crate::craft) const DCCP: u8 = 33;
    pub(in crate::craft) const IPV6: u8 = 41;
    pub(in crate::craft) const ROUTING: u8 = 43;
    pub(in crate::craft) const FRAGMENT: u8 = 44;
    pub(in crate::craft) const GRE: u8 = 47;
    pub(in crate::craft) const ESP: u8 = 50;
    pub(in crate::craft) const AH: u8 = 51;
    pub(in crate::craft) const ICMPV6: u8 = 58;
    pub(in crate::craft) const NO_NEXT: u8 = 59;
    pub(in crate::craft) const DESTINATION: u8 = 60;
    pub(in crate::craft) const SCTP: u8 = 132;
    pub(in crate::craft) const MOBILITY: u8 = 135;
    pub(in crate::craft) const UDP_LITE: u8 = 136;
    pub(in crate::craft) const HIP: u8 = 139;
    pub(in crate::craft) const SHIM6: u8 = 140;
}

/// The IPv6 header, but for what follows from its payload.
///
/// ```text
/// |Version| Traffic Class |           Flow Label                  |
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// |                 Source Address, Destination Address           |
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Head6 {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) class: u8,
    pub(super) label: u32,
    pub(super) hop_limit: u8,
}

impl Head6 {
    pub(super) fn packet(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        self.with_length(next, payload.len() as u16, payload)
    }

    /// With a payload length field of the caller's own: 0 for a jumbogram.
    pub(super) fn with_length(&self, next: u8, length: u16, payload: &[u8]) -> Vec<u8> {
        let first = 6 << 28 | u32::from(self.class) << 20 | self.label & 0xf_ffff;
        let mut packet = Vec::with_capacity(40 + payload.len());
        packet.extend(first.to_be_bytes());
        packet.extend(length.to_be_bytes());
        packet.extend([next, self.hop_limit]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(payload);
        packet
    }
}

/// The IPv4 header, but for what follows from its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head4 {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    pub(super) identification: u16,
    /// Flags (0x4000 DF, 0x2000 MF) and offset in 8-octet units.
    pub(super) fragment: u16,
}

impl Head4 {
    /// `options` must be a multiple of 4 octets.
    pub(super) fn packet(&self, protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let header = 20 + options.len();
        let total = (header + payload.len()) as u16;
        let mut packet = Vec::with_capacity(header + payload.len());
        packet.extend([4 << 4 | (header / 4) as u8, self.tos]);
        packet.extend(total.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(options);
        let checksum = fold(sum(&packet));
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// One IPv6 extension header. Its first octet is set when it is put into a chain.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) number: u8,
    pub(super) octets: Vec<u8>,
}

/// Puts headers before the upper layer. Returns the number of the first, and the octets.
pub(super) fn chain(headers: &[Header], last: u8, upper: &[u8]) -> (u8, Vec<u8>) {
    let mut next = last;
    let mut octets = upper.to_vec();
    for header in headers.iter().rev() {
        let mut whole = header.octets.clone();
        whole[0] = next;
        whole.extend(octets);
        octets = whole;
        next = header.number;
    }
    (next, octets)
}

/// A header of options, padded to 8 octets with Pad1 or PadN (RFC 8200 section 4.2).
fn options(number: u8, options: &[u8]) -> Header {
    let mut octets = vec![0, 0];
    octets.extend(options);
    let missing = octets.len().next_multiple_of(8) - octets.len();
    match missing {
        0 => {}
        1 => octets.push(0),
        more => {
            octets.extend([1, (more - 2) as u8]);
            octets.resize(octets.len() + more - 2, 0);
        }
    }
    octets[1] = (octets.len() / 8 - 1) as u8;
    Header { number, octets }
}

pub(super) fn hop_by_hop(with: &[u8]) -> Header {
    options(number::HOP_BY_HOP, with)
}

pub(super) fn destination(with: &[u8]) -> Header {
    options(number::DESTINATION, with)
}

/// A Destination Options header of just this many octets, a multiple of 8, of PadN.
pub(super) fn destination_of(length: usize) -> Header {
    let mut with = Vec::new();
    // PadN holds at most 257 octets.
    let mut left = length - 2;
    while left > 0 {
        let one = if left > 257 { left.min(200) } else { left };
        with.extend([1, (one - 2) as u8]);
        with.resize(with.len() + one - 2, 0);
        left -= one;
    }
    destination(&with)
}

/// ```text
/// |  Next Header  |  Hdr Ext Len  |  Routing Type | Segments Left |
/// ```
pub(super) fn routing(kind: u8, left: u8, data: &[u8]) -> Header {
    let mut octets = vec![0, ((data.len() + 4) / 8 - 1) as u8, kind, left];
    octets.extend(data);
    Header { number: number::ROUTING, octets }
}

/// Segment Routing Header (RFC 8754 section 2); `segments` in the order of the header: the last of the path first.
pub(super) fn segment_routing(left: u8, flags: u8, tag: u16, segments: &[Ipv6Addr]) -> Header {
    let mut data = vec![segments.len() as u8 - 1, flags];
    data.extend(tag.to_be_bytes());
    for segment in segments {
        data.extend(segment.octets());
    }
    routing(4, left, &data)
}

/// `offset` in 8-octet units.
pub(super) fn fragment(identification: u32, offset: u16, more: bool) -> Header {
    let mut octets = vec![0, 0];
    octets.extend((offset << 3 | u16::from(more)).to_be_bytes());
    octets.extend(identification.to_be_bytes());
    Header { number: number::FRAGMENT, octets }
}

/// Authentication Header (RFC 4302 section 2): its length counts 32-bit words, minus 2. Padded to 8 octets for IPv6.
pub(super) fn authentication(spi: u32, check_value: usize) -> Header {
    let length = (12 + check_value).next_multiple_of(8);
    let mut octets = vec![0, (length / 4 - 2) as u8, 0, 0];
    octets.extend(spi.to_be_bytes());
    octets.extend(1_u32.to_be_bytes());
    octets.resize(length, 0xaa);
    Header { number: number::AH, octets }
}

/// ESP (RFC 4303): everything behind the sequence number is opaque.
pub(super) fn esp(spi: u32, sequence: u32, opaque: usize) -> Vec<u8> {
    let mut octets = spi.to_be_bytes().to_vec();
    octets.extend(sequence.to_be_bytes());
    octets.extend((0..opaque).map(|at| (at * 37 + 11) as u8));
    octets
}

/// A VLAN tag: EtherType of the tag, and its control information.
pub(super) type Tag = (u16, u16);

/// Puts an Ethernet header and tags before a payload.
pub(super) fn ethernet(
    destination: [u8; 6],
    source: [u8; 6],
    tags: &[Tag],
    ether_type: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + 4 * tags.len() + payload.len());
    frame.extend(destination);
    frame.extend(source);
    for (kind, control) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(control.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}
