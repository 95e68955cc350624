//! What a packet carries: another IP packet, told by its protocol number or by its UDP port.
//!
//! ```text
//! 4, 41               an IP packet
//! GRE 47 (RFC 2784)   C 1 bit, R, K, S, … | version 3 bits | EtherType 2 | checksum 4? | key 4? | sequence 4?
//! VXLAN  UDP 4789     flags 1 (I = 0x08) | reserved 3 | VNI 3 | reserved 1 | Ethernet frame
//! Geneve UDP 6081     version 2 bits, option length 6 (4-octet units) | flags 1 | EtherType 2 | VNI 3 | reserved 1 | options
//! GTP-U  UDP 2152     version 3 bits, PT, 0, E, S, PN | type 1 | length 2 | TEID 4 | 4 octets if E, S or PN | extensions
//! Teredo UDP 3544     [authentication 00 01 …] [origin 00 00, 8 octets] IPv6 packet
//! AYIYA  UDP 5072     ID length 4 bits, type 4 | signature length 4, method 4 | auth 4, op 4 | next header 1 | epoch 4 | …
//! ```
//!
//! A port alone proves nothing: the octets behind it must have the form of the tunnel and of an IP header of the right
//! version, else the packet carries nothing.

use super::TunnelKind;
use super::link::{ETHERTYPE_BRIDGED, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Network};
use super::transport::UDP;
use super::{be16, be32};

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;

const PORT_AYIYA: u16 = 5072;
const PORT_GENEVE: u16 = 6081;
const PORT_GTP_U: u16 = 2152;
const PORT_TEREDO: u16 = 3544;
const PORT_VXLAN: u16 = 4789;

/// What begins at `offset` of the upper-layer octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An IP packet.
    Ip(Network),
    /// An Ethernet frame.
    Ethernet,
}

/// A carried packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// By what.
    pub kind: TunnelKind,
    /// Octets from the start of the upper-layer header.
    pub offset: usize,
    /// What begins there.
    pub payload: Payload,
    /// VNI, GRE key or TEID; 0 without one.
    pub identifier: u32,
}

/// What a packet whose upper layer `protocol` begins at the start of `octets` carries, if anything.
#[must_use]
pub fn carried(protocol: u8, ipv6: bool, octets: &[u8]) -> Option<Carried> {
    match protocol {
        IPV4 => {
            let kind = if ipv6 { TunnelKind::FourInSix } else { TunnelKind::FourInFour };
            Some(Carried { kind, offset: 0, payload: Payload::Ip(Network::V4), identifier: 0 })
        }
        IPV6 => {
            let kind = if ipv6 { TunnelKind::SixInSix } else { TunnelKind::SixInFour };
            Some(Carried { kind, offset: 0, payload: Payload::Ip(Network::V6), identifier: 0 })
        }
        GRE => gre(octets),
        UDP => {
            let body = octets.get(8..)?;
            let found = match (be16(octets, 0)?, be16(octets, 2)?) {
                (_, PORT_VXLAN) => vxlan(body),
                (_, PORT_GENEVE) => geneve(body),
                (_, PORT_GTP_U) => gtp_u(body),
                // Teredo is IPv6 in UDP in IPv4, and nothing else.
                (PORT_TEREDO, _) | (_, PORT_TEREDO) if !ipv6 => teredo(body),
                (PORT_AYIYA, _) | (_, PORT_AYIYA) => ayiya(body),
                _ => None,
            }?;
            Some(Carried { offset: found.offset + 8, ..found })
        }
        _ => None,
    }
}

fn by_ether_type(ether_type: u16) -> Option<Payload> {
    match ether_type {
        ETHERTYPE_IPV4 => Some(Payload::Ip(Network::V4)),
        ETHERTYPE_IPV6 => Some(Payload::Ip(Network::V6)),
        ETHERTYPE_BRIDGED => Some(Payload::Ethernet),
        _ => None,
    }
}

