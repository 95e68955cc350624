//! Extension header chains: what the protocol is, where the ports are, what the chain is called.

use super::scene::{Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::header::{
    Header, authentication, destination, destination_of, esp, hop_by_hop, routing, segment_routing,
};
use crate::craft::transport::{flag, seal_header, udp};
use crate::craft::truth::{Flow, bit};

/// Router Alert (RFC 2711).
const ALERT: &[u8] = &[5, 2, 0, 0];

/// Home Address option (RFC 6275 section 6.3) needs 16 octets; PadN does for a header that only has to be there.
const NOTHING: &[u8] = &[1, 4, 0, 0, 0, 0];

/// RPL source route: CmprI 15, CmprE 15, so one octet an address; Pad 6; two addresses, 6 octets of padding.
const COMPRESSED: &[u8] = &[0xff, 0x60, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0];

pub(super) const CASES: &[Definition] = &[
    case("hop-by-hop-udp", "RFC 8200 section 4.3", "Hop-by-Hop Options before UDP", |scene| {
        walked(scene, &[hop_by_hop(ALERT)], bit::HOP, 8);
    }),
    case("destination-tcp", "RFC 8200 section 4.6", "Destination Options before TCP", |scene| {
        walked_tcp(scene, &[destination(NOTHING)], bit::DST, 8);
    }),
    case(
        "destination-304",
        "RFC 8200 section 4.6",
        "Destination Options of 304 octets: the length octet counts eights, not octets",
        |scene| walked(scene, &[destination_of(304)], bit::DST, 304),
    ),
    case(
        "hop-by-hop-1400",
        "RFC 8200 section 4.3",
        "Hop-by-Hop Options of 1400 octets, long but legal",
        |scene| {
            let mut header = destination_of(1400);
            header.number = proto::HOP_BY_HOP;
            walked(scene, &[header], bit::HOP, 1400);
        },
    ),
    case(
        "routing-0",
        "RFC 5095",
        "the deprecated type 0 with no segments left: still a Routing header to walk",
        |scene| {
            let mut data = vec![0; 4];
            data.extend(scene.address6(7).octets());
            walked(scene, &[routing(0, 0, &data)], bit::RH, 24);
        },
    ),
    case(
        "routing-2",
        "RFC 6275 section 6.4, RFC 8200 section 8.1",
        "Mobile IPv6's Routing header: the checksum is over the home address",
        |scene| {
            let home = scene.address6(7);
            let mut data = vec![0; 4];
            data.extend(home.octets());
            let upper = udp(between(scene.address6(1), home), scene.ports(), &filler(32));
            scene.send_chains(2, &[routing(2, 1, &data)], proto::UDP, &upper);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[104; 2]);
            scene.flow(flow.chain(proto::ROUTING, bit::RH, 24, true));
        },
    ),
    case(
        "routing-3",
        "RFC 6554 section 3",
        "RPL source route with compressed addresses, all visited",
        |scene| {
            walked(scene, &[routing(3, 0, COMPRESSED)], bit::RH, 16);
        },
    ),
    case(
        "segment-routing",
        "RFC 8754 section 2, RFC 9487",
        "a Segment Routing Header of 3 segments, 1 left: the active one is the destination",
        |scene| {
            let segments = [scene.address6(5), scene.address6(2), scene.address6(4)];
            let header = segment_routing(1, 0, 0x1234, &segments);
            let upper = udp(between(scene.address6(1), segments[0]), scene.ports(), &filler(32));
            scene.send_chains(2, &[header], proto::UDP, &upper);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[136; 2]);
            let flow = flow.chain(proto::ROUTING, bit::RH, 56, true);
            scene.flow(flow.segments(0, 0x1234, 1, scene.address6(2)));
        },
    ),
    case(
        "hop-segment-routing-destination-tcp",
        "RFC 8200 section 4.1",
        "Hop-by-Hop (16), Segment Routing (56), Destination Options (8), then TCP",
        |scene| {
            let segments = [scene.address6(2), scene.address6(4), scene.address6(5)];
            let long = [5, 2, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0];
            let headers =
                [hop_by_hop(&long), segment_routing(0, 0, 7, &segments), destination(NOTHING)];
            let upper = scene.tcp6(flag::PSH | flag::ACK, 100);
            scene.send_chains(2, &headers, proto::TCP, &upper);
            let flow = scene.flow6(proto::TCP).ports(scene.ports()).tcp(flag::PSH | flag::ACK);
            let flow = flow.chain(proto::HOP_BY_HOP, bit::HOP | bit::RH | bit::DST, 80, true);
            let flow = flow.segments(0, 7, 0, scene.address6(2));
            scene.flow(flow.lengths(&[240; 2]));
        },
    ),
    case(
        "authentication-96",
        "RFC 4302 section 2.2",
        "AH with a 96-bit check value: its length counts 32-bit words, minus 2",
        |scene| walked_tcp(scene, &[authentication(0x1001, 12)], bit::AH, 24),
    ),
    case(
        "authentication-256",
        "RFC 4302 section 2.2",
        "AH with a 256-bit check value, 48 octets with padding",
        |scene| walked_tcp(scene, &[authentication(0x1001, 32)], bit::AH, 48),
    ),
    case(
        "authentication-destination",
        "RFC 4302 section 3.1.1",
        "AH, Destination Options, TCP",
        |scene| {
            let headers = [authentication(0x1001, 12), destination(NOTHING)];
            walked_tcp(scene, &headers, bit::AH | bit::DST, 32);
        },
    ),
    case("hop-authentication", "RFC 4302 section 3.1.1", "Hop-by-Hop, AH, TCP", |scene| {
        let headers = [hop_by_hop(ALERT), authentication(0x1001, 12)];
        walked_tcp(scene, &headers, bit::HOP | bit::AH, 32);
    }),
    case(
        "esp",
        "RFC 4303 section 2",
        "ESP ends what can be read: protocol 50, no ports",
        |scene| encrypted(scene, &[], bit::ESP, 8),
    ),
    case(
        "authentication-esp",
        "RFC 4303 section 3.1.1",
        "AH, then ESP: the first SPI is AH's",
        |scene| encrypted(scene, &[authentication(0x1001, 12)], bit::AH | bit::ESP, 32),
    ),
    case(
        "no-next-header",
        "RFC 8200 section 4.7",
        "Next Header 59 and nothing behind it",
        |scene| {
            scene.send_chains(2, &[], proto::NO_NEXT, &[]);
            let flow = scene.flow6(proto::NO_NEXT).lengths(&[40; 2]);
            scene.flow(flow.chain(proto::NO_NEXT, bit::NO_NEXT, 0, true));
        },
    ),
    case(
        "no-next-header-with-octets",
        "RFC 8200 section 4.7",
        "Hop-by-Hop, 59, and octets that must be ignored though they look like UDP",
        |scene| {
            let upper = scene.udp6(32);
            scene.send_chains(2, &[hop_by_hop(ALERT)], proto::NO_NEXT, &upper);
            let flow = scene.flow6(proto::NO_NEXT).lengths(&[88; 2]);
            scene.flow(flow.chain(proto::HOP_BY_HOP, bit::HOP | bit::NO_NEXT, 8, true));
        },
    ),
    case(
        "mobility",
        "RFC 6275 section 6.1",
        "a Binding Update: the Mobility header is the payload, its Next Header is 59",
        |scene| {
            let octets = vec![0, 1, 5, 0, 0, 0, 0, 1, 0xc0, 0, 0, 60, 1, 2, 0, 0];
            alone(scene, proto::MOBILITY, octets, bit::MOB);
        },
    ),
    case("hip", "RFC 7401 section 5.1", "an I1 packet of the Host Identity Protocol", |scene| {
        let mut octets = vec![0, 5, 1, 0x21, 0, 0, 0, 0];
        for host in [1, 2] {
            octets.extend([0x20, 0x01, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
        }
        // DH_GROUP_LIST: groups 3, 4 and 7.
        octets.extend([1, 0xff, 0, 3, 3, 4, 7, 0]);
        alone(scene, proto::HIP, octets, bit::HIP);
    }),
    case("shim6", "RFC 5533 section 5.2", "a Shim6 payload header: UDP is behind it", |scene| {
        let header =
            Header { number: proto::SHIM6, octets: vec![0, 0, 0x80, 0, 0, 0x12, 0x34, 0x56] };
        walked(scene, &[header], bit::SHIM6, 8);
    }),
    case(
        "experiment-253",
        "RFC 3692, RFC 7045 section 2.1",
        "Next Header 253: nothing says how long it is, so no ports are made up",
        |scene| {
            let mut octets = vec![proto::UDP, 0, 1, 4, 0, 0, 0, 0];
            octets.extend(scene.udp6(16));
            scene.send_chains(2, &[], 253, &octets);
            let flow = scene.flow6(253).lengths(&[72; 2]);
            scene.flow(flow.chain(253, bit::EXP1, 0, false));
        },
    ),
    case(
        "unknown-200",
        "RFC 8200 section 4, RFC 9740 section 3.3",
        "a protocol nobody assigned is an upper layer, not a header to walk",
        |scene| {
            let mut octets = vec![proto::UDP, 0, 1, 4, 0, 0, 0, 0];
            octets.extend(scene.udp6(16));
            scene.send_chains(2, &[], 200, &octets);
            let flow = scene.flow6(200).lengths(&[72; 2]);
            scene.flow(flow.chain(200, bit::UNKNOWN, 0, true));
        },
    ),
    case("headers-2", CHAIN, "a chain of 2 headers", |scene| many(scene, 2)),
    case("headers-3", CHAIN, "a chain of 3 headers", |scene| many(scene, 3)),
    case("headers-4", CHAIN, "a chain of 4 headers", |scene| many(scene, 4)),
    case("headers-5", CHAIN, "a chain of 5 headers", |scene| many(scene, 5)),
    case("headers-6", CHAIN, "a chain of 6 headers", |scene| many(scene, 6)),
    case("headers-7", CHAIN, "a chain of 7 headers", |scene| many(scene, 7)),
    case("headers-8", CHAIN, "a chain of 8 headers", |scene| many(scene, 8)),
    case("headers-9", CHAIN, "a chain of 9 headers: some parsers stop at 8", |scene| {
        many(scene, 9);
    }),
    case("headers-40", CHAIN, "40 Destination Options headers before UDP", |scene| {
        scene.invalid("more than two Destination Options headers (RFC 8200 section 4.1)");
        let headers: Vec<Header> = (0..40).map(|_| destination(NOTHING)).collect();
        walked(scene, &headers, bit::DST, 320);
    }),
    case(
        "hop-by-hop-not-first",
        "RFC 8200 section 4.1",
        "Hop-by-Hop behind Destination Options: a violation to report, not a reason to stop",
        |scene| {
            scene.invalid("Hop-by-Hop Options stand only first (RFC 8200 section 4.1)");
            let headers = [destination(NOTHING), hop_by_hop(ALERT)];
            walked(scene, &headers, bit::DST | bit::HOP, 16);
        },
    ),
    case(
        "chain-change",
        "RFC 9740 section 3.3",
        "packets with, without and with other headers in one flow: bits are OR-ed",
        |scene| {
            let upper = scene.udp6(32);
            scene.send_chain(&[], proto::UDP, &upper);
            scene.send_chain(&[hop_by_hop(ALERT)], proto::UDP, &upper);
            scene.send_chain(&[destination_of(24)], proto::UDP, &upper);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80, 88, 104]);
            let flow = flow.chain(proto::UDP, bit::HOP | bit::DST, 8, true);
            let flow = flow.without("ipv6ExtensionHeadersChainLength");
            scene.flow(flow.set("sixtap:ipv6ExtensionHeaderChainDistinctCount", 2));
        },
    ),
    case(
        "chain-cut-by-snapshot",
        "RFC 9740 section 3.5",
        "the capture ends inside the chain: ipv6ExtensionHeadersLimit is false, no ports",
        |scene| {
            let upper = scene.udp6(32);
            scene.send_chain(&[destination_of(128)], proto::UDP, &upper);
            scene.cut(96);
            let flow = scene.flow6(proto::UDP).lengths(&[208]);
            scene.flow(flow.chain(proto::DESTINATION, bit::DST, 128, false));
        },
    ),
];

