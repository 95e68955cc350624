//! The short way: frames that need no walk.
//!
//! Accepts Ethernet with at most two VLAN tags, then IPv4 without options and not a fragment, or IPv6 whose next header is
//! the upper layer or a chain of at most [`ShortChain::MOST`] whole extension headers, no Fragment header among them; upper
//! layer TCP, UDP, ICMP or ICMPv6 with its first octets captured, or ESP behind or as the chain. Declines all else by `None`:
//! the walker reads it, and reads what is accepted here to the same facts.

use super::facts::Facts;
use super::ipv6::{ROUTING_SEGMENTS, bit, next_header};
use super::link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, is_vlan};
use super::short::{CODES, NO_CODE, Walking};
use super::transport::{ICMP, ICMPV6, TCP, UDP};
use super::{Key, ShortChain, feature};
use crate::capture::{Frame, LinkType};

const ETHERNET: usize = 14;

/// Writes the facts of a plain frame into `facts`. False if it is not one: then `facts` is as it was. At most `chain_limit`
/// extension headers are walked.
///
/// In place, since a copy of the facts costs as much as reading a header.
#[inline]
#[must_use]
pub fn read(frame: &Frame<'_>, chain_limit: u32, facts: &mut Facts) -> bool {
    if frame.link != LinkType::Ethernet {
        return false;
    }
    let data = frame.data;
    let Some(header) = data.first_chunk::<ETHERNET>() else { return false };
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    let packet = &data[ETHERNET..];
    let read = match ether_type {
        ETHERTYPE_IPV6 => ipv6(frame, packet, 0, 0, chain_limit, facts),
        ETHERTYPE_IPV4 => ipv4(frame, packet, 0, 0, facts),
        tag if is_vlan(tag) => tagged(frame, packet, chain_limit, facts),
        _ => None,
    };
    read.is_some()
}

