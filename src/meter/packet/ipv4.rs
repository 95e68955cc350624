//! The IPv4 header (RFC 791 section 3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+-------------------------------+
//! |Version|  IHL  |Type of Service|          Total Length         |
//! +-------+-------+---------------+-----+-------------------------+
//! |         Identification        |0 D M|     Fragment Offset     |
//! +---------------+---------------+-----+-------------------------+
//! |  Time to Live |    Protocol   |        Header Checksum        |
//! +---------------+---------------+-------------------------------+
//! |                        Source Address                         |
//! +---------------------------------------------------------------+
//! |                      Destination Address                      |
//! +---------------------------------------------------------------+
//! ```

use super::facts::{Fragment, Reason};

/// Named octet ranges of the header.
pub mod field {
    use std::ops::Range;

    /// Type of Service: DSCP and ECN.
    pub const SERVICE: usize = 1;
    /// Total Length.
    pub const LENGTH: Range<usize> = 2..4;
    /// Identification.
    pub const IDENTIFICATION: Range<usize> = 4..6;
    /// Flags and Fragment Offset.
    pub const FRAGMENT: Range<usize> = 6..8;
    /// Time to Live.
    pub const TTL: usize = 8;
    /// Protocol.
    pub const PROTOCOL: usize = 9;
    /// Source Address.
    pub const SOURCE: Range<usize> = 12..16;
    /// Destination Address.
    pub const DESTINATION: Range<usize> = 16..20;
}

/// What the header says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Octets of the header, options included: 20 to 60.
    pub header_length: usize,
    /// Octets of the packet.
    pub length: u32,
    /// Type of Service.
    pub service: u8,
    /// Time to Live.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// Source address in the first four octets.
    pub source: [u8; 16],
    /// Destination address in the first four octets.
    pub destination: [u8; 16],
    /// Fragment fields, if the packet is a fragment.
    pub fragment: Option<Fragment>,
}

/// Reads the header at the start of `packet`. `on_wire` is how many octets the frame had from here on: it stands
/// in for a Total Length of 0, which is what segmentation offload leaves.
///
/// # Errors
/// [`Reason::IpCut`], [`Reason::Version`] or [`Reason::Length`].
pub fn read(packet: &[u8], on_wire: u32) -> Result<Header, Reason> {
    let header: &[u8; 20] = packet.first_chunk().ok_or(Reason::IpCut)?;
    if header[0] >> 4 != 4 {
        return Err(Reason::Version);
    }
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let stated = u32::from(word(header, field::LENGTH));
    let length = if stated == 0 { on_wire } else { stated };
    if header_length < 20 || (length as usize) < header_length {
        return Err(Reason::Length);
    }
    let bits = word(header, field::FRAGMENT);
    let flags = (bits >> 8) as u8 & (Fragment::MORE | Fragment::DONT);
    let offset = bits & 0x1fff;
    let fragment = (offset != 0 || flags & Fragment::MORE != 0).then(|| {
        let payload = packet.get(header_length..).unwrap_or(&[]);
        Fragment {
            identification: u32::from(word(header, field::IDENTIFICATION)),
            offset,
            flags,
            length: length - header_length as u32,
            ..Fragment::default()
        }
        .with_head(payload, 0)
    });
    Ok(Header {
        header_length,
        length,
        service: header[field::SERVICE],
        ttl: header[field::TTL],
        protocol: header[field::PROTOCOL],
        source: address(&header[field::SOURCE]),
        destination: address(&header[field::DESTINATION]),
        fragment,
    })
}

fn word(header: &[u8; 20], range: std::ops::Range<usize>) -> u16 {
    u16::from_be_bytes([header[range.start], header[range.start + 1]])
}

fn address(octets: &[u8]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(octets);
    address
}
