//! The IPv6 extension header chain, header by header (section 3 of the module above).
//!
//! In: an IPv6 packet. Out: the headers it names, where the upper layer begins, and why the walk stopped.
//! Invariant: each turn of the walk moves forward by at least 8 octets, so it ends.

use super::octets::{Missing, Octets, sixteen};

/// IANA protocol numbers of the extension headers.
pub(super) mod number {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ESP: u8 = 50;
    pub(crate) const AH: u8 = 51;
    pub(crate) const NO_NEXT: u8 = 59;
    pub(crate) const DESTINATION: u8 = 60;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const HIP: u8 = 139;
    pub(crate) const SHIM6: u8 = 140;
    pub(crate) const BIT_EMULATION: u8 = 147;
    pub(crate) const EXPERIMENT_1: u8 = 253;
    pub(crate) const EXPERIMENT_2: u8 = 254;
}
use number::*;

/// The most runs of a chain that are kept.
pub const RUNS: usize = 24;

/// One chain: what RFC 9740's elements say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain {
    /// Bits of `ipv6ExtensionHeadersFull`.
    pub bits: u16,
    /// Octets of all headers (`ipv6ExtensionHeadersChainLength`).
    pub length: u32,
    /// `ipv6ExtensionHeaderTypeCountList`: type and how many in a row, at most [`RUNS`].
    pub runs: Vec<(u8, u8)>,
    /// Whether every header of the packet is in `runs`.
    pub complete: bool,
}

/// A Fragment header, or what IPv4 has in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentField {
    /// `fragmentIdentification`.
    pub identification: u32,
    /// `fragmentOffset`, 8-octet units.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// IPv4: do not fragment.
    pub keep: bool,
    /// Whether offset 0 and M 0 in a Fragment header (RFC 6946).
    pub atomic: bool,
    /// Where in the packet the piece of the datagram begins.
    pub start: usize,
}

/// Facts of a Segment Routing Header (RFC 8754).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// `srhFlagsIPv6`.
    pub flags: u8,
    /// `srhTagIPv6`.
    pub tag: u16,
    /// `srhSegmentsIPv6Left`.
    pub left: u8,
    /// Segments that the header holds.
    pub total: usize,
    /// Segments seen, in the order of the header.
    pub list: Vec<[u8; 16]>,
    /// The whole header, if all of it was seen.
    pub section: Option<Vec<u8>>,
    /// Destination address of the packet (`srhActiveSegmentIPv6`).
    pub active: [u8; 16],
}

/// Why the walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the upper layer (or ESP, or 59), whose octets begin here.
    Upper(usize),
    /// At a Fragment header whose offset is not 0.
    LaterFragment,
    /// At a header of unknown length, or at the limit.
    Opaque,
    /// At the end of the packet or of the capture.
    End(Missing),
}

/// What the walk found.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) chain: Chain,
    pub(super) protocol: u8,
    pub(super) stop: Stop,
    pub(super) fragment: Option<FragmentField>,
    pub(super) spi: Option<u32>,
    pub(super) segments: Option<Segments>,
}

/// Walks the chain of an IPv6 packet; `limit` is the most headers to look at.
pub(super) fn walk(packet: Octets<'_>, limit: Option<usize>) -> Walked {
    let fixed = packet.from(0);
    let mut walked = Walked {
        chain: Chain { complete: true, ..Chain::default() },
        protocol: fixed[6],
        stop: Stop::Upper(40),
        fragment: None,
        spi: None,
        segments: None,
    };
    let mut at = 40;
    let mut headers = 0;
    loop {
        let number = walked.protocol;
        if !is_extension(number) {
            walked.note_upper(number);
            walked.stop = Stop::Upper(at);
            return walked;
        }
        if limit.is_some_and(|limit| headers >= limit) {
            return walked.incomplete(Stop::Opaque);
        }
        headers += 1;
        walked.join(number);
        let length = match number {
            BIT_EMULATION | EXPERIMENT_1 | EXPERIMENT_2 => {
                return walked.incomplete(Stop::Opaque);
            }
            ESP => {
                walked.spi = walked.spi.or(packet.u32(at).ok());
                walked.chain.length += 8;
                walked.stop = Stop::Upper(at);
                return walked;
            }
            FRAGMENT => match packet.read(at, 8) {
                Ok(header) => {
                    walked.note_fragment(header, at);
                    8
                }
                Err(missing) => return walked.incomplete(Stop::End(missing)),
            },
            _ => match packet.u16(at) {
                Ok(first) if number == AH => (usize::from(first & 0xff) + 2) * 4,
                Ok(first) => (usize::from(first & 0xff) + 1) * 8,
                Err(missing) => return walked.incomplete(Stop::End(missing)),
            },
        };
        if number == AH {
            walked.spi = walked.spi.or(packet.u32(at + 4).ok());
        }
        if number == ROUTING && walked.segments.is_none() {
            walked.segments = segments(packet, at);
        }
        walked.chain.length += length as u32;
        walked.protocol = packet.from(at)[0];
        if number == FRAGMENT && walked.chain.bits & 1 << 6 != 0 {
            walked.stop = Stop::LaterFragment;
            return walked;
        }
        if let Err(missing) = packet.read(at, length) {
            let next = walked.protocol;
            if !is_extension(next) {
                walked.note_upper(next);
            } else if limit.is_none_or(|limit| headers < limit) {
                walked.join(next);
            }
            return walked.incomplete(Stop::End(missing));
        }
        at += length;
    }
}

