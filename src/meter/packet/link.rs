//! Link headers: where the network layer begins, and what stands before it.
//!
//! ```text
//! Ethernet II         destination 6 | source 6 | EtherType 2
//! 802.1Q / 802.1ad    TPID 2 (as EtherType) | PCP 3 bits, DEI 1, VID 12 | EtherType 2      any number
//! MPLS (RFC 3032)     label 20 bits | TC 3 | S 1 | TTL 8                                   until S = 1
//! PPPoE (RFC 2516)    ver 4 bits, type 4 | code 1 | session 2 | length 2 | PPP protocol 2
//! Linux cooked v1     type 2 | ARPHRD 2 | address length 2 | address 8 | EtherType 2
//! Linux cooked v2     EtherType 2 | 0 2 | ifIndex 4 | ARPHRD 2 | type 1 | length 1 | address 8
//! BSD null, loop      address family 4
//! ```

use super::Layer2;
use super::facts::Reason;
use super::{be16, be32};
use crate::capture::{Frame, LinkType};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// EtherType of Transparent Ethernet Bridging (RFC 1701; GRE, Geneve).
pub const ETHERTYPE_BRIDGED: u16 = 0x6558;
const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_MPLS_MULTICAST: u16 = 0x8848;
const ETHERTYPE_PPPOE_SESSION: u16 = 0x8864;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// VLAN tags of one frame that are read at the most; more make the frame "not IP".
const MOST_TAGS: usize = 16;

/// Whether `ether_type` announces a VLAN tag: 802.1Q, 802.1ad, and the older number for stacked tags.
#[inline]
#[must_use]
pub const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}

/// IP version that a link header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Whatever the first four bits say (raw IP, MPLS).
    ByVersion,
}

/// Where the IP packet begins, and what the link layer says of it.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// What to expect at `offset`.
    pub network: Network,
    /// Octet of the frame at which the IP header begins.
    pub offset: usize,
    /// Addresses and tags.
    pub layer2: Layer2,
    /// Topmost MPLS label stack entries.
    pub mpls: [u32; 3],
    /// Label stack entries seen.
    pub mpls_depth: u8,
}

/// Strips the link header of a captured frame.
///
/// # Errors
/// [`Reason::LinkType`], [`Reason::LinkCut`] or [`Reason::NotIp`].
pub fn strip(frame: &Frame<'_>) -> Result<Link, Reason> {
    let data = frame.data;
    let mut link = Link {
        network: Network::ByVersion,
        offset: 0,
        layer2: Layer2 { octets: u64::from(frame.wire_length), ..Layer2::default() },
        mpls: [0; 3],
        mpls_depth: 0,
    };
    match frame.link {
        LinkType::Ethernet => ethernet(data, 0, &mut link)?,
        LinkType::LinuxSll => {
            let ether_type = be16(data, 14).ok_or(Reason::LinkCut)?;
            network(data, 16, ether_type, &mut link)?;
        }
        LinkType::LinuxSll2 => {
            let ether_type = data.get(..20).and_then(|header| be16(header, 0));
            let ether_type = ether_type.ok_or(Reason::LinkCut)?;
            network(data, 20, ether_type, &mut link)?;
        }
        LinkType::Null | LinkType::Loop => {
            let family = be32(data, 0).ok_or(Reason::LinkCut)?;
            link.offset = 4;
            link.network = address_family(family)?;
        }
        LinkType::Raw => {}
        LinkType::Other(_) => return Err(Reason::LinkType),
    }
    Ok(link)
}

/// Strips the Ethernet header at `offset`, also one that a tunnel carries.
///
/// # Errors
/// As [`strip`].
pub fn ethernet(data: &[u8], offset: usize, link: &mut Link) -> Result<(), Reason> {
    let header = data.get(offset..offset + 14).ok_or(Reason::LinkCut)?;
    link.layer2.destination.copy_from_slice(&header[..6]);
    link.layer2.source.copy_from_slice(&header[6..12]);
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    network(data, offset + 14, ether_type, link)
}

/// Address family of BSD null and loop headers, in either byte order: 2 is IPv4; 10, 24, 28 and 30 are IPv6 on Linux,
/// NetBSD and OpenBSD, FreeBSD, and macOS.
fn address_family(family: u32) -> Result<Network, Reason> {
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    match family {
        2 => Ok(Network::V4),
        10 | 24 | 28 | 30 => Ok(Network::V6),
        _ => Err(Reason::NotIp),
    }
}

/// Goes from an EtherType to the IP header: VLAN tags, MPLS labels, PPPoE.
pub(super) fn network(
    data: &[u8],
    mut offset: usize,
    mut ether_type: u16,
    link: &mut Link,
) -> Result<(), Reason> {
    for _ in 0..MOST_TAGS {
        if !is_vlan(ether_type) {
            break;
        }
        let tag = be16(data, offset).ok_or(Reason::LinkCut)?;
        match link.layer2.tags {
            0 => link.layer2.tag = tag,
            1 => link.layer2.customer_tag = tag,
            _ => {}
        }
        link.layer2.tags = link.layer2.tags.saturating_add(1);
        ether_type = be16(data, offset + 2).ok_or(Reason::LinkCut)?;
        offset += 4;
    }
    link.layer2.ether_type = ether_type;
    link.offset = offset;
    match ether_type {
        ETHERTYPE_IPV4 => link.network = Network::V4,
        ETHERTYPE_IPV6 => link.network = Network::V6,
        ETHERTYPE_MPLS | ETHERTYPE_MPLS_MULTICAST => labels(data, link)?,
        ETHERTYPE_PPPOE_SESSION => {
            let header = data.get(offset..offset + 8).ok_or(Reason::LinkCut)?;
            if header[..2] != [0x11, 0] {
                return Err(Reason::NotIp);
            }
            let protocol = u16::from_be_bytes([header[6], header[7]]);
            link.offset = offset + 8;
            link.network = match protocol {
                PPP_IPV4 => Network::V4,
                PPP_IPV6 => Network::V6,
                _ => return Err(Reason::NotIp),
            };
        }
        _ => return Err(Reason::NotIp),
    }
    Ok(())
}

/// The MPLS label stack (RFC 3032). What it carries shows in the first four bits (RFC 4928): 4 and 6 are IP; anything
/// else, pseudowires among it, is not.
fn labels(data: &[u8], link: &mut Link) -> Result<(), Reason> {
    loop {
        let entry = be32(data, link.offset).ok_or(Reason::LinkCut)?;
        if let Some(slot) = link.mpls.get_mut(usize::from(link.mpls_depth)) {
            *slot = entry;
        }
        link.mpls_depth = link.mpls_depth.saturating_add(1);
        link.offset += 4;
        if entry & 0x100 != 0 {
            break;
        }
    }
    match data.get(link.offset).ok_or(Reason::IpCut)? >> 4 {
        4 => link.network = Network::V4,
        6 => link.network = Network::V6,
        _ => return Err(Reason::NotIp),
    }
    Ok(())
}
