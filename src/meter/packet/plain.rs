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

/// Writes the facts of a plain frame into `facts`. False if it is not one: then `facts` is as it was.
///
/// In place, since a copy of the facts costs as much as reading a header.
#[inline]
#[must_use]
pub fn read(frame: &Frame<'_>, facts: &mut Facts) -> bool {
    if frame.link != LinkType::Ethernet {
        return false;
    }
    let data = frame.data;
    let Some(header) = data.first_chunk::<ETHERNET>() else { return false };
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    let packet = &data[ETHERNET..];
    let read = match ether_type {
        ETHERTYPE_IPV6 => ipv6(frame, packet, 0, 0, facts),
        ETHERTYPE_IPV4 => ipv4(frame, packet, 0, 0, facts),
        tag if is_vlan(tag) => tagged(frame, packet, facts),
        _ => None,
    };
    read.is_some()
}

/// One or two VLAN tags, of which `data` begins with what follows the first Ethertype.
#[inline(never)]
fn tagged(frame: &Frame<'_>, data: &[u8], facts: &mut Facts) -> Option<()> {
    let tag: &[u8; 4] = data.first_chunk()?;
    let vlan = u16::from_be_bytes([tag[0], tag[1]]) & 0xfff;
    match u16::from_be_bytes([tag[2], tag[3]]) {
        ETHERTYPE_IPV6 => ipv6(frame, &data[4..], vlan, 0, facts),
        ETHERTYPE_IPV4 => ipv4(frame, &data[4..], vlan, 0, facts),
        inner if is_vlan(inner) => {
            let tag: &[u8; 8] = data.first_chunk()?;
            let customer = u16::from_be_bytes([tag[4], tag[5]]) & 0xfff;
            match u16::from_be_bytes([tag[6], tag[7]]) {
                ETHERTYPE_IPV6 => ipv6(frame, &data[8..], vlan, customer, facts),
                ETHERTYPE_IPV4 => ipv4(frame, &data[8..], vlan, customer, facts),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Eight octets as they lie in memory on a little-endian machine: the key's order.
#[inline(always)]
fn word(octets: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[offset..offset + 8]);
    u64::from_le_bytes(word)
}

/// The upper half of [`Key::word4`] (both ports, or type and code) and the TCP flags of the plain protocols; `None` if the
/// octets do not reach.
#[inline(always)]
fn upper(protocol: u8, stated: usize, octets: &[u8]) -> Option<(u64, u16)> {
    let ports = |header: &[u8; 4]| u64::from(u32::from_be_bytes(*header)) << 32;
    match protocol {
        TCP if stated >= 20 => {
            let header: &[u8; 14] = octets.first_chunk()?;
            let flags = u16::from_be_bytes([header[12], header[13]]) & 0x0fff;
            Some((ports(header.first_chunk()?), flags))
        }
        UDP if stated >= 8 => Some((ports(octets.first_chunk()?), 0)),
        ICMP | ICMPV6 if stated >= 4 => {
            let header: &[u8; 2] = octets.first_chunk()?;
            Some((u64::from(u16::from_be_bytes(*header)) << 32, 0))
        }
        _ => None,
    }
}

#[inline(always)]
fn ipv6(
    frame: &Frame<'_>,
    packet: &[u8],
    vlan: u16,
    customer: u16,
    facts: &mut Facts,
) -> Option<()> {
    let header: &[u8; 40] = packet.first_chunk()?;
    // Version 4, traffic class 8, flow label 20, payload length 16, next header 8, hop limit 8 bits.
    let start = u64::from_be_bytes(*header.first_chunk()?);
    let next_header = (start >> 8) as u8;
    if start >> 60 != 6 || next_header == ICMP {
        return None;
    }
    // A length field of 0 is a jumbogram, an offloaded segment or an empty packet: for the walker.
    let stated = usize::from((start >> 16) as u16);
    let (ports, tcp_flags) = upper(next_header, stated, &packet[40..])?;
    *facts = Facts {
        key: Key([
            word(header, 8),
            word(header, 16),
            word(header, 24),
            word(header, 32),
            ports | Key::word4(0, 0, vlan, customer, next_header),
            Key::word5(0, 0, 0, 0, 1),
        ]),
        time: frame.time,
        length: 40 + stated as u32,
        label: (start >> 32) as u32 & 0xf_ffff,
        interface: frame.interface,
        headers: 0,
        tcp_flags,
        features: 0,
        hop_limit: start as u8,
        traffic_class: (start >> 52) as u8,
        next_header,
        detail: Facts::PLAIN,
        reversed: false,
    };
    Some(())
}

#[inline(always)]
fn ipv4(
    frame: &Frame<'_>,
    packet: &[u8],
    vlan: u16,
    customer: u16,
    facts: &mut Facts,
) -> Option<()> {
    let header: &[u8; 20] = packet.first_chunk()?;
    // Version 4, header length 4, TOS 8, total length 16, identification 16, flags and offset 16 bits.
    let start = u64::from_be_bytes(*header.first_chunk()?);
    let protocol = header[9];
    // Version 4, five words, and neither More Fragments nor an offset.
    if start >> 56 != 0x45 || start & 0x3fff != 0 || protocol == ICMPV6 {
        return None;
    }
    let total = usize::from((start >> 32) as u16);
    let stated = total.checked_sub(20)?;
    let (ports, tcp_flags) = upper(protocol, stated, &packet[20..])?;
    let addresses = word(header, 12);
    *facts = Facts {
        key: Key([
            addresses & 0xffff_ffff,
            0,
            addresses >> 32,
            0,
            ports | Key::word4(0, 0, vlan, customer, protocol),
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
        traffic_class: (start >> 48) as u8,
        next_header: protocol,
        detail: Facts::PLAIN,
        reversed: false,
    };
    Some(())
}