fn is_extension(number: u8) -> bool {
    matches!(
        number,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | ESP
            | AH
            | DESTINATION
            | MOBILITY
            | HIP
            | SHIM6
            | BIT_EMULATION
            | EXPERIMENT_1
            | EXPERIMENT_2
    )
}

/// The bit of `ipv6ExtensionHeadersFull`; a Fragment header has two, by its offset.
fn bit(number: u8) -> u16 {
    match number {
        DESTINATION => 1 << 0,
        HOP_BY_HOP => 1 << 1,
        NO_NEXT => 1 << 2,
        ROUTING => 1 << 5,
        MOBILITY => 1 << 7,
        ESP => 1 << 8,
        AH => 1 << 9,
        HIP => 1 << 10,
        SHIM6 => 1 << 11,
        BIT_EMULATION => 1 << 3,
        EXPERIMENT_1 => 1 << 12,
        EXPERIMENT_2 => 1 << 13,
        _ => 0,
    }
}

impl Walked {
    fn incomplete(mut self, stop: Stop) -> Self {
        self.chain.complete = false;
        self.stop = stop;
        self
    }

    fn note_upper(&mut self, number: u8) {
        self.chain.bits |= match number {
            NO_NEXT => bit(NO_NEXT),
            148..=252 | 255 => 1 << 3,
            _ => 0,
        };
    }

    fn join(&mut self, number: u8) {
        self.chain.bits |= bit(number);
        let runs = &mut self.chain.runs;
        let kept = runs.len();
        match runs.last_mut() {
            Some((last, count)) if *last == number && *count < u8::MAX => *count += 1,
            _ if kept < RUNS => runs.push((number, 1)),
            _ => self.chain.complete = false,
        }
    }

    fn note_fragment(&mut self, header: &[u8], at: usize) {
        let field = u16::from_be_bytes([header[2], header[3]]);
        let (offset, more) = (field >> 3, field & 1 != 0);
        self.chain.bits |= if offset == 0 { 1 << 4 } else { 1 << 6 };
        let found = FragmentField {
            identification: super::octets::u32(&header[4..]),
            offset,
            more,
            keep: false,
            atomic: offset == 0 && !more,
            start: at + 8,
        };
        if self.fragment.as_ref().is_none_or(|earlier| earlier.atomic && !found.atomic) {
            self.fragment = Some(found);
        }
    }
}

