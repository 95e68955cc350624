//! The full way: link header, every IP header, every extension header, upper layer, tunnels.

use super::facts::{Detail, Facts, Packets, Reason};
use super::link::{self, Link, Network};
use super::transport::{self, TCP};
use super::tunnel::{self, Payload};
use super::{Key, Layer2, Tunnel, feature};
use super::{Options, TunnelMode, be32, ipv4, ipv6};
use crate::capture::{Frame, LinkType};

/// Reads one frame the full way and appends what it found to `packets`.
///
/// Never part of its caller: what it needs of stack and registers would slow down the packets that take the short way.
#[inline(never)]
pub fn parse(frame: &Frame<'_>, options: &Options, packets: &mut Packets) {
    let mut found = 0;
    let outcome =
        link::strip(frame).and_then(|link| levels(frame, &link, options, packets, &mut found));
    if let Err(reason) = outcome
        && found == 0
    {
        packets.ignore(reason, frame.wire_length);
    }
}

/// Facts and detail of the outermost IP header of a frame; `None` if it is not metered. Counts nothing.
#[must_use]
pub fn outermost(frame: &Frame<'_>, options: &Options) -> Option<(Facts, Detail)> {
    let link = link::strip(frame).ok()?;
    let ip = Ip::read(frame, &link, options, 0, Tunnel::default()).ok()?;
    Some((ip.facts, ip.detail))
}

/// The outermost IP header, then what it carries, as far as the plan wants to know.
fn levels(
    frame: &Frame<'_>,
    link: &Link,
    options: &Options,
    packets: &mut Packets,
    found: &mut usize,
) -> Result<(), Reason> {
    let mut one = Ip::read(frame, link, options, 0, Tunnel::default())?;
    let mut frame = *frame;
    for level in 1.. {
        // What a packet carries ends where the packet does; behind it is padding, or another tunnel's trailer.
        let stated = (one.start as u64).saturating_add(one.facts.length.into());
        frame = Frame {
            data: frame.data.get(..one.end).unwrap_or(frame.data),
            wire_length: u32::try_from(stated).unwrap_or(u32::MAX),
            ..frame
        };
        // An inner header that cannot be read is not one: then the outer packet is the innermost.
        let next = if options.tunnel == TunnelMode::Outer || level as usize >= Packets::DEPTH {
            None
        } else {
            one.inner(&frame)
                .and_then(|(link, tunnel)| Ip::read(&frame, &link, options, level, tunnel).ok())
        };
        if options.tunnel.wants(level - 1, next.is_some()) {
            options.user.read(frame.data, &one.facts, &mut one.detail);
            packets.push_detailed(one.facts, one.detail, options, found);
        }
        let Some(inner) = next else { break };
        one = inner;
    }
    Ok(())
}

/// One IP header with all behind it.
struct Ip {
    facts: Facts,
    detail: Detail,
    /// Octet of the frame at which the upper layer begins.
    upper: Option<usize>,
    /// Octet of the frame at which the IP header begins.
    start: usize,
    /// Octet of the frame at which this packet ends, or the captured octets do.
    end: usize,
    level: u8,
}

impl Ip {
    fn read(
        frame: &Frame<'_>,
        link: &Link,
        options: &Options,
        level: u8,
        tunnel: Tunnel,
    ) -> Result<Self, Reason> {
        let packet = frame.data.get(link.offset..).ok_or(Reason::IpCut)?;
        let on_wire = frame.wire_length.saturating_sub(link.offset as u32);
        let version = match link.network {
            Network::V4 => 4,
            Network::V6 => 6,
            Network::ByVersion => packet.first().ok_or(Reason::IpCut)? >> 4,
        };
        let mut ip = Self {
            facts: Facts { time: frame.time, interface: frame.interface, ..Facts::default() },
            detail: Detail {
                layer2: link.layer2,
                mpls: link.mpls,
                mpls_depth: link.mpls_depth,
                tunnel,
                ..Detail::default()
            },
            upper: None,
            start: link.offset,
            end: 0,
            level,
        };
        ip.detail.layers.ip = link.offset as u16;
        match version {
            4 => ip.read_v4(packet, link, on_wire)?,
            6 => ip.read_v6(packet, link, on_wire, options)?,
            _ => return Err(Reason::Version),
        }
        ip.read_link_features(frame.link, link);
        ip.facts.key.0[5] |= Key::word5(0, 0, 0, 0, level << 2);
        if level > 0 {
            ip.facts.features |= feature::TUNNEL;
        }
        Ok(ip)
    }

