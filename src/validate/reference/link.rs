//! Frame to IP packet (section 1 of the module above).
//!
//! In: a frame. Out: where its IP packet begins and what the link layer said, or the reason why there is none.

use super::octets::{u16, u32};
use crate::capture::{Frame, LinkType};

/// Why a frame is in no flow. Tested in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The link type is not known.
    LinkType,
    /// The link header goes beyond the captured octets.
    LinkCut,
    /// The link header names something that is not IP.
    NotIp,
    /// The fixed IP header goes beyond the captured octets.
    IpCut,
    /// The version field is not what the link header named.
    BadVersion,
    /// IPv4: Internet Header Length below 5.
    BadHeaderLength,
    /// IPv4: Total Length below the header length.
    BadTotalLength,
}

impl Reason {
    /// As it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link type",
            Self::LinkCut => "link cut",
            Self::NotIp => "not IP",
            Self::IpCut => "IP cut",
            Self::BadVersion => "bad version",
            Self::BadHeaderLength => "bad header length",
            Self::BadTotalLength => "bad total length",
        }
    }
}

/// What the link layer said about one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Source and destination address of an Ethernet frame.
    pub addresses: Option<([u8; 6], [u8; 6])>,
    /// Tag control information (priority 3, DEI 1, VID 12 bits), outermost first.
    pub tags: Vec<u16>,
    /// EtherType behind the tags, if the frame is an Ethernet frame.
    pub ether_type: Option<u16>,
    /// MPLS label stack entries, topmost first.
    pub labels: Vec<u32>,
}

impl Link {
    /// VLAN identifier of tag number `index`, 0 without it.
    #[must_use]
    pub fn vlan(&self, index: usize) -> u16 {
        self.tags.get(index).map_or(0, |tag| tag & 0xfff)
    }
}

/// An IP packet in its frame.
pub(super) struct Located<'a> {
    /// The captured octets from the IP header on.
    pub(super) data: &'a [u8],
    /// Octets on the wire from the IP header on.
    pub(super) wire: u64,
    /// 4 or 6.
    pub(super) version: u8,
    pub(super) link: Link,
}

/// Finds the IP packet of a frame.
pub(super) fn locate<'a>(frame: &Frame<'a>) -> Result<Located<'a>, Reason> {
    let data = frame.data;
    let wire = u64::from(frame.wire_length).max(data.len() as u64);
    let mut walk = Walk { data, wire, link: Link::default() };
    match frame.link {
        LinkType::Ethernet => walk.ethernet(),
        LinkType::LinuxSll => {
            let header = walk.take(16)?;
            walk.ether_type(u16(&header[14..]))
        }
        LinkType::LinuxSll2 => {
            let header = walk.take(20)?;
            walk.ether_type(u16(header))
        }
        LinkType::Null | LinkType::Loop => {
            let header = walk.take(4)?;
            let family = match u32(header) {
                big if big < 0x1_0000 => big,
                big => big.swap_bytes(),
            };
            match family {
                2 => walk.ip(4),
                10 | 24 | 28 | 30 => walk.ip(6),
                _ => Err(Reason::NotIp),
            }
        }
        LinkType::Raw => walk.first_four_bits().map_err(|reason| match reason {
            Reason::NotIp => Reason::BadVersion,
            other => other,
        }),
        LinkType::Other(_) => Err(Reason::LinkType),
    }
}

/// Finds the IP packet of an Ethernet frame inside a tunnel.
pub(super) fn locate_ethernet(data: &[u8], wire: u64) -> Result<Located<'_>, Reason> {
    Walk { data, wire, link: Link::default() }.ethernet()
}

/// Finds the IP packet behind an EtherType inside a tunnel.
pub(super) fn locate_ether_type(
    ether_type: u16,
    data: &[u8],
    wire: u64,
) -> Result<Located<'_>, Reason> {
    let mut walk = Walk { data, wire, link: Link::default() };
    match ether_type {
        0x0800 => walk.ip(4),
        0x86dd => walk.ip(6),
        0x6558 => walk.ethernet(),
        _ => Err(Reason::NotIp),
    }
}

/// Finds the IP packet that begins here, by its own first four bits.
pub(super) fn locate_by_version(data: &[u8], wire: u64) -> Result<Located<'_>, Reason> {
    Walk { data, wire, link: Link::default() }.first_four_bits()
}

/// Section 2: Total Length, or where segmentation offload left 0 there, what the wire had.
pub(super) fn ipv4_length(data: &[u8], wire: u64) -> u64 {
    match u16(&data[2..]) {
        0 => wire,
        total => u64::from(total),
    }
}

struct Walk<'a> {
    data: &'a [u8],
    wire: u64,
    link: Link,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Reason> {
        let (head, rest) = self.data.split_at_checked(count).ok_or(Reason::LinkCut)?;
        self.data = rest;
        self.wire -= count as u64;
        Ok(head)
    }

    fn ethernet(&mut self) -> Result<Located<'a>, Reason> {
        let header = self.take(14)?;
        let mut destination = [0; 6];
        destination.copy_from_slice(&header[..6]);
        let mut source = [0; 6];
        source.copy_from_slice(&header[6..12]);
        self.link.addresses = Some((source, destination));
        self.ether_type(u16(&header[12..]))
    }

    fn ether_type(&mut self, mut ether_type: u16) -> Result<Located<'a>, Reason> {
        while matches!(ether_type, 0x8100 | 0x88a8 | 0x9100) {
            let tag = self.take(4)?;
            self.link.tags.push(u16(tag));
            ether_type = u16(&tag[2..]);
        }
        self.link.ether_type = self.link.addresses.and(Some(ether_type));
        match ether_type {
            0x0800 => self.ip(4),
            0x86dd => self.ip(6),
            0x8847 | 0x8848 => {
                loop {
                    let entry = u32(self.take(4)?);
                    self.link.labels.push(entry);
                    if entry & 0x100 != 0 {
                        break;
                    }
                }
                self.first_four_bits()
            }
            0x8864 => {
                let header = self.take(8)?;
                match (header[0], header[1], u16(&header[6..])) {
                    (0x11, 0, 0x0021) => self.ip(4),
                    (0x11, 0, 0x0057) => self.ip(6),
                    _ => Err(Reason::NotIp),
                }
            }
            _ => Err(Reason::NotIp),
        }
    }

    fn first_four_bits(&mut self) -> Result<Located<'a>, Reason> {
        match self.data.first().map(|octet| octet >> 4) {
            None => Err(Reason::IpCut),
            Some(version @ (4 | 6)) => self.ip(version),
            Some(_) => Err(Reason::NotIp),
        }
    }

    fn ip(&mut self, version: u8) -> Result<Located<'a>, Reason> {
        let fixed = if version == 4 { 20 } else { 40 };
        if self.data.len() < fixed {
            return Err(Reason::IpCut);
        }
        if self.data[0] >> 4 != version {
            return Err(Reason::BadVersion);
        }
        if version == 4 {
            let header = u64::from(self.data[0] & 0xf) * 4;
            let length = ipv4_length(self.data, self.wire);
            if header < 20 {
                return Err(Reason::BadHeaderLength);
            }
            if length < header {
                return Err(Reason::BadTotalLength);
            }
        }
        let link = std::mem::take(&mut self.link);
        Ok(Located { data: self.data, wire: self.wire, version, link })
    }
}
