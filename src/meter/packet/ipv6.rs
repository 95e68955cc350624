//! The IPv6 header and the whole chain of extension headers behind it (RFC 8200 sections 3 and 4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+---------------+---------------------------------------+
//! |Version| Traffic Class |              Flow Label               |
//! +-------+---------------+-------+---------------+---------------+
//! |         Payload Length        |  Next Header  |   Hop Limit   |
//! +-------------------------------+---------------+---------------+
//! |                    Source Address (16)                        |
//! |                  Destination Address (16)                     |
//! +---------------------------------------------------------------+
//!
//! Hop-by-Hop 0, Routing 43, Destination Options 60, Mobility 135, HIP 139, Shim6 140:
//!   Next Header 1 | length in 8-octet units, the first not counted | …
//! Fragment 44:        Next Header 1 | reserved 1 | offset 13 bits, reserved 2, M 1 | identification 4
//! AH 51 (RFC 4302):   Next Header 1 | length in 4-octet units minus 2 | reserved 2 | SPI 4 | …
//! ESP 50 (RFC 4303):  SPI 4 | sequence 4 | what follows cannot be read
//! ```
//!
//! Only listed numbers are walked: a number that is not an extension header is the upper layer, never a header to be
//! skipped by guess. The walk ends behind a later fragment, at ESP, at 59, at 147, 253 and 254 (their format is not
//! known; RFC 6564's uniform format binds only new headers), at the upper layer, or where the octets end.
//! Once a header reaches beyond the octets, only the number of the next one is known.

use super::facts::{Fragment, Reason};
use super::short::CODES;
use super::{Chain, SEGMENTS, Section, Segments};
use super::{be16, be32};

/// Octets of the fixed header.
pub const HEADER: usize = 40;

/// Protocol numbers of the extension headers (IANA, "IPv6 Extension Header" column).
pub mod next_header {
    /// Hop-by-Hop Options.
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing.
    pub const ROUTING: u8 = 43;
    /// Fragment.
    pub const FRAGMENT: u8 = 44;
    /// Encapsulating Security Payload.
    pub const ESP: u8 = 50;
    /// Authentication Header.
    pub const AUTHENTICATION: u8 = 51;
    /// No Next Header.
    pub const NONE: u8 = 59;
    /// Destination Options.
    pub const DESTINATION: u8 = 60;
    /// Mobility.
    pub const MOBILITY: u8 = 135;
    /// Host Identity Protocol.
    pub const HIP: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
    /// Bit-stream Emulation (RFC 9801): marked as an extension header by IANA, its end is not in it.
    pub const BIT_EMULATION: u8 = 147;
    /// Experiments (RFC 3692).
    pub const EXPERIMENT_1: u8 = 253;
    /// Experiments (RFC 3692).
    pub const EXPERIMENT_2: u8 = 254;
}

/// Bits of `ipv6ExtensionHeadersFull` (IANA registry "IPFIX ipv6ExtensionHeaders Bits"), bit 0 least significant.
pub mod bit {
    /// Destination Options.
    pub const DST: u16 = 1;
    /// Hop-by-Hop Options.
    pub const HOP: u16 = 1 << 1;
    /// No Next Header.
    pub const NO_NEXT: u16 = 1 << 2;
    /// Unknown extension or transport header.
    pub const UNKNOWN: u16 = 1 << 3;
    /// Fragment header of a first fragment.
    pub const FRAGMENT_FIRST: u16 = 1 << 4;
    /// Routing.
    pub const ROUTING: u16 = 1 << 5;
    /// Fragment header of a later fragment.
    pub const FRAGMENT_LATER: u16 = 1 << 6;
    /// Mobility.
    pub const MOBILITY: u16 = 1 << 7;
    /// Encapsulating Security Payload.
    pub const ESP: u16 = 1 << 8;
    /// Authentication Header.
    pub const AH: u16 = 1 << 9;
    /// Host Identity Protocol.
    pub const HIP: u16 = 1 << 10;
    /// Shim6.
    pub const SHIM6: u16 = 1 << 11;
    /// Protocol 253.
    pub const EXPERIMENT_1: u16 = 1 << 12;
    /// Protocol 254.
    pub const EXPERIMENT_2: u16 = 1 << 13;

    /// Names of the bits, bit 0 first, as metrics and JSON spell them.
    pub const NAMES: [&str; 14] = [
        "destination_options",
        "hop_by_hop",
        "no_next_header",
        "unknown",
        "fragment_first",
        "routing",
        "fragment_later",
        "mobility",
        "esp",
        "authentication",
        "hip",
        "shim6",
        "experiment_253",
        "experiment_254",
    ];
}

/// Routing Type of the Segment Routing Header (RFC 8754).
pub(super) const ROUTING_SEGMENTS: u8 = 4;
/// Option type of the Jumbo Payload (RFC 2675).
const OPTION_JUMBO: u8 = 0xc2;

