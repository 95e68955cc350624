//! The facts of one IP packet (sections 2 to 4 of the module above).
//!
//! In: a located IP packet. Out: [`Facts`], each field the answer to one rule.

use super::chain::{Chain, FragmentField, Segments, Stop, walk};
use super::link::{Link, Located, Reason, ipv4_length};
use super::octets::{Missing, Octets, sixteen, u16, u32};
use crate::capture::Frame;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a fragment's piece that are looked at for ports.
const PIECE: usize = 32;

/// What the key has where ports go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// The protocol has none.
    #[default]
    None,
    /// It has, and they cannot be known.
    Unknown,
    /// Source and destination.
    Known(u16, u16),
    /// ICMP or ICMPv6 type and code.
    Icmp(u8, u8),
}

/// TCP options of one packet (RFC 9740 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Kinds seen, without the experimental ones that have an ExID.
    pub kinds: Vec<u8>,
    /// ExIDs of two octets.
    pub exids16: Vec<u16>,
    /// ExIDs of four octets.
    pub exids32: Vec<u32>,
}

/// Everything the reference knows of one IP packet.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Octets of the packet, header included.
    pub length: u64,
    /// Traffic class or TOS octet.
    pub traffic_class: u8,
    /// Hop limit or TTL.
    pub hop_limit: u8,
    /// Flow label, IPv6 only.
    pub flow_label: Option<u32>,
    /// Next Header of the fixed header, IPv6 only.
    pub next_header: Option<u8>,
    /// The last Next Header value.
    pub protocol: u8,
    /// Ports, or type and code.
    pub ports: Ports,
    /// The chain, IPv6 only, if the packet has one.
    pub chain: Option<Chain>,
    /// False if an IPv6 chain is not listed in full.
    pub complete: bool,
    /// SPI of the first ESP or AH header.
    pub spi: Option<u32>,
    /// The first SRH.
    pub segments: Option<Segments>,
    /// TCP flags, 12 bits.
    pub tcp_flags: u16,
    /// Whether the packet is TCP with ports, and ends or was cut before its flags.
    pub tcp_flags_cut: bool,
    /// TCP options, if the packet has any.
    pub tcp_options: TcpOptions,
    /// The fragment header.
    pub fragment: Option<FragmentField>,
    /// The first captured octets of the piece of the datagram, if the packet is a fragment and not atomic.
    pub piece: Vec<u8>,
    /// Octets of that piece, captured or not; at most 65535.
    pub piece_length: u64,
    /// Where the ports stand in the datagram, if this is a first fragment that shows them.
    pub port_place: Option<usize>,
    /// A first fragment whose chain or ports the sender put elsewhere (RFC 7112).
    pub tiny: bool,
    /// Where in the packet the upper layer begins, if it can be read.
    pub upper: Option<usize>,
}

impl Facts {
    /// Whether the packet is a piece of a datagram: a fragment and not atomic.
    #[must_use]
    pub fn is_piece(&self) -> bool {
        self.fragment.as_ref().is_some_and(|fragment| !fragment.atomic)
    }
}

/// Reads a packet that [`super::link`] found to have a whole fixed header.
pub(super) fn read<'a>(located: &Located<'a>, limit: Option<usize>) -> (Facts, Octets<'a>) {
    let (mut facts, missing) =
        if located.version == 4 { (ipv4(located), None) } else { ipv6(located, limit) };
    let packet = Octets::new(located.data, facts.length);
    match facts.upper {
        Some(upper) => upper_layer(&mut facts, packet, upper),
        None => facts.ports = Ports::Unknown,
    }
    let first =
        facts.fragment.as_ref().is_some_and(|fragment| fragment.offset == 0 && fragment.more);
    let short = missing == Some(Missing::Short)
        || facts.upper.is_some_and(|upper| ports_are_short(&facts, packet, upper));
    facts.tiny = first && short;
    if let Some(fragment) = facts.fragment.clone().filter(|fragment| !fragment.atomic) {
        facts.piece = packet.from(fragment.start).iter().copied().take(PIECE).collect();
        facts.piece_length = packet.length().saturating_sub(fragment.start as u64).min(65_535);
        if let (Some(upper), Ports::Known(..)) = (facts.upper, facts.ports) {
            facts.port_place = Some(upper - fragment.start).filter(|place| place + 4 <= PIECE);
        }
    }
    (facts, packet)
}