    fn read_link_features(&mut self, kind: LinkType, link: &Link) {
        if link.mpls_depth > 0 {
            self.facts.features |= feature::MPLS;
        }
        if kind == LinkType::Ethernet && self.level == 0 {
            self.facts.features |= feature::LAYER2;
        }
    }

    fn read_v4(&mut self, packet: &[u8], link: &Link, on_wire: u32) -> Result<(), Reason> {
        let header = ipv4::read(packet, on_wire)?;
        let packet = &packet[..packet.len().min(header.length as usize)];
        self.end = link.offset + packet.len();
        let facts = &mut self.facts;
        facts.length = header.length;
        facts.hop_limit = header.ttl;
        facts.traffic_class = header.service;
        facts.next_header = header.protocol;
        let mut reached = packet.len() >= header.header_length;
        if let Some(fragment) = header.fragment {
            facts.features |= feature::FRAGMENT;
            self.detail.fragment = Some(fragment);
            reached &= fragment.offset == 0;
        }
        let at = reached.then_some(header.header_length);
        if let Some(spi) = at.and_then(|at| ipv4_spi(packet, at, header.protocol)) {
            self.facts.features |= feature::SPI;
            self.detail.spi = spi;
        }
        let later = header.fragment.is_some_and(|fragment| fragment.offset != 0);
        let addresses = (&header.source, &header.destination);
        self.read_upper(packet, link, header.protocol, false, at, later, addresses);
        self.read_tiny(Some(header.header_length), header.protocol, false, false);
        Ok(())
    }

    fn read_v6(
        &mut self,
        packet: &[u8],
        link: &Link,
        on_wire: u32,
        options: &Options,
    ) -> Result<(), Reason> {
        let header = ipv6::read(packet, on_wire)?;
        let packet = &packet[..packet.len().min(header.length as usize)];
        self.end = link.offset + packet.len();
        let walk = ipv6::walk(
            packet,
            header.next_header,
            header.length,
            &header.destination,
            options.chain_limit,
        );
        let facts = &mut self.facts;
        facts.length = header.length;
        facts.label = header.label;
        facts.hop_limit = header.hop_limit;
        facts.traffic_class = header.traffic_class;
        facts.next_header = header.next_header;
        facts.headers = walk.chain.headers;
        if walk.any() {
            facts.features |= feature::HEADERS;
        }
        if !walk.chain.complete {
            facts.features |= feature::CHAIN_CUT | feature::HEADERS;
        }
        self.detail.chain = walk.chain;
        if let Some(fragment) = walk.fragment {
            facts.features |= feature::FRAGMENT;
            self.detail.fragment = Some(fragment);
        }
        if let Some(spi) = walk.spi {
            facts.features |= feature::SPI;
            self.detail.spi = spi;
        }
        if let Some(segments) = walk.segments {
            facts.features |= feature::SEGMENTS;
            self.detail.segments = segments;
        }
        for (slot, (kind, at)) in self.detail.layers.headers.iter_mut().zip(walk.headers) {
            *slot = (kind, at.saturating_add(link.offset as u16));
        }
        self.detail.layers.header_count = walk.header_count;
        self.read_upper(
            packet,
            link,
            walk.protocol,
            true,
            walk.upper,
            walk.cut || walk.later,
            (&header.source, &header.destination),
        );
        self.read_tiny(walk.upper, walk.protocol, true, walk.short);
        Ok(())
    }

    /// Whether a first fragment ends, by its own length, before the ports (RFC 7112). `at`: where the upper layer begins;
    /// `short`: the chain before it does not fit.
    fn read_tiny(&mut self, at: Option<usize>, protocol: u8, ipv6: bool, short: bool) {
        let ports = transport::port_octets(protocol, ipv6);
        let end = self.facts.length as usize;
        if let Some(fragment) = &mut self.detail.fragment {
            let lacks = short || ports > 0 && at.is_some_and(|at| at + ports > end);
            fragment.tiny = fragment.offset == 0 && fragment.more() && lacks;
        }
    }