/// The facts of the Routing header at `at`, if it is an SRH and its first 8 octets are seen.
fn segments(packet: Octets<'_>, at: usize) -> Option<Segments> {
    let header = packet.read(at, 8).ok()?;
    if header[2] != 4 {
        return None;
    }
    let total = (usize::from(header[4]) + 1).min(usize::from(header[1]) / 2);
    let list = packet.from(at + 8).chunks_exact(16).take(total).map(sixteen).collect();
    let octets = (usize::from(header[1]) + 1) * 8;
    Some(Segments {
        section: packet.read(at, octets).ok().map(<[u8]>::to_vec),
        flags: header[5],
        tag: u16::from_be_bytes([header[6], header[7]]),
        left: header[3],
        total,
        list,
        active: sixteen(packet.from(24)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv6 packet with this Next Header and payload.
    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        octets[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        octets.extend([0x20; 16]);
        octets.extend([0x21; 16]);
        octets.extend(payload);
        octets
    }

    fn walked(next: u8, payload: &[u8]) -> Walked {
        let octets = packet(next, payload);
        walk(Octets::new(&octets, octets.len() as u64), None)
    }

    const TAIL: [u8; 8] = [0x12, 0x34, 0x00, 0x35, 0, 8, 0, 0];

    #[test]
    fn plain_packet_has_no_chain() {
        let walked = walked(17, &TAIL);
        assert_eq!(walked.chain, Chain { complete: true, ..Chain::default() });
        assert_eq!((walked.protocol, walked.stop), (17, Stop::Upper(40)));
    }

    #[test]
    fn lengths_are_per_header() {
        // HBH of 8, Destination of 16, Routing of 24, AH of 16 ((2 + 2) x 4), UDP.
        let mut payload = vec![60, 0, 1, 4, 0, 0, 0, 0];
        payload.extend([43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend([51, 2, 2, 1, 0, 0, 0, 0]);
        payload.extend([0x99; 16]);
        payload.extend([17, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0]);
        payload.extend(TAIL);
        let walked = walked(0, &payload);
        assert_eq!(walked.protocol, 17);
        assert_eq!(walked.stop, Stop::Upper(40 + 8 + 16 + 24 + 16));
        assert_eq!(walked.chain.length, 64);
        assert_eq!(walked.chain.bits, 0b10_0010_0011);
        assert_eq!(walked.chain.runs, [(0, 1), (60, 1), (43, 1), (51, 1)]);
        assert_eq!(walked.spi, Some(7));
        assert!(walked.chain.complete);
    }

    #[test]
    fn later_fragment_is_not_looked_into() {
        // What follows the Fragment header looks like a Destination Options header, and is payload.
        let mut payload = vec![60, 0, 0, 8, 0, 0, 0, 9];
        payload.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        let walked = walked(44, &payload);
        assert_eq!((walked.protocol, walked.stop), (60, Stop::LaterFragment));
        assert_eq!(walked.chain.bits, 1 << 6);
        assert_eq!(walked.chain.runs, [(44, 1)]);
        assert!(walked.chain.complete);
        let fragment = walked.fragment.expect("a fragment");
        assert_eq!((fragment.offset, fragment.identification, fragment.start), (1, 9, 48));
    }

    #[test]
    fn atomic_then_real_fragment_is_the_real_one() {
        let mut payload = vec![44, 0, 0, 0, 0, 0, 0, 1];
        payload.extend([17, 0, 0, 1, 0, 0, 0, 2]);
        payload.extend(TAIL);
        let walked = walked(44, &payload);
        assert_eq!(walked.fragment.expect("a fragment").identification, 2);
        assert_eq!(walked.chain.runs, [(44, 2)]);
        assert_eq!((walked.protocol, walked.stop), (17, Stop::Upper(56)));
    }

    #[test]
    fn esp_stops_and_is_complete() {
        let walked = walked(50, &[0, 0, 1, 2, 0, 0, 0, 1, 6, 6, 6, 6]);
        assert_eq!((walked.protocol, walked.spi), (50, Some(0x102)));
        assert_eq!((walked.chain.length, walked.chain.complete), (8, true));
    }

    #[test]
    fn an_extension_header_without_a_bit_is_named_and_unknown() {
        let walked = walked(147, &[6, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((walked.protocol, walked.stop), (147, Stop::Opaque));
        assert_eq!((walked.chain.bits, walked.chain.complete), (1 << 3, false));
        assert_eq!(walked.chain.runs, [(147, 1)]);
    }

    #[test]
    fn experiments_are_named_not_walked() {
        let walked = walked(253, &[6, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((walked.protocol, walked.stop), (253, Stop::Opaque));
        assert_eq!((walked.chain.bits, walked.chain.complete), (1 << 12, false));
    }

    #[test]
    fn header_beyond_the_end_names_what_follows() {
        // A Destination Options header of 16 octets of which 8 are there, followed by Mobility.
        let walked = walked(60, &[135, 1, 1, 4, 0, 0, 0, 0]);
        assert_eq!((walked.protocol, walked.stop), (135, Stop::End(Missing::Short)));
        assert_eq!(walked.chain.runs, [(60, 1), (135, 1)]);
        assert_eq!((walked.chain.bits, walked.chain.length), (0x81, 16));
        assert!(!walked.chain.complete);
    }

    #[test]
    fn cut_is_not_short() {
        let octets = packet(60, &[6, 0, 1, 4, 0, 0, 0, 0]);
        let cut = walk(Octets::new(&octets[..41], 48), None);
        assert_eq!(cut.stop, Stop::End(Missing::Cut));
        let short = walk(Octets::new(&octets, 41), None);
        assert_eq!(short.stop, Stop::End(Missing::Short));
        assert_eq!(short.chain.runs, [(60, 1)]);
    }

    #[test]
    fn the_limit_shows() {
        let mut payload = vec![60, 0, 1, 4, 0, 0, 0, 0];
        payload.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        let octets = packet(60, &payload);
        let walked = walk(Octets::new(&octets, octets.len() as u64), Some(1));
        assert_eq!((walked.protocol, walked.chain.complete), (60, false));
        assert_eq!(walked.chain.runs, [(60, 1)]);
    }

    #[test]
    fn unassigned_upper_layer_sets_unknown() {
        assert_eq!(walked(200, &TAIL).chain.bits, 1 << 3);
        assert_eq!(walked(59, &[]).chain.bits, 1 << 2);
    }

    #[test]
    fn segment_routing_header() {
        let mut payload = vec![17, 4, 4, 1, 1, 0x20, 0xab, 0xcd];
        payload.extend([1; 16]);
        payload.extend([2; 16]);
        payload.extend(TAIL);
        let segments = walked(43, &payload).segments.expect("an SRH");
        assert_eq!((segments.left, segments.tag, segments.flags), (1, 0xabcd, 0x20));
        assert_eq!(segments.list, [[1; 16], [2; 16]]);
        assert_eq!(segments.active, [0x21; 16]);
    }
}
