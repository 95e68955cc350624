//! The short way and the full way read the same of whatever both accept, and rows of headers are read as their headers are.

use super::ipv6::{self, Walk};
use super::{Facts, Options, Packets, RUNS, ShortChain, feature, outermost, parse, plain, read};
use crate::capture::{Frame, LinkType, Timestamp};
use proptest::prelude::*;

/// Extension headers as (number, length field, routing type), then the upper layer.
type Headers = Vec<(u8, u8, u8)>;

fn frame(tags: usize, headers: &Headers, upper: u8, payload: usize, missing: i32) -> Vec<u8> {
    let mut chain = Vec::new();
    let nexts = headers.iter().skip(1).map(|header| header.0).chain([upper]);
    for ((kind, units, third), next) in headers.iter().zip(nexts) {
        let octets = match kind {
            51 => (usize::from(*units) + 2) * 4,
            44 | 50 => 8,
            _ => (usize::from(*units) + 1) * 8,
        };
        let start = chain.len();
        chain.resize(start + octets, 0x11);
        // The third octet is a routing type, or the high octet of a fragment offset.
        chain[start..start + 3].copy_from_slice(&[next, *units, *third]);
    }
    chain.extend((0..payload).map(|at| at as u8 | 0x50));
    let mut frame = vec![2; 12];
    for _ in 0..tags {
        frame.extend([0x81, 0, 0x20, 7]);
    }
    let length = (chain.len() as i32 - missing).max(0) as u16;
    let [high, low] = length.to_be_bytes();
    let first = headers.first().map_or(upper, |header| header.0);
    frame.extend([0x86, 0xdd, 0x6a, 0xbc, 0xde, 0xf1, high, low, first, 61]);
    frame.extend([0x20; 16].into_iter().chain([0x30; 16]));
    frame.extend(chain);
    frame
}

fn number() -> impl Strategy<Value = u8> {
    prop_oneof![
        12 => proptest::sample::select(&[0, 43, 60, 135, 139, 140, 51][..]),
        1 => proptest::sample::select(&[44, 50, 59, 147, 253, 254, 200][..]),
    ]
}

fn headers(most: usize) -> impl Strategy<Value = Headers> {
    let header = (number(), 0..4u8, proptest::sample::select(&[0, 4, 2][..]));
    proptest::collection::vec(header, 0..=most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 4096 }))]

    #[test]
    fn what_the_short_way_accepts_the_full_way_reads_alike(
        tags in 0..3usize,
        headers in headers(10),
        upper in proptest::sample::select(&[6, 17, 58, 50, 1, 41, 59][..]),
        payload in 0..40usize,
        missing in prop_oneof![8 => Just(0), 1 => -4..40i32],
        cut in prop_oneof![4 => Just(0), 1 => 0..60usize],
        limit in prop_oneof![4 => Just(u32::MAX), 1 => 0..10u32],
    ) {
        let octets = frame(tags, &headers, upper, payload, missing);
        let data = &octets[..octets.len().saturating_sub(cut)];
        let frame = Frame {
            data,
            wire_length: octets.len() as u32,
            interface: 3,
            link: LinkType::Ethernet,
            time: Timestamp(77),
        };
        let options = Options { chain_limit: limit, ..Options::default() };
        let mut short = Facts::default();
        let accepted = plain::read(&frame, limit, &mut short);
        let whole = headers.len() <= ShortChain::MOST.min(limit) as usize && cut == 0 && missing == 0;
        let known = headers.iter().all(|header| [0, 43, 60, 135, 139, 140, 51].contains(&header.0));
        if whole && known && [6, 17, 58].contains(&upper) && payload >= 20 {
            prop_assert!(accepted, "this is short");
        }
        let mut packets = Packets::default();
        parse(&frame, &options, &mut packets);
        if accepted {
            let Some(full) = packets.facts().first() else { panic!("not metered the full way") };
            let expected = Facts { chain: short.chain, detail: short.detail, frame: short.frame, ..*full };
            prop_assert_eq!(short, expected);
            prop_assert_eq!(short.chain.is_none(), short.features & feature::HEADERS == 0);
            if let Some((_, detail)) = outermost(&frame, &options) {
                prop_assert_eq!(short.chain.chain(), detail.chain);
            }
        }
        // And both ways are counted alike.
        let mut other = Packets::default();
        read(&frame, &options, &mut other);
        prop_assert_eq!(other.outcomes(), packets.outcomes());
    }

    #[test]
    fn short_chains_are_one_word_only_if_they_are_one_chain(one in headers(8), other in headers(8)) {
        let read = |headers: &Headers| {
            let octets = frame(0, headers, 17, 20, 0);
            let frame = Frame {
                data: &octets,
                wire_length: octets.len() as u32,
                interface: 0,
                link: LinkType::Ethernet,
                time: Timestamp(0),
            };
            let mut facts = Facts::default();
            plain::read(&frame, u32::MAX, &mut facts).then(|| {
                let detail = outermost(&frame, &Options::default()).map(|found| found.1);
                (facts.chain, detail.unwrap_or_default().chain)
            })
        };
        if let (Some(one), Some(other)) = (read(&one), read(&other)) {
            prop_assert_eq!(one.0 == other.0, one.1 == other.1);
        }
    }
}

