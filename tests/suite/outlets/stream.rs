//! Datagrams: caught, written as a capture, and sent again.

use std::path::Path;

/// Writes datagrams as a capture of raw IPv6 packets to `port`, a millisecond apart from `seconds` on.
pub(crate) fn capture(datagrams: &[Vec<u8>], port: u16, seconds: u32, path: &Path) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (number, datagram) in datagrams.iter().enumerate() {
        let length = 48 + datagram.len() as u32;
        let micros = 1_000 * number as u32;
        for word in [seconds + micros / 1_000_000, micros % 1_000_000, length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        let udp = (datagram.len() + 8) as u16;
        file.extend_from_slice(&[0x60, 0, 0, 0]);
        file.extend_from_slice(&udp.to_be_bytes());
        file.extend_from_slice(&[17, 64]);
        let address = |last| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        let (source, destination) = (address(1), address(2));
        file.extend_from_slice(&source);
        file.extend_from_slice(&destination);
        let header = [50_000u16, port, udp];
        let mut packet: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(datagram);
        let checksum = checksum(&source, &destination, &packet);
        packet[6..8].copy_from_slice(&checksum.to_be_bytes());
        file.extend_from_slice(&packet);
    }
    std::fs::write(path, file).expect("writable");
}

/// UDP over IPv6 (RFC 8200 section 8.1).
fn checksum(source: &[u8], destination: &[u8], packet: &[u8]) -> u16 {
    let words = |octets: &[u8]| -> u32 {
        octets
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum()
    };
    let mut sum = words(source) + words(destination) + packet.len() as u32 + 17 + words(packet);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        other => other,
    }
}