const CHAIN: &str = "RFC 8200 section 4, RFC 7112 section 5";

/// Two UDP packets behind these headers, which can be walked through.
fn walked(scene: &mut Scene<'_>, headers: &[Header], bits: u16, length: u32) {
    let upper = scene.udp6(32);
    scene.send_chains(2, headers, proto::UDP, &upper);
    let flow = scene.flow6(proto::UDP).ports(scene.ports());
    finish(scene, flow, headers, bits, length, 40);
}

/// Two TCP packets behind these headers. An AH among them has SPI 0x1001.
fn walked_tcp(scene: &mut Scene<'_>, headers: &[Header], bits: u16, length: u32) {
    let upper = scene.tcp6(flag::PSH | flag::ACK, 100);
    scene.send_chains(2, headers, proto::TCP, &upper);
    let flow = scene.flow6(proto::TCP).ports(scene.ports()).tcp(flag::PSH | flag::ACK);
    finish(scene, flow, headers, bits, length, 120);
}

/// Two packets that end in ESP; before it nothing, or AH with SPI 0x1001.
fn encrypted(scene: &mut Scene<'_>, headers: &[Header], bits: u16, length: u32) {
    let own = if headers.is_empty() { 0x2002 } else { 0x3003 };
    for sequence in 1..=2 {
        scene.send_chain(headers, proto::ESP, &esp(own, sequence, 64));
    }
    let spi = if headers.is_empty() { own } else { 0x1001 };
    let flow = scene.flow6(proto::ESP).set("IPSecSPI", spi);
    let first = headers.first().map_or(proto::ESP, |header| header.number);
    // `length` counts 8 octets of ESP; the other 64 are opaque.
    let flow = flow.chain(first, bits, length, true);
    scene.flow(flow.lengths(&[40 + u64::from(length) + 64; 2]));
}