/// What the fixed header says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Octets of the packet, header included; a jumbogram's real length.
    pub length: u32,
    /// Traffic Class.
    pub traffic_class: u8,
    /// Flow Label, 20 bits.
    pub label: u32,
    /// Next Header.
    pub next_header: u8,
    /// Hop Limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// Reads the fixed header at the start of `packet`.
///
/// A Payload Length of 0 means a jumbogram when the Hop-by-Hop header has a valid Jumbo Payload option (RFC 2675: above
/// 65,535). Else, if the frame had more than 65,535 octets behind the fixed header, segmentation offload left it so, and
/// `on_wire`, the octets of the frame from here on, stands in. Else the packet is empty, and what follows is padding.
///
/// # Errors
/// [`Reason::IpCut`] or [`Reason::Version`].
pub fn read(packet: &[u8], on_wire: u32) -> Result<Header, Reason> {
    let header: &[u8; HEADER] = packet.first_chunk().ok_or(Reason::IpCut)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::Version);
    }
    let next = header[6];
    let stated = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let length = if stated != 0 {
        HEADER as u32 + stated
    } else if let Some(jumbo) = jumbo_payload(packet, next) {
        jumbo.saturating_add(HEADER as u32)
    } else if on_wire > 65_535 + HEADER as u32 {
        on_wire
    } else {
        HEADER as u32
    };
    let mut source = [0; 16];
    source.copy_from_slice(&header[8..24]);
    let mut destination = [0; 16];
    destination.copy_from_slice(&header[24..40]);
    Ok(Header {
        length,
        traffic_class: header[0] << 4 | header[1] >> 4,
        label: u32::from_be_bytes([0, header[1] & 0x0f, header[2], header[3]]),
        next_header: next,
        hop_limit: header[7],
        source,
        destination,
    })
}

/// The Jumbo Payload Length, if the first header is Hop-by-Hop and holds the option with a valid value.
fn jumbo_payload(packet: &[u8], next: u8) -> Option<u32> {
    if next != next_header::HOP_BY_HOP {
        return None;
    }
    let length = (usize::from(*packet.get(HEADER + 1)?) + 1) * 8;
    let mut options = packet.get(HEADER + 2..)?;
    options = options.get(..length - 2).unwrap_or(options);
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            options = rest;
            continue;
        }
        let [size, rest @ ..] = rest else { return None };
        if *kind == OPTION_JUMBO {
            return be32(rest, 0).filter(|value| *size == 4 && *value > 65_535);
        }
        options = rest.get(usize::from(*size)..)?;
    }
    None
}

/// What the chain of extension headers holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// The headers in order.
    pub chain: Chain,
    /// The last Next Header value: the upper layer, 50, 59, 253, 254, or what a later fragment names.
    pub protocol: u8,
    /// Octet of the packet at which the upper layer begins, if it is in this packet and was reached.
    pub upper: Option<usize>,
    /// Whether the captured octets or the limit ended the walk before the chain ended.
    pub cut: bool,
    /// Whether what the walk needed next is beyond the end of the packet itself, captured or not.
    pub short: bool,
    /// Whether the walk ended at the Fragment header of a later fragment.
    pub later: bool,
    /// Fields of the first Fragment header that is not atomic, else of the first.
    pub fragment: Option<Fragment>,
    /// Octet of the packet behind that header.
    pub fragmentable: usize,
    /// SPI of the first AH or ESP header.
    pub spi: Option<u32>,
    /// The first Segment Routing Header.
    pub segments: Option<Segments>,
    /// First extension headers: type and octet of the packet.
    pub headers: [(u8, u16); 8],
    /// How many of `headers` are set.
    pub header_count: u8,
}

impl Walk {
    /// Whether there is any extension header, or 59, or an unknown upper layer.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.chain.headers != 0 || self.chain.run_count != 0
    }

    /// Takes in a header of `length` octets at `at`.
    #[inline(always)]
    fn add(&mut self, kind: u8, bit: u16, length: u32, at: usize) {
        if let Some(slot) = self.headers.get_mut(usize::from(self.header_count)) {
            *slot = (kind, at as u16);
            self.header_count += 1;
        }
        self.add_row(kind, bit, length, 1);
    }

    /// Takes `count` headers of one kind, `length` octets in all, into the chain.
    #[inline(always)]
    fn add_row(&mut self, kind: u8, bit: u16, length: u32, mut count: u32) {
        self.chain.headers |= bit;
        self.chain.length = self.chain.length.saturating_add(length);
        let runs = usize::from(self.chain.run_count);
        if let Some((last, times)) = self.chain.runs.get_mut(runs.wrapping_sub(1))
            && *last == kind
        {
            let room = count.min(u32::from(u8::MAX - *times));
            *times += room as u8;
            count -= room;
        }
        while count > 0 {
            let Some(run) = self.chain.runs.get_mut(usize::from(self.chain.run_count)) else {
                self.chain.complete = false;
                return;
            };
            let times = count.min(u32::from(u8::MAX));
            *run = (kind, times as u8);
            self.chain.run_count += 1;
            count -= times;
        }
    }
}

