//! Transport headers, as octets, with right checksums.

use super::checksum::{Ends, crc32c, fold, pseudo, sum};
use super::header::number;

/// TCP flags (RFC 9293 section 3.1).
pub(super) mod flag {
    pub(in crate::craft) const FIN: u16 = 0x01;
    pub(in crate::craft) const SYN: u16 = 0x02;
    pub(in crate::craft) const RST: u16 = 0x04;
    pub(in crate::craft) const PSH: u16 = 0x08;
    pub(in crate::craft) const ACK: u16 = 0x10;
    pub(in crate::craft) const ECE: u16 = 0x40;
    pub(in crate::craft) const CWR: u16 = 0x80;
    /// AccECN (RFC 9768), the lowest of what were reserved bits.
    pub(in crate::craft) const AE: u16 = 0x100;
}

/// Source and destination port.
pub(super) type Ports = (u16, u16);

/// What tells one TCP packet from another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tcp<'a> {
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// A multiple of 4 octets.
    pub(super) options: &'a [u8],
}

fn start(ports: Ports) -> Vec<u8> {
    let mut octets = ports.0.to_be_bytes().to_vec();
    octets.extend(ports.1.to_be_bytes());
    octets
}

fn seal(octets: &mut [u8], at: usize, ends: Ends, protocol: u8) {
    let checksum = fold(pseudo(ends, protocol, octets.len() as u32) + sum(octets));
    octets[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

pub(super) fn tcp(ends: Ends, ports: Ports, tcp: Tcp<'_>, payload: &[u8]) -> Vec<u8> {
    let mut octets = start(ports);
    octets.extend(tcp.sequence.to_be_bytes());
    octets.extend(tcp.acknowledgement.to_be_bytes());
    let words = (20 + tcp.options.len() as u16) / 4;
    octets.extend((words << 12 | tcp.flags & 0xfff).to_be_bytes());
    octets.extend([0xff, 0xff, 0, 0, 0, 0]);
    octets.extend(tcp.options);
    octets.extend(payload);
    seal(&mut octets, 16, ends, number::TCP);
    octets
}

/// A length of more than 65535 octets is written as 0 (RFC 2675 section 4).
pub(super) fn udp(ends: Ends, ports: Ports, payload: &[u8]) -> Vec<u8> {
    let mut octets = start(ports);
    let length = u16::try_from(8 + payload.len()).unwrap_or(0);
    octets.extend(length.to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(payload);
    let sum = pseudo(ends, number::UDP, octets.len() as u32) + sum(&octets);
    // A computed zero is sent as all ones: zero means no checksum.
    let checksum = match fold(sum) {
        0 => u16::MAX,
        other => other,
    };
    octets[6..8].copy_from_slice(&checksum.to_be_bytes());
    octets
}

/// UDP-Lite (RFC 3828) with a checksum over the whole packet: coverage 0.
pub(super) fn udp_lite(ends: Ends, ports: Ports, payload: &[u8]) -> Vec<u8> {
    let mut octets = start(ports);
    octets.extend([0; 4]);
    octets.extend(payload);
    seal(&mut octets, 6, ends, number::UDP_LITE);
    octets
}

/// SCTP (RFC 9260) with one DATA chunk. `payload` a multiple of 4 octets.
pub(super) fn sctp(ports: Ports, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = start(ports);
    octets.extend(0x1234_5678_u32.to_be_bytes());
    octets.extend([0; 4]);
    octets.extend([0, 3]);
    octets.extend((16 + payload.len() as u16).to_be_bytes());
    octets.extend(sequence.to_be_bytes());
    octets.extend([0, 1, 0, 1, 0, 0, 0, 0]);
    octets.extend(payload);
    let checksum = crc32c(&octets);
    octets[8..12].copy_from_slice(&checksum.to_le_bytes());
    octets
}

/// DCCP-Request (RFC 4340 section 5.1): 20 octets.
pub(super) fn dccp(ends: Ends, ports: Ports, sequence: u32) -> Vec<u8> {
    let mut octets = start(ports);
    octets.extend([5, 0, 0, 0]);
    // Type 0, extended sequence numbers.
    octets.extend([1, 0, 0, 0]);
    octets.extend(sequence.to_be_bytes());
    octets.extend(42_u32.to_be_bytes());
    seal(&mut octets, 6, ends, number::DCCP);
    octets
}

/// ICMPv6 (RFC 4443): `body` is what stands behind the checksum.
pub(super) fn icmpv6(ends: Ends, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, code, 0, 0];
    octets.extend(body);
    seal(&mut octets, 2, ends, number::ICMPV6);
    octets
}

/// ICMP (RFC 792).
pub(super) fn icmp(kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, code, 0, 0];
    octets.extend(body);
    let checksum = fold(sum(&octets));
    octets[2..4].copy_from_slice(&checksum.to_be_bytes());
    octets
}

/// An upper layer with its checksum in octets 2 and 3 behind a header of its own: Mobility (RFC 6275 section 6.1.1),
/// HIP (RFC 7401 section 5.1).
pub(super) fn seal_header(mut octets: Vec<u8>, ends: Ends, protocol: u8) -> Vec<u8> {
    octets[0] = number::NO_NEXT;
    seal(&mut octets, 4, ends, protocol);
    octets
}
