//! The short way: frames that need no walk.
//!
//! Accepts Ethernet with at most two VLAN tags, then IPv4 without options and not a fragment, or IPv6 whose next header is
//! the upper layer; upper layer TCP, UDP, ICMP or ICMPv6 with its first octets captured. Declines all else by `None`: the
//! walker reads it, and reads what is accepted here to the same facts.

use super::Key;
use super::facts::Facts;
use super::link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, is_vlan};
use super::transport::{ICMP, ICMPV6, TCP, UDP};
use crate::capture::{Frame, LinkType};

const ETHERNET: usize = 14;

/// Facts of a plain frame, or `None` if it is not one.
#[inline]
#[must_use]
pub fn read(frame: &Frame<'_>) -> Option<Facts> {
    if frame.link != LinkType::Ethernet {
        return None;
    }
    let data = frame.data;
    let header: &[u8; ETHERNET] = data.first_chunk()?;
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    match ether_type {
        ETHERTYPE_IPV6 => ipv6(frame, &data[ETHERNET..], 0, 0),
        ETHERTYPE_IPV4 => ipv4(frame, &data[ETHERNET..], 0, 0),
        tag if is_vlan(tag) => tagged(frame),
        _ => None,
    }
}

/// One or two VLAN tags.
#[inline(never)]
fn tagged(frame: &Frame<'_>) -> Option<Facts> {
    let data = frame.data.get(ETHERNET..)?;
    let tag: &[u8; 4] = data.first_chunk()?;
    let vlan = u16::from_be_bytes([tag[0], tag[1]]) & 0xfff;
    match u16::from_be_bytes([tag[2], tag[3]]) {
        ETHERTYPE_IPV6 => ipv6(frame, &data[4..], vlan, 0),
        ETHERTYPE_IPV4 => ipv4(frame, &data[4..], vlan, 0),
        inner if is_vlan(inner) => {
            let tag: &[u8; 8] = data.first_chunk()?;
            let customer = u16::from_be_bytes([tag[4], tag[5]]) & 0xfff;
            match u16::from_be_bytes([tag[6], tag[7]]) {
                ETHERTYPE_IPV6 => ipv6(frame, &data[8..], vlan, customer),
                ETHERTYPE_IPV4 => ipv4(frame, &data[8..], vlan, customer),
                _ => None,
            }
        }
        _ => None,
    }
}

#[inline(always)]
fn word(octets: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[offset..offset + 8]);
    u64::from_le_bytes(word)
}

/// Ports (or type and code) and TCP flags of the plain protocols; `None` if the octets do not reach.
#[inline(always)]
fn upper(protocol: u8, stated: usize, octets: &[u8]) -> Option<(u16, u16, u16)> {
    match protocol {
        TCP if stated >= 20 => {
            let header: &[u8; 14] = octets.first_chunk()?;
            Some((
                u16::from_be_bytes([header[0], header[1]]),
                u16::from_be_bytes([header[2], header[3]]),
                u16::from_be_bytes([header[12], header[13]]) & 0x0fff,
            ))
        }
        UDP if stated >= 8 => {
            let header: &[u8; 4] = octets.first_chunk()?;
            Some((
                u16::from_be_bytes([header[0], header[1]]),
                u16::from_be_bytes([header[2], header[3]]),
                0,
            ))
        }
        ICMP | ICMPV6 if stated >= 4 => {
            let header: &[u8; 2] = octets.first_chunk()?;
            Some((0, u16::from_be_bytes([header[0], header[1]]), 0))
        }
        _ => None,
    }
}

#[inline(always)]
fn ipv6(frame: &Frame<'_>, packet: &[u8], vlan: u16, customer: u16) -> Option<Facts> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let next_header = header[6];
    if header[0] >> 4 != 6 || next_header == ICMP {
        return None;
    }
    // A length field of 0 is a jumbogram, an offloaded segment or an empty packet: for the walker.
    let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (source, destination, tcp_flags) = upper(next_header, stated, &packet[40..])?;
    Some(Facts {
        key: Key([
            word(header, 8),
            word(header, 16),
            word(header, 24),
            word(header, 32),
            Key::word4(source, destination, vlan, customer, next_header),
            Key::word5(0, 0, 0, 0, 1),
        ]),
        time: frame.time,
        length: 40 + stated as u32,
        label: u32::from_be_bytes([0, header[1] & 0x0f, header[2], header[3]]),
        interface: frame.interface,
        headers: 0,
        tcp_flags,
        features: 0,
        hop_limit: header[7],
        traffic_class: header[0] << 4 | header[1] >> 4,
        next_header,
        detail: Facts::PLAIN,
        reversed: false,
    })
}

#[inline(always)]
fn ipv4(frame: &Frame<'_>, packet: &[u8], vlan: u16, customer: u16) -> Option<Facts> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let protocol = header[9];
    // Version 4, five words, and neither More Fragments nor an offset.
    if header[0] != 0x45
        || u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0
        || protocol == ICMPV6
    {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let stated = total.checked_sub(20)?;
    let (source, destination, tcp_flags) = upper(protocol, stated, &packet[20..])?;
    let addresses = word(header, 12);
    Some(Facts {
        key: Key([
            addresses & 0xffff_ffff,
            0,
            addresses >> 32,
            0,
            Key::word4(source, destination, vlan, customer, protocol),
            0,
        ]),
        time: frame.time,
        length: total as u32,
        label: 0,
        interface: frame.interface,
        headers: 0,
        tcp_flags,
        features: 0,
        hop_limit: header[8],
        traffic_class: header[1],
        next_header: protocol,
        detail: Facts::PLAIN,
        reversed: false,
    })
}