fn ipv4(located: &Located<'_>) -> Facts {
    let data = located.data;
    let header = usize::from(data[0] & 0xf) * 4;
    let length = ipv4_length(data, located.wire);
    let field = u16(&data[6..]);
    let (offset, more, keep) = (field & 0x1fff, field & 0x2000 != 0, field & 0x4000 != 0);
    let protocol = data[9];
    let packet = Octets::new(data, length);
    let spi = match protocol {
        50 if offset == 0 => packet.u32(header).ok(),
        51 if offset == 0 => packet.u32(header + 4).ok(),
        _ => None,
    };
    Facts {
        source: v4(&data[12..]),
        destination: v4(&data[16..]),
        traffic_class: data[1],
        hop_limit: data[8],
        protocol,
        spi,
        fragment: (offset != 0 || more).then_some(FragmentField {
            identification: u32::from(u16(&data[4..])),
            offset,
            more,
            keep,
            atomic: false,
            start: header,
        }),
        upper: (offset == 0).then_some(header),
        ..empty(length)
    }
}

fn ipv6(located: &Located<'_>, limit: Option<usize>) -> (Facts, Option<Missing>) {
    let data = located.data;
    let length = ipv6_length(data, located.wire);
    let walked = walk(Octets::new(data, length), limit);
    let missing = match walked.stop {
        Stop::End(missing) => Some(missing),
        _ => None,
    };
    let has_chain = walked.chain.bits != 0 || !walked.chain.runs.is_empty();
    let facts = Facts {
        source: IpAddr::V6(Ipv6Addr::from(sixteen(&data[8..]))),
        destination: IpAddr::V6(Ipv6Addr::from(sixteen(&data[24..]))),
        traffic_class: (u16(data) >> 4) as u8,
        hop_limit: data[7],
        flow_label: Some(u32(data) & 0xf_ffff),
        next_header: Some(data[6]),
        protocol: walked.protocol,
        complete: walked.chain.complete,
        chain: has_chain.then_some(walked.chain),
        spi: walked.spi,
        segments: walked.segments,
        fragment: walked.fragment,
        upper: match walked.stop {
            Stop::Upper(at) => Some(at),
            _ => None,
        },
        ..empty(length)
    };
    (facts, missing)
}

fn empty(length: u64) -> Facts {
    Facts {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        length,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: None,
        next_header: None,
        protocol: 0,
        ports: Ports::None,
        chain: None,
        complete: true,
        spi: None,
        segments: None,
        tcp_flags: 0,
        tcp_flags_cut: false,
        tcp_options: TcpOptions::default(),
        fragment: None,
        piece: Vec::new(),
        piece_length: 0,
        port_place: None,
        tiny: false,
        upper: None,
    }
}

fn v4(octets: &[u8]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32(octets)))
}

/// Section 2: jumbograms (RFC 2675), packets made by segmentation offload, and all others.
fn ipv6_length(data: &[u8], wire: u64) -> u64 {
    match u16(&data[4..]) {
        0 => jumbo(data).unwrap_or(if wire.saturating_sub(40) > 65_535 { wire } else { 40 }),
        payload => 40 + u64::from(payload),
    }
}

