//! What a packet carries (section 7 of the module above).
//!
//! In: the facts and octets of a packet. Out: where the IP packet inside begins, and what carried it.

use super::facts::{Facts, Ports};
use super::link::{Located, locate_by_version, locate_ether_type, locate_ethernet};
use super::octets::{Octets, u16, u32};
use std::net::IpAddr;

/// What carried an inner packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier {
    /// `6in4`, `4in6`, `6in6`, `4in4`, `gre`, `vxlan`, `geneve`, `gtp-u`, `teredo` or `ayiya`.
    pub kind: &'static str,
    /// Outer source address.
    pub source: IpAddr,
    /// Outer destination address.
    pub destination: IpAddr,
    /// Network identifier, GRE key or tunnel endpoint identifier; 0 without one.
    pub identifier: u32,
}

impl Carrier {
    /// The value of `sixtap:tunnelKind`.
    #[must_use]
    pub fn kind_number(&self) -> u8 {
        let kinds = [
            "none", "6in4", "4in6", "6in6", "4in4", "gre", "vxlan", "geneve", "gtp-u", "teredo",
            "ayiya",
        ];
        kinds.iter().position(|kind| *kind == self.kind).unwrap_or(0) as u8
    }
}

struct Inside<'a> {
    kind: &'static str,
    identifier: u32,
    located: Option<Located<'a>>,
}

/// The packet inside, if the packet is one of the tunnels known.
pub(super) fn inside<'a>(facts: &Facts, packet: Octets<'a>) -> Option<(Located<'a>, Carrier)> {
    if facts.is_piece() || facts.ports == Ports::Unknown {
        return None;
    }
    let upper = facts.upper?;
    let found = match (facts.protocol, facts.ports) {
        (4, _) => ip_in_ip(facts, packet, upper, 0x0800, "4in4", "4in6"),
        (41, _) => ip_in_ip(facts, packet, upper, 0x86dd, "6in4", "6in6"),
        (47, _) => gre(packet, upper)?,
        (17, Ports::Known(source, destination)) => {
            udp(packet, upper + 8, source, destination, facts.source.is_ipv4())?
        }
        _ => return None,
    };
    let mut located = found.located?;
    located.link.addresses = None;
    located.link.ether_type = None;
    let carrier = Carrier {
        kind: found.kind,
        source: facts.source,
        destination: facts.destination,
        identifier: found.identifier,
    };
    Some((located, carrier))
}

fn ip_in_ip<'a>(
    facts: &Facts,
    packet: Octets<'a>,
    at: usize,
    ether_type: u16,
    in_four: &'static str,
    in_six: &'static str,
) -> Inside<'a> {
    let kind = if facts.source.is_ipv4() { in_four } else { in_six };
    let located = locate_ether_type(ether_type, packet.from(at), behind(packet, at)).ok();
    Inside { kind, identifier: 0, located }
}

/// Octets of the packet from `at` on, captured or not.
fn behind(packet: Octets<'_>, at: usize) -> u64 {
    packet.length().saturating_sub(at as u64)
}

/// GRE (RFC 2784, RFC 2890).
fn gre(packet: Octets<'_>, at: usize) -> Option<Inside<'_>> {
    let header = packet.read(at, 4).ok()?;
    let flags = u16(header);
    if flags & 0x4007 != 0 {
        return None;
    }
    let mut end = at + 4;
    if flags & 0x8000 != 0 {
        end += 4;
    }
    let mut identifier = 0;
    if flags & 0x2000 != 0 {
        identifier = packet.u32(end).ok()?;
        end += 4;
    }
    if flags & 0x1000 != 0 {
        end += 4;
    }
    let located = locate_ether_type(u16(&header[2..]), packet.from(end), behind(packet, end)).ok();
    Some(Inside { kind: "gre", identifier, located })
}

fn udp(
    packet: Octets<'_>,
    at: usize,
    source: u16,
    destination: u16,
    in_four: bool,
) -> Option<Inside<'_>> {
    let either = |port| source == port || destination == port;
    match destination {
        4789 => vxlan(packet, at),
        6081 => geneve(packet, at),
        2152 => gtp_u(packet, at),
        _ if in_four && either(3544) => teredo(packet, at),
        _ if either(5072) => ayiya(packet, at),
        _ => None,
    }
}

/// VXLAN (RFC 7348).
fn vxlan(packet: Octets<'_>, at: usize) -> Option<Inside<'_>> {
    let header = packet.read(at, 8).ok().filter(|header| header[0] & 0x08 != 0)?;
    let located = locate_ethernet(packet.from(at + 8), behind(packet, at + 8)).ok();
    Some(Inside { kind: "vxlan", identifier: u32(&header[4..]) >> 8, located })
}

/// Geneve (RFC 8926).
fn geneve(packet: Octets<'_>, at: usize) -> Option<Inside<'_>> {
    let header = packet.read(at, 8).ok().filter(|header| header[0] >> 6 == 0)?;
    let end = at + 8 + usize::from(header[0] & 0x3f) * 4;
    let located = locate_ether_type(u16(&header[2..]), packet.from(end), behind(packet, end)).ok();
    Some(Inside { kind: "geneve", identifier: u32(&header[4..]) >> 8, located })
}

/// GTP-U (3GPP TS 29.281 section 5).
fn gtp_u(packet: Octets<'_>, at: usize) -> Option<Inside<'_>> {
    let header = packet.read(at, 8).ok()?;
    if header[0] & 0xf0 != 0x30 || header[1] != 255 {
        return None;
    }
    let mut end = at + 8;
    if header[0] & 0x07 != 0 {
        let mut next = packet.u8(end + 3).ok().filter(|_| header[0] & 0x04 != 0).unwrap_or(0);
        end += 4;
        while next != 0 {
            let length = usize::from(packet.u8(end).ok().filter(|length| *length > 0)?) * 4;
            next = packet.u8(end + length - 1).ok()?;
            end += length;
        }
    }
    let located = locate_by_version(packet.from(end), behind(packet, end)).ok();
    Some(Inside { kind: "gtp-u", identifier: u32(&header[4..]), located })
}

/// Teredo (RFC 4380 section 5.1.1).
fn teredo(packet: Octets<'_>, mut at: usize) -> Option<Inside<'_>> {
    if packet.u16(at).ok()? == 1 {
        let lengths = packet.read(at + 2, 2).ok()?;
        at += 4 + usize::from(lengths[0]) + usize::from(lengths[1]) + 9;
    }
    if packet.u16(at).ok()? == 0 {
        at += 8;
    }
    let located = locate_ether_type(0x86dd, packet.from(at), behind(packet, at)).ok();
    Some(Inside { kind: "teredo", identifier: 0, located })
}

/// AYIYA (draft-massar-v6ops-ayiya section 4).
fn ayiya(packet: Octets<'_>, at: usize) -> Option<Inside<'_>> {
    let header = packet.read(at, 4).ok()?;
    let identity = 1_usize << (header[0] >> 4);
    let signature = usize::from(header[1] >> 4) * 4;
    if header[2] & 0x0f != 1 {
        return None;
    }
    let ether_type = match header[3] {
        41 => 0x86dd,
        4 => 0x0800,
        _ => return None,
    };
    let end = at + 8 + identity + signature;
    let located = locate_ether_type(ether_type, packet.from(end), behind(packet, end)).ok();
    Some(Inside { kind: "ayiya", identifier: 0, located })
}