/// Rows of headers of one kind: number, length field, how many.
fn rows() -> impl Strategy<Value = Headers> {
    let kind = proptest::sample::select(&[0, 60, 135, 139, 140, 51, 43][..]);
    let times = prop_oneof![3 => 1..4usize, 1 => 200..300usize];
    proptest::collection::vec((kind, 0..2u8, times), 1..30).prop_map(|rows| {
        let row = |(kind, units, times)| std::iter::repeat_n((kind, units, 0), times);
        rows.into_iter().flat_map(row).collect()
    })
}

/// What a walk that takes each header by itself finds.
fn one_by_one(packet: &[u8], first: u8, limit: u32) -> Walk {
    let mut walk = Walk { protocol: first, ..Walk::default() };
    let mut at = ipv6::HEADER;
    for count in 0.. {
        let kind = walk.protocol;
        if !ipv6::is_extension(kind) {
            walk.upper = (at <= packet.len()).then_some(at);
            walk.cut = at > packet.len();
            break;
        }
        walk.cut = count == limit;
        if walk.cut {
            break;
        }
        if let Some(slot) = walk.headers.get_mut(count as usize) {
            *slot = (kind, at as u16);
            walk.header_count += 1;
        }
        let runs = usize::from(walk.chain.run_count);
        match walk.chain.runs[..runs].last_mut() {
            Some((last, times)) if *last == kind && *times < 255 => *times += 1,
            _ if runs < RUNS => {
                walk.chain.runs[runs] = (kind, 1);
                walk.chain.run_count += 1;
            }
            _ => walk.chain.complete = false,
        }
        walk.chain.headers |= [1, 2, 1 << 5, 1 << 7, 1 << 9, 1 << 10, 1 << 11]
            [[60, 0, 43, 135, 51, 139, 140].iter().position(|known| *known == kind).unwrap()];
        let Some(&[next, units]) = packet.get(at..).and_then(|header| header.first_chunk()) else {
            walk.cut = true;
            break;
        };
        let octets =
            if kind == 51 { (u32::from(units) + 2) * 4 } else { (u32::from(units) + 1) * 8 };
        walk.chain.length += octets;
        walk.protocol = next;
        at += octets as usize;
    }
    walk.chain.complete &= !walk.cut;
    walk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2048 }))]

    #[test]
    fn rows_of_headers_are_what_they_are_one_by_one(
        headers in rows(),
        cut in prop_oneof![2 => Just(0), 1 => 0..60usize, 1 => 0..4000usize],
        limit in prop_oneof![2 => Just(u32::MAX), 1 => 0..700u32],
    ) {
        let octets = frame(0, &headers, 17, 20, 0);
        let packet = &octets[14..octets.len() - cut.min(octets.len() - 14 - ipv6::HEADER)];
        let first = headers[0].0;
        let length = (octets.len() - 14) as u32;
        let expected = one_by_one(packet, first, limit);
        let found = ipv6::walk(packet, first, length, &[0x30; 16], limit);
        prop_assert_eq!(found.chain, expected.chain);
        prop_assert_eq!(
            (found.protocol, found.upper, found.cut, found.header_count, found.headers),
            (expected.protocol, expected.upper, expected.cut, expected.header_count, expected.headers)
        );
    }
}