/// The IP packet at `offset`, if its first four bits say 4 or 6.
fn by_version(body: &[u8], offset: usize) -> Option<Payload> {
    match body.get(offset)? >> 4 {
        4 => Some(Payload::Ip(Network::V4)),
        6 => Some(Payload::Ip(Network::V6)),
        _ => None,
    }
}

fn gre(body: &[u8]) -> Option<Carried> {
    let bits = be16(body, 0)?;
    // Version 0 only: 1 is PPTP, whose payload is PPP. The routing bit is of RFC 1701 and not in use.
    if bits & 0x4007 != 0 {
        return None;
    }
    let mut offset = 4;
    if bits & 0x8000 != 0 {
        offset += 4;
    }
    let mut identifier = 0;
    if bits & 0x2000 != 0 {
        identifier = be32(body, offset)?;
        offset += 4;
    }
    if bits & 0x1000 != 0 {
        offset += 4;
    }
    let payload = by_ether_type(be16(body, 2)?)?;
    Some(Carried { kind: TunnelKind::Gre, offset, payload, identifier })
}

fn vxlan(body: &[u8]) -> Option<Carried> {
    // The I flag; the others are to be ignored (RFC 7348 section 5), and extensions use some.
    if *body.first()? & 0x08 == 0 {
        return None;
    }
    let identifier = be32(body, 4)? >> 8;
    Some(Carried { kind: TunnelKind::Vxlan, offset: 8, payload: Payload::Ethernet, identifier })
}

fn geneve(body: &[u8]) -> Option<Carried> {
    let first = *body.first()?;
    if first >> 6 != 0 {
        return None;
    }
    let payload = by_ether_type(be16(body, 2)?)?;
    let identifier = be32(body, 4)? >> 8;
    let offset = 8 + usize::from(first & 0x3f) * 4;
    Some(Carried { kind: TunnelKind::Geneve, offset, payload, identifier })
}

fn gtp_u(body: &[u8]) -> Option<Carried> {
    const G_PDU: u8 = 255;
    let first = *body.first()?;
    // Version 1, protocol type GTP.
    if first >> 4 != 3 || *body.get(1)? != G_PDU {
        return None;
    }
    let identifier = be32(body, 4)?;
    let mut offset = 8;
    if first & 0x07 != 0 {
        let mut next = if first & 0x04 != 0 { *body.get(11)? } else { 0 };
        offset = 12;
        // Extension headers: length in 4-octet units, the type of the next in the last octet.
        while next != 0 {
            let length = usize::from(*body.get(offset)?) * 4;
            if length == 0 {
                return None;
            }
            next = *body.get(offset + length - 1)?;
            offset += length;
        }
    }
    let payload = by_version(body, offset)?;
    Some(Carried { kind: TunnelKind::GtpU, offset, payload, identifier })
}

fn teredo(body: &[u8]) -> Option<Carried> {
    let mut offset = 0;
    if be16(body, offset)? == 0x0001 {
        // Authentication: client identifier and value lengths, both, 8-octet nonce, confirmation.
        let client = usize::from(*body.get(offset + 2)?);
        let value = usize::from(*body.get(offset + 3)?);
        offset += 13 + client + value;
    }
    if be16(body, offset)? == 0x0000 {
        offset += 8;
    }
    let packet = body.get(offset..)?;
    (packet.len() >= 40 && packet[0] >> 4 == 6).then_some(Carried {
        kind: TunnelKind::Teredo,
        offset,
        payload: Payload::Ip(Network::V6),
        identifier: 0,
    })
}

fn ayiya(body: &[u8]) -> Option<Carried> {
    const FORWARD: u8 = 1;
    let header: &[u8; 8] = body.first_chunk()?;
    let identity = 1usize << (header[0] >> 4);
    let signature = usize::from(header[1] >> 4) * 4;
    if header[2] & 0x0f != FORWARD {
        return None;
    }
    let network = match header[3] {
        IPV4 => Network::V4,
        IPV6 => Network::V6,
        _ => return None,
    };
    let offset = 8 + identity + signature;
    body.get(offset)?;
    Some(Carried { kind: TunnelKind::Ayiya, offset, payload: Payload::Ip(network), identifier: 0 })
}