fn finish(
    scene: &mut Scene<'_>,
    flow: Flow,
    headers: &[Header],
    bits: u16,
    length: u32,
    upper: u64,
) {
    let first = headers.first().map_or(proto::UDP, |header| header.number);
    let mut flow = flow.chain(first, bits, length, true);
    if bits & bit::AH != 0 {
        flow = flow.set("IPSecSPI", 0x1001);
    }
    scene.flow(flow.lengths(&[40 + u64::from(length) + upper; 2]));
}

/// A header with a checksum of its own that carries nothing but itself.
fn alone(scene: &mut Scene<'_>, number: u8, octets: Vec<u8>, bits: u16) {
    let length = octets.len() as u32;
    let octets = seal_header(octets, scene.ends6(), number);
    scene.send_chains(2, &[], number, &octets);
    let flow = scene.flow6(proto::NO_NEXT).lengths(&[40 + u64::from(length); 2]);
    scene.flow(flow.chain(number, bits | bit::NO_NEXT, length, true));
}

/// Hop-by-Hop first, then Destination Options, Routing and AH in turn.
fn many(scene: &mut Scene<'_>, count: usize) {
    if count > 5 {
        scene.invalid("headers that should occur once occur more often (RFC 8200 section 4.1)");
    }
    let mut headers = vec![hop_by_hop(ALERT)];
    let (mut bits, mut length) = (bit::HOP, 8);
    for at in 1..count {
        let (header, its_bit, octets) = match at % 3 {
            1 => (destination(NOTHING), bit::DST, 8),
            2 => (routing(3, 0, COMPRESSED), bit::RH, 16),
            _ => (authentication(0x1001, 12), bit::AH, 24),
        };
        headers.push(header);
        bits |= its_bit;
        length += octets;
    }
    walked(scene, &headers, bits, length);
}