    /// Ports, flags and options, and the key. `at`: where the upper layer begins in `packet`, if it is there;
    /// `hidden`: it is in another fragment, or behind a cut chain.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller a version, each with all of it at hand"
    )]
    fn read_upper(
        &mut self,
        packet: &[u8],
        link: &Link,
        protocol: u8,
        ipv6: bool,
        at: Option<usize>,
        hidden: bool,
        (source, destination): (&[u8; 16], &[u8; 16]),
    ) {
        // A later fragment and a cut chain have no octets of the upper layer: ports, if it has any, stay unknown.
        let octets = at.and_then(|at| packet.get(at..));
        let upper = transport::read(protocol, ipv6, octets.unwrap_or(&[]));
        if let (Some(octets), Some(at)) = (octets, at) {
            let at = link.offset + at;
            self.upper = Some(at);
            self.detail.layers.transport = at as u16;
            if upper.header_length > 0 && upper.header_length <= octets.len() {
                self.detail.layers.payload = (at + upper.header_length) as u16;
            }
            if protocol == TCP {
                self.detail.tcp_options = transport::tcp_options(octets);
                if self.detail.tcp_options.any() {
                    self.facts.features |= feature::TCP_OPTIONS;
                }
                if !upper.unknown && octets.len() < transport::TCP_FLAGS_END {
                    self.facts.features |= feature::FLAGS_UNSEEN;
                }
            }
        }
        self.facts.tcp_flags = upper.tcp_flags;
        let (vlan, customer) = vlans(&self.detail.layer2);
        self.facts.key = Key([
            word(source, 0),
            word(source, 8),
            word(destination, 0),
            word(destination, 8),
            Key::word4(upper.source, upper.destination, vlan, customer, protocol),
            Key::word5(0, 0, 0, 0, u8::from(ipv6) | u8::from(upper.unknown || hidden) << 1),
        ]);
    }

    /// The IP header that this packet carries, if it is whole enough to be found, and what carries it.
    fn inner(&self, frame: &Frame<'_>) -> Option<(Link, Tunnel)> {
        let at = self.upper?;
        // A first fragment carries only the start of an inner packet: it stays outer.
        let key = &self.facts.key;
        if key.ports_unknown() || self.detail.fragment.is_some_and(|fragment| !fragment.atomic()) {
            return None;
        }
        let octets = frame.data.get(at..self.end)?;
        let carried = tunnel::carried(key.protocol(), key.is_ipv6(), octets)?;
        // The outer frame's addresses, tags and labels are not the inner packet's.
        let mut inner = Link {
            network: Network::ByVersion,
            offset: at + carried.offset,
            layer2: Layer2::default(),
            mpls: [0; 3],
            mpls_depth: 0,
        };
        match carried.payload {
            Payload::Ip(network) => inner.network = network,
            Payload::Ethernet => {
                let offset = inner.offset;
                link::ethernet(&frame.data[..self.end], offset, &mut inner).ok()?;
            }
        }
        let carrier = Tunnel {
            kind: carried.kind,
            outer_ipv6: key.is_ipv6(),
            source: key.source_octets(),
            destination: key.destination_octets(),
            identifier: carried.identifier,
        };
        Some((inner, carrier))
    }
}

/// SPI of AH (octets 4 to 7) and ESP (0 to 3) directly in IPv4.
fn ipv4_spi(packet: &[u8], at: usize, protocol: u8) -> Option<u32> {
    match protocol {
        ipv6::next_header::AUTHENTICATION => be32(packet, at + 4),
        ipv6::next_header::ESP => be32(packet, at),
        _ => None,
    }
}

fn vlans(layer2: &Layer2) -> (u16, u16) {
    match layer2.tags {
        0 => (0, 0),
        1 => (layer2.tag, 0),
        _ => (layer2.tag, layer2.customer_tag),
    }
}

fn word(octets: &[u8; 16], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[offset..offset + 8]);
    u64::from_le_bytes(word)
}