/// One or two VLAN tags, of which `data` begins with what follows the first Ethertype.
#[inline(never)]
fn tagged(frame: &Frame<'_>, data: &[u8], chain_limit: u32, facts: &mut Facts) -> Option<()> {
    let tag: &[u8; 4] = data.first_chunk()?;
    let vlan = u16::from_be_bytes([tag[0], tag[1]]) & 0xfff;
    match u16::from_be_bytes([tag[2], tag[3]]) {
        ETHERTYPE_IPV6 => ipv6(frame, &data[4..], vlan, 0, chain_limit, facts),
        ETHERTYPE_IPV4 => ipv4(frame, &data[4..], vlan, 0, facts),
        inner if is_vlan(inner) => {
            let tag: &[u8; 8] = data.first_chunk()?;
            let customer = u16::from_be_bytes([tag[4], tag[5]]) & 0xfff;
            match u16::from_be_bytes([tag[6], tag[7]]) {
                ETHERTYPE_IPV6 => ipv6(frame, &data[8..], vlan, customer, chain_limit, facts),
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
fn upper(protocol: u8, ipv6: bool, stated: usize, octets: &[u8]) -> Option<(u64, u16)> {
    let ports = |header: &[u8; 4]| u64::from(u32::from_be_bytes(*header)) << 32;
    match protocol {
        TCP if stated >= 20 => {
            let header: &[u8; 14] = octets.first_chunk()?;
            let flags = u16::from_be_bytes([header[12], header[13]]) & 0x0fff;
            Some((ports(header.first_chunk()?), flags))
        }
        UDP if stated >= 8 => Some((ports(octets.first_chunk()?), 0)),
        ICMP | ICMPV6 if stated >= 4 && ipv6 == (protocol == ICMPV6) => {
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
    chain_limit: u32,
    facts: &mut Facts,
) -> Option<()> {
    let header: &[u8; 40] = packet.first_chunk()?;
    // Version 4, traffic class 8, flow label 20, payload length 16, next header 8, hop limit 8 bits.
    let start = u64::from_be_bytes(*header.first_chunk()?);
    if start >> 60 != 6 {
        return None;
    }
    let next_header = (start >> 8) as u8;
    if CODES[usize::from(next_header)] != NO_CODE {
        return chained(frame, packet, Key::word4(0, 0, vlan, customer, 0), chain_limit, facts);
    }
    // A length field of 0 is a jumbogram, an offloaded segment or an empty packet: for the walker.
    let stated = usize::from((start >> 16) as u16);
    let (ports, tcp_flags) = upper(next_header, true, stated, &packet[40..])?;
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
        chain: ShortChain::NONE,
        label: (start >> 32) as u32 & 0xf_ffff,
        interface: frame.interface,
        headers: 0,
        tcp_flags,
        features: 0,
        hop_limit: start as u8,
        traffic_class: (start >> 52) as u8,
        next_header,
        detail: Facts::PLAIN,
        frame: 0,
        reversed: false,
    };
    Some(())
}

/// What stands between the fixed header and the upper layer.
#[derive(Clone, Copy)]
struct Between {
    chain: ShortChain,
    headers: u16,
    features: u16,
    octets: usize,
    protocol: u8,
}

/// IPv6 with extension headers. Not part of `ipv6`, so that packets without them are not slowed down.
#[inline(never)]
fn chained(
    frame: &Frame<'_>,
    packet: &[u8],
    vlans: u64,
    chain_limit: u32,
    facts: &mut Facts,
) -> Option<()> {
    let (header, payload) = packet.split_first_chunk::<40>()?;
    let start = u64::from_be_bytes(*header.first_chunk()?);
    let next_header = (start >> 8) as u8;
    let stated = usize::from((start >> 16) as u16);
    let between = chain(payload, next_header, chain_limit)?;
    let rest = stated.checked_sub(between.octets)?;
    let (ports, tcp_flags) = if between.headers & bit::ESP != 0 {
        (0, 0)
    } else {
        upper(between.protocol, true, rest, payload.get(between.octets..)?)?
    };
    *facts = Facts {
        key: Key([
            word(header, 8),
            word(header, 16),
            word(header, 24),
            word(header, 32),
            ports | vlans | u64::from(between.protocol),
            Key::word5(0, 0, 0, 0, 1),
        ]),
        time: frame.time,
        length: 40 + stated as u32,
        chain: between.chain,
        label: (start >> 32) as u32 & 0xf_ffff,
        interface: frame.interface,
        headers: between.headers,
        tcp_flags,
        features: between.features,
        hop_limit: start as u8,
        traffic_class: (start >> 52) as u8,
        next_header,
        detail: Facts::PLAIN,
        frame: 0,
        reversed: false,
    };
    Some(())
}

/// Walks the extension headers at the start of `octets`, the first of which is of `kind`.
#[inline(always)]
fn chain(octets: &[u8], mut kind: u8, limit: u32) -> Option<Between> {
    let (mut walking, mut headers, mut features, mut at) = (Walking::START, 0, feature::HEADERS, 0);
    for _ in 0..limit.min(ShortChain::MOST) {
        let code = CODES[usize::from(kind)];
        if code == NO_CODE {
            break;
        }
        // Every header has eight octets; one whose first eight are not there has no whole one behind it.
        let header: &[u8; 8] = octets.get(at..)?.first_chunk()?;
        walking = walking.with(code);
        headers |= 1 << code;
        if kind == next_header::ESP {
            at += 8;
            features |= feature::SPI;
            break;
        }
        let units = usize::from(header[1]);
        if kind == next_header::AUTHENTICATION {
            at += (units + 2) * 4;
            features |= feature::SPI;
        } else {
            at += (units + 1) * 8;
            if kind == next_header::ROUTING && header[2] == ROUTING_SEGMENTS {
                features |= feature::SEGMENTS;
            }
        }
        kind = header[0];
    }
    Some(Between { chain: walking.done(at), headers, features, octets: at, protocol: kind })
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
    if start >> 56 != 0x45 || start & 0x3fff != 0 {
        return None;
    }
    let total = usize::from((start >> 32) as u16);
    let stated = total.checked_sub(20)?;
    let (ports, tcp_flags) = upper(protocol, false, stated, &packet[20..])?;
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
        chain: ShortChain::NONE,
        label: 0,
        interface: frame.interface,
        headers: 0,
        tcp_flags,
        features: 0,
        hop_limit: header[8],
        traffic_class: (start >> 48) as u8,
        next_header: protocol,
        detail: Facts::PLAIN,
        frame: 0,
        reversed: false,
    };
    Some(())
}