/// Walks the chain of `packet`, whose fixed header names `first` as the next. `packet` ends where the captured octets
/// or the stated `length` end. At most `limit` headers are walked.
#[must_use]
pub fn walk(packet: &[u8], first: u8, length: u32, destination: &[u8; 16], limit: u32) -> Walk {
    let mut walk = Walk { protocol: first, ..Walk::default() };
    let (mut at, mut count) = (HEADER, 0);
    loop {
        let kind = walk.protocol;
        if !is_extension(kind) {
            walk.upper(kind, at);
            if at > packet.len() {
                walk.upper = None;
                return walk.ends_before(at, length);
            }
            return walk;
        }
        if count == limit {
            return walk.ends_cut();
        }
        // Of most headers only the length is wanted: long chains are of these.
        if let Some(bit) = measured(kind) {
            // The places of the first ones are kept, one by one.
            let placed = usize::from(walk.header_count) < walk.headers.len();
            let row = row(packet, at, kind, if placed { 1 } else { limit - count });
            if row.headers > 0 {
                let length = (row.end - at) as u32;
                if placed {
                    walk.add(kind, bit, length, at);
                } else {
                    walk.add_row(kind, bit, length, row.headers);
                }
                walk.protocol = row.next;
                count += row.headers;
                at = row.end;
                continue;
            }
        }
        if at > packet.len() {
            // The header before is cut: the number of this one is known, nothing else of it.
            walk.add(kind, bit_of(kind), 0, at);
            return walk.ends_before(at, length);
        }
        let octets = match kind {
            next_header::ESP => {
                walk.add(kind, bit::ESP, 8, at);
                walk.spi = walk.spi.or(be32(packet, at));
                return walk;
            }
            // Nothing says how long these are: a guess would read payload as ports.
            next_header::BIT_EMULATION | next_header::EXPERIMENT_1 | next_header::EXPERIMENT_2 => {
                walk.add(kind, bit_of(kind), 0, at);
                return walk.ends_cut();
            }
            next_header::FRAGMENT => {
                let Some(header) = packet.get(at..at + 8) else {
                    walk.add(kind, 0, 0, at);
                    return walk.ends_before(at + 8, length);
                };
                walk.protocol = header[0];
                if read_fragment(&mut walk, packet, header, at, length) {
                    walk.later = true;
                    return walk;
                }
                8
            }
            _ => {
                let Some(&[next, units]) = packet.get(at..).and_then(|header| header.first_chunk())
                else {
                    walk.add(kind, bit_of(kind), 0, at);
                    return walk.ends_before(at + 2, length);
                };
                walk.protocol = next;
                walk.read_header(packet, kind, units, at, destination)
            }
        };
        at += octets;
        count += 1;
    }
}

/// The bit of a header of which only the length counts.
#[inline(always)]
fn measured(kind: u8) -> Option<u16> {
    let code = CODES[usize::from(kind)];
    let more =
        matches!(kind, next_header::ESP | next_header::AUTHENTICATION | next_header::ROUTING);
    (code < 16 && !more).then(|| 1 << code)
}

/// Headers of one kind that stand one behind the other.
#[derive(Clone, Copy)]
struct Row {
    headers: u32,
    /// What the last of them names as the next.
    next: u8,
    /// Octet of the packet behind the last.
    end: usize,
}

/// The row of headers of `kind` that begins at `at`, at most `most` of them. Two octets of each are read, and nothing is
/// written: a chain that fills a packet costs little more than that.
#[inline(always)]
fn row(packet: &[u8], at: usize, kind: u8, most: u32) -> Row {
    let mut row = Row { headers: 0, next: kind, end: at };
    while row.next == kind
        && row.headers < most
        && let Some(&[next, units]) = packet.get(row.end..).and_then(|header| header.first_chunk())
    {
        let end = row.end + (usize::from(units) + 1) * 8;
        row = Row { headers: row.headers + 1, next, end };
    }
    row
}

/// Whether `number` is an extension header that is walked.
#[inline(always)]
#[must_use]
pub const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::ESP
            | next_header::AUTHENTICATION
            | next_header::DESTINATION
            | next_header::MOBILITY
            | next_header::HIP
            | next_header::SHIM6
            | next_header::BIT_EMULATION
            | next_header::EXPERIMENT_1
            | next_header::EXPERIMENT_2
    )
}

impl Walk {
    /// The walk needs the octets before `end`, and they are not there.
    fn ends_before(mut self, end: usize, length: u32) -> Self {
        self.short = end > length as usize;
        self.ends_cut()
    }

