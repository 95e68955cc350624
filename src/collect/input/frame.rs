//! Frames of a capture to IP payloads: just enough to find export datagrams and segments.
//!
//! The collector's own, small reading of headers: it does not use the meter's, so that each can show the other's
//! mistakes.

use crate::capture::LinkType;
use crate::ipfix::{be16, be32};
use std::net::IpAddr;

/// Protocol numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Most extension headers walked.
const HEADERS: usize = 16;

/// Where a fragment stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fragment {
    pub(super) identification: u32,
    /// In octets.
    pub(super) offset: usize,
    pub(super) more: bool,
}

/// An IP packet, up to what its upper layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Upper-layer protocol; for a fragment what its payload begins with in the first one.
    pub(super) protocol: u8,
    pub(super) fragment: Option<Fragment>,
    /// The captured payload, without what the link adds at the end.
    pub(super) payload: &'a [u8],
    /// Octets that were not captured.
    pub(super) missing: usize,
}

/// The IP packet in a frame; `None` if there is none.
pub(super) fn packet(link: LinkType, data: &[u8]) -> Option<Packet<'_>> {
    let octets = match link {
        LinkType::Ethernet => ethernet(data)?,
        LinkType::LinuxSll => data.get(16..)?,
        LinkType::LinuxSll2 => data.get(20..)?,
        LinkType::Null | LinkType::Loop => data.get(4..)?,
        LinkType::Raw => data,
        _ => return None,
    };
    match octets.first()? >> 4 {
        4 => ipv4(octets),
        6 => ipv6(octets),
        _ => None,
    }
}

fn ethernet(data: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    loop {
        match be16(data, at)? {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            0x0800 | 0x86dd => return data.get(at + 2..),
            _ => return None,
        }
    }
}

/// The payload between `start` and `end`, and how much of it is missing.
fn payload(octets: &[u8], start: usize, end: usize) -> Option<(&[u8], usize)> {
    let end = end.max(start);
    let captured = octets.get(start..end.min(octets.len()))?;
    Some((captured, end - start - captured.len()))
}

fn ipv4(octets: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(octets.first()? & 15) * 4;
    let stated = usize::from(be16(octets, 2)?);
    // A length of zero: the capture was made before segmentation offload filled it in.
    let end = if stated == 0 { octets.len() } else { stated };
    let flags = be16(octets, 6)?;
    let (offset, more) = (usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
    let identification = u32::from(be16(octets, 4)?);
    let fragment = (more || offset > 0).then_some(Fragment { identification, offset, more });
    let source: [u8; 4] = *octets.get(12..)?.first_chunk()?;
    let destination: [u8; 4] = *octets.get(16..)?.first_chunk()?;
    let (payload, missing) = payload(octets, header.max(20), end)?;
    Some(Packet {
        source: source.into(),
        destination: destination.into(),
        protocol: *octets.get(9)?,
        fragment,
        payload,
        missing,
    })
}

fn ipv6(octets: &[u8]) -> Option<Packet<'_>> {
    let stated = usize::from(be16(octets, 4)?);
    let end = if stated == 0 { octets.len() } else { 40 + stated };
    let source: [u8; 16] = *octets.get(8..)?.first_chunk()?;
    let destination: [u8; 16] = *octets.get(24..)?.first_chunk()?;
    let (mut protocol, mut at, mut fragment) = (*octets.get(6)?, 40, None);
    for _ in 0..HEADERS {
        let length = match protocol {
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*octets.get(at + 1)?) + 1) * 8,
            44 => {
                let field = be16(octets, at + 2)?;
                let (offset, more) = (usize::from(field & 0xfff8), field & 1 != 0);
                let identification = be32(octets, at + 4)?;
                if more || offset > 0 {
                    fragment = Some(Fragment { identification, offset, more });
                }
                8
            }
            51 => (usize::from(*octets.get(at + 1)?) + 2) * 4,
            _ => break,
        };
        protocol = *octets.get(at)?;
        at += length;
        if fragment.is_some() {
            break;
        }
    }
    let (payload, missing) = payload(octets, at, end)?;
    Some(Packet {
        source: source.into(),
        destination: destination.into(),
        protocol,
        fragment,
        payload,
        missing,
    })
}
