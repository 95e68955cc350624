//! Checksums: the Internet checksum (RFC 1071) with its pseudo-headers, and CRC32c (RFC 9260 appendix A).

use std::net::IpAddr;

/// The one's complement sum of 16-bit words, not yet folded. An odd last octet is padded with zero.
pub(super) fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    words + rest.first().map_or(0, |octet| u64::from(*octet) << 8)
}

/// Folds a sum into the checksum field's value.
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sum of the pseudo-header: RFC 8200 section 8.1, RFC 9293 section 3.1.
pub(super) fn pseudo(ends: Ends, protocol: u8, length: u32) -> u64 {
    let addresses = match (ends.source, ends.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum(&source.octets()) + sum(&destination.octets())
        }
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum(&source.octets()) + sum(&destination.octets())
        }
        _ => 0,
    };
    addresses + u64::from(protocol) + u64::from(length >> 16) + u64::from(length & 0xffff)
}

/// Between whom a transport packet goes: the pseudo-header's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) source: IpAddr,
    /// The final destination, where a Routing header names one.
    pub(super) destination: IpAddr,
}

/// CRC32c of SCTP.
pub(super) fn crc32c(octets: &[u8]) -> u32 {
    const REVERSED: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 0 { 0 } else { REVERSED };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        // RFC 1071 section 3.
        assert_eq!(!fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(sum(&[1]), 0x100);
        // RFC 3720 appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