    fn ends_cut(mut self) -> Self {
        self.cut = true;
        self.chain.complete = false;
        self
    }

    /// The chain ends at `at` with `protocol`, which is not an extension header.
    fn upper(&mut self, protocol: u8, at: usize) {
        match protocol {
            next_header::NONE => self.chain.headers |= bit::NO_NEXT,
            _ if is_unknown(protocol) => self.chain.headers |= bit::UNKNOWN,
            _ => {}
        }
        self.upper = Some(at);
        if let Some(fragment) = &mut self.fragment {
            fragment.upper_offset = (at - self.fragmentable) as u16;
        }
    }

    /// Takes in a header whose second octet tells its length; returns its octets.
    fn read_header(
        &mut self,
        packet: &[u8],
        kind: u8,
        units: u8,
        at: usize,
        destination: &[u8; 16],
    ) -> usize {
        let authentication = kind == next_header::AUTHENTICATION;
        let octets = if authentication {
            (usize::from(units) + 2) * 4
        } else {
            (usize::from(units) + 1) * 8
        };
        self.add(kind, bit_of(kind), octets as u32, at);
        if authentication {
            self.spi = self.spi.or(be32(packet, at + 4));
        }
        if kind == next_header::ROUTING && self.segments.is_none() {
            self.segments = read_segments(packet, at, octets, destination);
        }
        octets
    }
}

fn bit_of(kind: u8) -> u16 {
    match kind {
        next_header::HOP_BY_HOP => bit::HOP,
        next_header::ROUTING => bit::ROUTING,
        next_header::DESTINATION => bit::DST,
        next_header::MOBILITY => bit::MOBILITY,
        next_header::HIP => bit::HIP,
        next_header::SHIM6 => bit::SHIM6,
        next_header::AUTHENTICATION => bit::AH,
        next_header::ESP => bit::ESP,
        next_header::EXPERIMENT_1 => bit::EXPERIMENT_1,
        next_header::EXPERIMENT_2 => bit::EXPERIMENT_2,
        // An extension header to which the registry has given no bit.
        next_header::BIT_EMULATION => bit::UNKNOWN,
        // A Fragment header's bit depends on its offset.
        _ => 0,
    }
}

/// Whether no protocol has this number: 148 to 252, and 255, which is reserved.
const fn is_unknown(protocol: u8) -> bool {
    matches!(protocol, 148..=252 | 255)
}

/// Takes in the Fragment header `header` at `at`; returns whether it is of a later fragment, behind which nothing is read.
fn read_fragment(walk: &mut Walk, packet: &[u8], header: &[u8], at: usize, length: u32) -> bool {
    let bits = be16(header, 2).unwrap_or(0);
    let offset = bits >> 3;
    let later = offset != 0;
    let bit = if later { bit::FRAGMENT_LATER } else { bit::FRAGMENT_FIRST };
    walk.add(next_header::FRAGMENT, bit, 8, at);
    // An atomic one says nothing of the datagram: a real fragment behind it does.
    let atomic = !later && bits & 1 == 0;
    if walk.fragment.is_none_or(|earlier| earlier.atomic() && !atomic) {
        let part = packet.get(at + 8..).unwrap_or(&[]);
        walk.fragmentable = at + 8;
        walk.fragment = Some(
            Fragment {
                identification: be32(header, 4).unwrap_or(0),
                offset,
                flags: if bits & 1 != 0 { Fragment::MORE } else { 0 },
                length: length.saturating_sub(at as u32 + 8),
                ..Fragment::default()
            }
            .with_head(part, u16::MAX),
        );
    }
    later
}

/// Reads a Segment Routing Header (RFC 8754 section 2): `… | type 4 | segments left | last entry | flags | tag 2 | list`.
fn read_segments(
    packet: &[u8],
    at: usize,
    octets: usize,
    destination: &[u8; 16],
) -> Option<Segments> {
    let header = packet.get(at..(at + octets).min(packet.len()))?;
    let fixed: &[u8; 8] = header.first_chunk()?;
    if fixed[2] != ROUTING_SEGMENTS {
        return None;
    }
    // The list cannot be longer than the header, whatever Last Entry says.
    let total = (usize::from(fixed[4]) + 1).min((octets - 8) / 16);
    let mut kept = Section::default();
    let count = header.len().min(kept.0.len());
    kept.0[..count].copy_from_slice(&header[..count]);
    Some(Segments {
        left: fixed[3],
        flags: fixed[5],
        tag: u16::from_be_bytes([fixed[6], fixed[7]]),
        count: total.min((header.len() - 8) / 16).min(SEGMENTS) as u8,
        total: total as u8,
        whole: if count == octets { count as u8 } else { 0 },
        octets: kept,
        active: *destination,
    })
}