fn jumbo(data: &[u8]) -> Option<u64> {
    let header = data.get(40..).filter(|_| data[6] == 0)?;
    let end = (usize::from(*header.get(1)?) + 1) * 8;
    let mut options = header.get(2..end.min(header.len()))?;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [194, 4, a, b, c, d, ..] => {
                let length = u64::from(u32::from_be_bytes([a, b, c, d]));
                return (length > 65_535).then_some((40 + length).min(u64::from(u32::MAX)));
            }
            [194, ..] => return None,
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// Octets at the start of the upper layer that hold its ports, or type and code; 0 if it has none.
fn wanted(facts: &Facts) -> usize {
    match facts.protocol {
        6 | 17 | 33 | 132 | 136 => 4,
        1 if facts.source.is_ipv4() => 2,
        58 if facts.source.is_ipv6() => 2,
        _ => 0,
    }
}

fn ports_are_short(facts: &Facts, packet: Octets<'_>, upper: usize) -> bool {
    packet.read(upper, wanted(facts)) == Err(Missing::Short) && wanted(facts) > 0
}

fn upper_layer(facts: &mut Facts, packet: Octets<'_>, upper: usize) {
    facts.ports = match (wanted(facts), packet.read(upper, wanted(facts))) {
        (0, _) => Ports::None,
        (_, Err(_)) => Ports::Unknown,
        (2, Ok(octets)) => Ports::Icmp(octets[0], octets[1]),
        (_, Ok(octets)) => Ports::Known(u16(octets), u16(&octets[2..])),
    };
    facts.tcp_flags_cut =
        facts.protocol == 6 && facts.ports != Ports::Unknown && packet.read(upper + 12, 2).is_err();
    if facts.protocol == 6
        && let Ok(octets) = packet.read(upper + 12, 2)
    {
        facts.tcp_flags = u16(octets) & 0xfff;
        facts.tcp_options =
            tcp_options(packet, upper + 20, upper + usize::from(octets[0] >> 4) * 4);
    }
}

fn tcp_options(packet: Octets<'_>, mut at: usize, end: usize) -> TcpOptions {
    let mut found = TcpOptions::default();
    while at < end
        && let Ok(kind) = packet.u8(at)
    {
        let length = if kind < 2 { 1 } else { packet.u8(at + 1).map_or(0, usize::from) };
        let fits = kind < 2 || length >= 2 && at + length <= end && packet.read(at, length).is_ok();
        let option =
            |count| packet.read(at + 2, count).ok().filter(|_| fits && length >= 2 + count);
        match (kind, option(2), option(4)) {
            (253 | 254, _, Some([0xe2, 0xd4, 0xc3, 0xd9])) => found.exids32.push(0xe2d4_c3d9),
            (253 | 254, Some(id), _) => found.exids16.push(u16(id)),
            _ => found.kinds.push(kind),
        }
        if kind == 0 || !fits {
            break;
        }
        at += length;
    }
    found
}

/// The facts of a frame's outermost IP packet, for comparison packet by packet.
///
/// # Errors
/// The reason why the frame is in no flow.
pub fn of_frame(frame: &Frame<'_>, limit: Option<usize>) -> Result<(Link, Facts), Reason> {
    let mut located = super::link::locate(frame)?;
    let link = std::mem::take(&mut located.link);
    Ok((link, read(&located, limit).0))
}

impl Facts {
    /// The facts as `sixtap facts` prints them.
    #[must_use]
    pub fn line(&self) -> Value {
        let (source, destination) = match self.ports {
            Ports::Known(source, destination) => (source, destination),
            Ports::Icmp(kind, code) => (0, u16::from(kind) << 8 | u16::from(code)),
            Ports::None | Ports::Unknown => (0, 0),
        };
        let runs = self.chain.iter().flat_map(|chain| &chain.runs);
        let headers: Vec<u8> =
            runs.flat_map(|(number, count)| vec![*number; usize::from(*count)]).collect();
        let mut line = json!({
            "ipVersion": if self.source.is_ipv4() { 4 } else { 6 },
            "source": self.source.to_string(),
            "destination": self.destination.to_string(),
            "protocolIdentifier": self.protocol,
            "nextHeader": self.next_header,
            "portsUnknown": self.ports == Ports::Unknown,
            "sourcePort": source,
            "destinationPort": destination,
            "flowLabel": self.flow_label.unwrap_or(0),
            "trafficClass": self.traffic_class,
            "hopLimit": self.hop_limit,
            "length": self.length,
            "tcpFlags": self.tcp_flags,
            "chain": headers,
            "chainComplete": self.complete,
        });
        if let Some(fragment) = &self.fragment {
            line["fragment"] = json!({
                "identification": fragment.identification,
                "offset": fragment.offset,
                "flags": u8::from(fragment.keep) << 6 | u8::from(fragment.more) << 5,
                "tiny": self.tiny,
            });
        }
        line
    }
}
